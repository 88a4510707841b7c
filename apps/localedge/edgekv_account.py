"""EdgeKV API: initialisation, groups and the access tokens bundles read items with."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson

from apps.localedge.config import Config, Group
from apps.localedge.database import Database, Row
from apps.localedge.edgekv import BASE
from apps.localedge.edgeworkers import Clock, whole
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request, Route, route
from apps.localedge.plane import DataPlane
from apps.localedge.problems import edgekv_problem

_TOKEN_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_PERMISSIONS = {"r", "w", "d"}
_ALL = [f"{verb}{where}_DATA" for where in ("", "_STAGING") for verb in ("READ", "WRITE", "DELETE")]
_NAMESPACE_VERBS = ("VIEW", "CREATE", "MODIFY", "DELETE", "AUTHORIZE")
_ALL += [f"{verb}{where}_NAMESPACE" for where in ("", "_STAGING") for verb in _NAMESPACE_VERBS]
_ALL += [f"{verb}{where}_TOKEN" for where in ("", "_STAGING") for verb in ("VIEW", "CREATE", "REVOKE")]
_DEFAULT_NAMESPACE = {
    "namespace": "default",
    "retentionInSeconds": 15_724_800,
    "groupId": 0,
    "geoLocation": "US",
    "dataAccessPolicy": {"restrictDataAccess": True, "policyType": "inherited"},
}
_NEVER = "9999-12-31"
_OLDER_DAYS = 180


class EdgeKVAccount:
    def __init__(self, *, config: Config, database: Database, plane: DataPlane, now: Clock) -> None:
        self._config = config
        self._database = database
        self._plane = plane
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", f"{BASE}/initialize", self.get_status),
            route("PUT", f"{BASE}/initialize", self.initialize),
            route("GET", f"{BASE}/auth/groups", self.list_groups),
            route("GET", f"{BASE}/auth/groups/{{group_id}}", self.get_group),
            route("GET", f"{BASE}/tokens", self.list_tokens),
            route("POST", f"{BASE}/tokens", self.create_token),
            route("GET", f"{BASE}/tokens/{{name}}", self.get_token),
            route("DELETE", f"{BASE}/tokens/{{name}}", self.delete_token),
            route("POST", f"{BASE}/tokens/{{name}}/refresh", self.refresh_token),
        )

    def get_status(self, _request: Request) -> Answer:
        row = self._database.first("SELECT policy FROM kv_account")
        if row is None:
            raise Problem(404, _status("UNINITIALIZED", None, None))
        return Answer.json(_status("INITIALIZED", orjson.loads(row.text("policy")), "1"))

    def initialize(self, request: Request) -> Answer:
        """Once per account; repeating it changes nothing."""
        body = request.json() if request.body else {}
        policy = body.get("dataAccessPolicy") or {"restrictDataAccess": True, "allowNamespacePolicyOverride": False}
        if cast("Mapping[str, Json]", policy).get("restrictDataAccess") is False:
            detail = "You cannot set `restrictDataAccess` to false. Your account is not entitled to it."
            raise edgekv_problem(400, detail, "EKV_1005")
        with self._database.exclusive():
            self._database.run("INSERT OR IGNORE INTO kv_account VALUES (1, ?)", orjson.dumps(policy).decode())
            for network in ("STAGING", "PRODUCTION"):
                facts = orjson.dumps(_DEFAULT_NAMESPACE).decode()
                self._database.run("INSERT OR IGNORE INTO kv_namespaces VALUES (?,?,?)", network, "default", facts)
        return Answer(201, self.get_status(request).body)

    def list_groups(self, _request: Request) -> Answer:
        return Answer.json({"groups": [_group_json(group) for group in self._config.groups]})

    def get_group(self, _request: Request, group_id: str) -> Answer:
        for group in self._config.groups:
            if group.id == whole(group_id, "group"):
                return Answer.json(_group_json(group))
        raise edgekv_problem(403, f"You do not have access to group {group_id}.", "EKV_1000")

    # Tokens

    def list_tokens(self, _request: Request) -> Answer:
        return Answer.json({"tokens": [orjson.loads(row.text("facts")) for row in self._token_rows()]})

    def create_token(self, request: Request) -> Answer:
        facts = self._token_facts(request.json())
        name = str(facts["name"])
        with self._plane.items:
            with self._database.exclusive():
                if self._database.first("SELECT 1 FROM kv_tokens WHERE name=?", name):
                    raise edgekv_problem(409, f"Token with name {name} is already stored.", "EKV_3000")
                sql = "INSERT INTO kv_tokens VALUES (?,?,?)"
                self._database.run(sql, name, facts["uuid"], orjson.dumps(facts).decode())
            self._plane.set_tokens(self.tokens())
        return Answer.json(facts)

    def _token_facts(self, body: Mapping[str, Json]) -> dict[str, Json]:
        name, permissions = body.get("name"), body.get("namespacePermissions")
        if not isinstance(name, str) or not _TOKEN_NAME.fullmatch(name):
            raise edgekv_problem(400, "Name contains invalid characters.", "EKV_2000")
        if not body.get("allowOnStaging") and not body.get("allowOnProduction"):
            raise edgekv_problem(400, "The token must be allowed on at least one network.", "EKV_2000")
        if not _are_permissions(permissions):
            raise edgekv_problem(400, "Namespace permissions must list r, w or d for 1 to 20 namespaces.", "EKV_2000")
        today = datetime.fromtimestamp(self._now(), UTC).date().isoformat()
        return {
            "name": name,
            "uuid": str(uuid.uuid4()),
            **self._style(),
            "allowOnStaging": bool(body.get("allowOnStaging")),
            "allowOnProduction": bool(body.get("allowOnProduction")),
            "cpcode": "1",
            "issueDate": today,
            "latestRefreshDate": None,
            "nextScheduledRefreshDate": _NEVER,
            "namespacePermissions": permissions,
            "restrictToEdgeWorkerIds": body.get("restrictToEdgeWorkerIds", []),
            "tokenActivationStatus": "COMPLETE",
        }

    def _style(self) -> dict[str, Json]:
        """Tokens of the older kind are given out themselves, and end."""
        older = self._config.kv_token_style == "value"  # noqa: S105 - a kind of token
        days = self._config.kv_token_days if self._config.kv_token_days is not None else _OLDER_DAYS if older else None
        ends = datetime.fromtimestamp(self._now(), UTC) + timedelta(days=days or 0)
        expiry: dict[str, Json] = {"expiry": _NEVER if days is None else ends.date().isoformat()}
        return {**expiry, "value": f"local.{secrets.token_urlsafe(48)}"} if older else expiry

    def get_token(self, _request: Request, name: str) -> Answer:
        facts = orjson.loads(self._token(name).text("facts"))
        if self._now() >= _ends_at(facts):
            raise edgekv_problem(410, f"Token with name {name} has expired.", "EKV_3000")
        return Answer.json(facts)

    def delete_token(self, _request: Request, name: str) -> Answer:
        """From now on a bundle that names it reads nothing."""
        with self._plane.items:
            with self._database.exclusive():
                row = self._token(name)
                self._database.run("DELETE FROM kv_tokens WHERE name=?", name)
            self._plane.set_tokens(self.tokens())
        return Answer.json({"name": name, "uuid": row.text("uuid")})

    def refresh_token(self, _request: Request, name: str) -> Answer:
        with self._database.exclusive():
            facts = orjson.loads(self._token(name).text("facts"))
            facts["latestRefreshDate"] = datetime.fromtimestamp(self._now(), UTC).date().isoformat()
            self._database.run("UPDATE kv_tokens SET facts=? WHERE name=?", orjson.dumps(facts).decode(), name)
        return Answer.json(facts)

    def _token(self, name: str) -> Row:
        row = self._database.first("SELECT * FROM kv_tokens WHERE name=?", name)
        if row is None:
            raise edgekv_problem(404, f"Token with name {name} does not exist.", "EKV_3000")
        return row

    def _token_rows(self) -> list[Row]:
        return self._database.all("SELECT * FROM kv_tokens ORDER BY name")

    def tokens(self) -> tuple[Json, ...]:
        """As the data plane checks them."""
        return tuple(_for_plane(orjson.loads(row.text("facts"))) for row in self._token_rows())


def _for_plane(facts: Mapping[str, Json]) -> Json:
    networks = [n for n, name in (("STAGING", "allowOnStaging"), ("PRODUCTION", "allowOnProduction")) if facts[name]]
    return {
        "uuid": facts["uuid"],
        "networks": list[Json](networks),
        "permissions": facts["namespacePermissions"],
        "edgeWorkerIds": facts["restrictToEdgeWorkerIds"],
        **({} if facts["expiry"] == _NEVER else {"endsAt": _ends_at(facts)}),
        **({"value": facts["value"]} if "value" in facts else {}),
    }


def _ends_at(facts: Mapping[str, Json]) -> float:
    """When the day of its expiry begins."""
    if facts["expiry"] == _NEVER:
        return float("inf")
    return datetime.fromisoformat(str(facts["expiry"])).replace(tzinfo=UTC).timestamp()


def _are_permissions(permissions: Json) -> bool:
    if not isinstance(permissions, Mapping) or not 1 <= len(permissions) <= 20:
        return False
    return all(
        isinstance(verbs, list) and verbs and set(map(str, verbs)) <= _PERMISSIONS for verbs in permissions.values()
    )


def _status(state: str, policy: Json, cpcode: str | None) -> dict[str, Json]:
    return {
        "accountStatus": state,
        "stagingStatus": state,
        "productionStatus": state,
        "cpcode": cpcode,
        "dataAccessPolicy": policy,
    }


def _group_json(group: Group) -> Json:
    return {"groupId": group.id, "groupName": group.name, "capabilities": list[Json](_ALL)}
