"""EdgeKV API: namespaces and items. Each network is a store of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from apps.localedge.config import Config
from apps.localedge.database import Database
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Request, Route, route
from apps.localedge.plane import DataPlane, ItemWrite
from apps.localedge.problems import edgekv_problem

BASE = "/edgekv/v1"
MAX_VALUE = 262_144
MAX_NAMESPACES = 20
MAX_LISTED = 100
_NAMESPACE = re.compile(r"(?!-)[A-Za-z0-9_-]{1,32}")
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,512}")
_RETENTION = range(86_400, 315_360_001)


class EdgeKV:
    def __init__(self, *, config: Config, database: Database, plane: DataPlane, now: Clock) -> None:
        self._config = config
        self._database = database
        self._plane = plane
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        spaces = f"{BASE}/networks/{{network}}/namespaces"
        space = f"{spaces}/{{namespace}}"
        item = f"{space}/groups/{{group}}/items/{{key}}"
        return (
            route("GET", spaces, self.list_namespaces),
            route("POST", spaces, self.create_namespace),
            route("GET", space, self.get_namespace),
            route("PUT", space, self.update_namespace),
            route("DELETE", space, self.delete_namespace),
            route("GET", f"{space}/groups", self.list_groups),
            route("GET", f"{space}/groups/{{group}}", self.list_items),
            route("GET", item, self.get_item),
            route("PUT", item, self.put_item),
            route("DELETE", item, self.delete_item),
        )

    # Namespaces

    def list_namespaces(self, request: Request, network: str) -> Answer:
        rows = self._database.all("SELECT * FROM kv_namespaces WHERE network=? ORDER BY namespace", _network(network))
        facts: list[Json] = [orjson.loads(row.text("facts")) for row in rows]
        if request.query("details") == "on":
            return Answer.json({"namespaces": facts})
        return Answer.json({"namespaces": facts})

    def create_namespace(self, request: Request, network: str) -> Answer:
        store, body = _network(network), request.json()
        facts = self._namespace_facts(store, body)
        with self._database.exclusive():
            self._require_initialized()
            name = str(facts["namespace"])
            if self._database.first("SELECT 1 FROM kv_namespaces WHERE network=? AND namespace=?", store, name):
                detail = f"A namespace with the name {name} already exists with a different configuration"
                raise edgekv_problem(409, detail, "EKV_3000")
            if self._database.count("SELECT count(*) FROM kv_namespaces WHERE network=?", store) >= MAX_NAMESPACES:
                raise edgekv_problem(400, f"More than {MAX_NAMESPACES} namespaces are not allowed.", "EKV_2000")
            self._database.run("INSERT INTO kv_namespaces VALUES (?,?,?)", store, name, orjson.dumps(facts).decode())
        return Answer.json(facts)

    def _namespace_facts(self, store: str, body: Mapping[str, Json]) -> dict[str, Json]:
        name = body.get("namespace")
        if not isinstance(name, str) or not _NAMESPACE.fullmatch(name):
            raise edgekv_problem(400, "Namespace must only use a string that matches A-Z a-z 0-9 _ or -.", "EKV_2000")
        group = body.get("groupId")
        if not isinstance(group, int) or isinstance(group, bool):
            raise edgekv_problem(400, "Group ID must be specified.", "EKV_2000")
        location = body.get("geoLocation", "US")
        if location not in (("US",) if store == "STAGING" else ("US", "EU", "JP")):
            raise edgekv_problem(400, "The geolocation is not available on this network.", "EKV_2000")
        return {
            "namespace": name,
            "retentionInSeconds": _retention(body),
            "groupId": group,
            "geoLocation": location,
            "dataAccessPolicy": {"restrictDataAccess": True, "policyType": "inherited"},
        }

    def get_namespace(self, _request: Request, network: str, namespace: str) -> Answer:
        return Answer.json(self._facts(_network(network), namespace))

    def update_namespace(self, request: Request, network: str, namespace: str) -> Answer:
        store, body = _network(network), request.json()
        retention = _retention(body)
        with self._database.exclusive():
            facts = {**self._facts(store, namespace), "retentionInSeconds": retention}
            if body.get("groupId", facts["groupId"]) != facts["groupId"]:
                detail = "groupId changes must be made through the reauthorize endpoint."
                raise edgekv_problem(400, detail, "EKV_3000")
            sql = "UPDATE kv_namespaces SET facts=? WHERE network=? AND namespace=?"
            self._database.run(sql, orjson.dumps(facts).decode(), store, namespace)
        return Answer.json(facts)

    def delete_namespace(self, _request: Request, network: str, namespace: str) -> Answer:
        """At once, also without ?sync=true; the items go with it."""
        store = _network(network)
        self._facts(store, namespace)
        sql = "SELECT item_group, item_key FROM kv_items WHERE network=? AND namespace=? AND value IS NOT NULL"
        for row in self._database.all(sql, store, namespace):
            self._write(store, namespace, row.text("item_group"), row.text("item_key"), None)
        with self._database.exclusive():
            self._database.run("DELETE FROM kv_namespaces WHERE network=? AND namespace=?", store, namespace)
        return Answer.json({"scheduledDeleteTime": None})

    def _facts(self, store: str, namespace: str) -> dict[str, Json]:
        row = self._database.first("SELECT facts FROM kv_namespaces WHERE network=? AND namespace=?", store, namespace)
        if row is None:
            raise edgekv_problem(400, "The requested namespace does not exist.", "EKV_9000")
        facts: dict[str, Json] = orjson.loads(row.text("facts"))
        return facts

    def _require_initialized(self) -> None:
        if self._database.first("SELECT 1 FROM kv_account") is None:
            raise edgekv_problem(400, "EdgeKV is not initialized.", "EKV_2000")

    # Items

    def list_groups(self, _request: Request, network: str, namespace: str) -> Answer:
        rows = self._database.all(
            "SELECT DISTINCT item_group FROM kv_items WHERE network=? AND namespace=? AND value IS NOT NULL"
            " ORDER BY item_group",
            *(_network(network), namespace),
        )
        if not rows:
            raise edgekv_problem(404, "There are no groups.", "EKV_9000")
        return Answer.json([row.text("item_group") for row in rows])

    def list_items(self, request: Request, network: str, namespace: str, group: str) -> Answer:
        _check(_GROUP, group, "Group")
        limit = request.query("maxItems") or str(MAX_LISTED)
        if not limit.isdigit():
            raise edgekv_problem(400, "maxItems must be a number.", "EKV_2000")
        rows = self._database.all(
            "SELECT item_key FROM kv_items WHERE network=? AND namespace=? AND item_group=? AND value IS NOT NULL"
            " ORDER BY item_key LIMIT ?",
            *(_network(network), namespace, group, int(limit)),
        )
        if not rows:
            raise edgekv_problem(404, "The requested group is empty or not found.", "EKV_9000")
        return Answer.json([row.text("item_key") for row in rows])

    def get_item(self, _request: Request, network: str, namespace: str, group: str, key: str) -> Answer:
        store = self._place(network, namespace, group, key)
        row = self._stored(store, namespace, group, key)
        if row is None:
            raise edgekv_problem(404, f"Item '{key}' or group '{group}' was not found in the database.", "EKV_9000")
        return Answer.text(row, "application/json" if _is_json(row) else "text/plain")

    def put_item(self, request: Request, network: str, namespace: str, group: str, key: str) -> Answer:
        store = self._place(network, namespace, group, key)
        value = request.body.decode("utf-8", errors="replace")
        if len(value) > MAX_VALUE:
            raise edgekv_problem(413, f"Value cannot exceed {MAX_VALUE} characters.", "EKV_9000")
        if request.headers.get("content-type", "").startswith("application/json") and not _is_json(value):
            detail = "The JSON request body contained a syntax error or duplicate attributes."
            raise edgekv_problem(422, detail, "EKV_2001")
        self._write(store, namespace, group, key, value)
        where = f"namespace {namespace}, group {group}, and key {key}"
        return Answer.text(f"Item was upserted in database, {where}.")

    def delete_item(self, _request: Request, network: str, namespace: str, group: str, key: str) -> Answer:
        """Deleting what is not there succeeds: the outcome is what was asked for."""
        store = self._place(network, namespace, group, key)
        if self._stored(store, namespace, group, key) is not None:
            self._write(store, namespace, group, key, None)
        where = f"namespace {namespace} groups {group} key {key}"
        return Answer.text(f"Item was deleted in the KV store with database {self._config.account} {where}.")

    def _place(self, network: str, namespace: str, group: str, key: str) -> str:
        store = _network(network)
        _check(_GROUP, group, "Group")
        _check(_KEY, key, "Key")
        self._facts(store, namespace)
        return store

    def _stored(self, store: str, namespace: str, group: str, key: str) -> str | None:
        row = self._database.first(
            "SELECT value FROM kv_items WHERE network=? AND namespace=? AND item_group=? AND item_key=?",
            *(store, namespace, group, key),
        )
        return None if row is None else row.optional("value")

    def _write(self, store: str, namespace: str, group: str, key: str, value: str | None) -> None:
        """Answered only when it is on disk and the edge has been told when to show it."""
        delay = self._config.kv_delay
        with self._plane.items:
            with self._database.exclusive():
                self._database.run(
                    "INSERT INTO kv_items VALUES (?,?,?,?,?,NULL,?) ON CONFLICT DO UPDATE SET"
                    " previous=kv_items.value, value=excluded.value, visible_at=excluded.visible_at",
                    *(store, namespace, group, key, value, self._now() + delay),
                )
            self._plane.write(ItemWrite(store, namespace, group, key, value, delay))

    def visible(self) -> tuple[ItemWrite, ...]:
        """Everything a data plane that starts now must know: what shows already, and what will."""
        at = self._now()
        writes = []
        for row in self._database.all("SELECT * FROM kv_items"):
            address = (row.text("network"), row.text("namespace"), row.text("item_group"), row.text("item_key"))
            wait = row.real("visible_at") - at
            if wait > 0 and row["previous"] is not None:
                writes.append(ItemWrite(*address, row.text("previous"), 0))
            writes.append(ItemWrite(*address, row.optional("value"), max(0.0, wait)))
        return tuple(writes)


def _network(text: str) -> str:
    if text.upper() not in ("STAGING", "PRODUCTION"):
        raise edgekv_problem(404, "The network does not exist.", "EKV_9000")
    return text.upper()


def _check(pattern: re.Pattern[str], text: str, what: str) -> None:
    if not pattern.fullmatch(text):
        raise edgekv_problem(400, f"{what} must only use a string that matches A-Z a-z 0-9 _ or -.", "EKV_9000")


def _retention(body: Mapping[str, Json]) -> int:
    seconds = body.get("retentionInSeconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise edgekv_problem(400, "Retention period must be specified.", "EKV_2000")
    if seconds != 0 and seconds not in _RETENTION:
        raise edgekv_problem(400, "Retention period must be 0, or between 86400 and 315360000.", "EKV_2000")
    return seconds


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
