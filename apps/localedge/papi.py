"""Property Manager (PAPI): where properties are, their versions and their hostnames.

Ids go out with or without ``prp_``, ``grp_`` and so on, as PAPI-Use-Prefixes says, and are taken either way.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from apps.localedge.config import Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request, Route, route

BASE = "/papi/v1"
PRODUCT = "prd_Fresca"
ASSET = "aid_1"


def papi_problem(status: int, kind: str, title: str, detail: str, **more: Json) -> Problem:
    body: dict[str, Json] = {
        "type": f"https://problems.luna.akamaiapis.net/papi/v1/{kind}",
        "title": title,
        "detail": detail,
        "instance": f"{BASE}/errors/{uuid.uuid4()}",
        "status": status,
    }
    return Problem(status, {**body, **more})


def missing(what: str) -> Problem:
    return papi_problem(404, "http/not-found", "Not Found", f"The system was unable to locate the requested {what}")


def prefixed(request: Request, prefix: str, value: object) -> str:
    return f"{prefix}_{value}" if request.headers.get("papi-use-prefixes", "true") == "true" else str(value)


def bare(value: str, prefix: str) -> str:
    return value.removeprefix(f"{prefix}_")


class Papi:
    def __init__(self, *, config: Config, database: Database, now: Clock) -> None:
        self._config = config
        self._database = database
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", f"{BASE}/groups", self.list_groups),
            route("GET", f"{BASE}/contracts", self.list_contracts),
            route("GET", f"{BASE}/properties", self.list_properties),
        )

    def list_groups(self, request: Request) -> Answer:
        contracts: list[Json] = [prefixed(request, "ctr", one) for one in self._config.contracts]
        items: list[Json] = [
            {"groupId": prefixed(request, "grp", group.id), "groupName": group.name, "contractIds": contracts}
            for group in self._config.groups
        ]
        body: Mapping[str, Json] = {
            "accountId": prefixed(request, "act", self._config.account),
            "accountName": "Local edge",
            "groups": {"items": items},
        }
        return Answer.json(dict(body))

    def list_contracts(self, request: Request) -> Answer:
        items: list[Json] = [
            {"contractId": prefixed(request, "ctr", one), "contractTypeName": "DIRECT_CUSTOMER"}
            for one in self._config.contracts
        ]
        return Answer.json({"accountId": prefixed(request, "act", self._config.account), "contracts": {"items": items}})

    def list_properties(self, request: Request) -> Answer:
        contract, group = request.query("contractId"), request.query("groupId")
        if contract is None or group is None:
            detail = "contractId and groupId must be given"
            raise papi_problem(400, "http/bad-request", "Bad Request", detail)
        if bare(contract, "ctr") not in self._config.contracts or bare(group, "grp") != str(self._config.groups[0].id):
            return Answer.json({"properties": {"items": []}})
        rows = self._database.all("SELECT * FROM papi_properties ORDER BY id")
        return Answer.json({"properties": {"items": [self.property_json(request, row) for row in rows]}})

    def property_json(self, request: Request, row: Row) -> Json:
        return {
            "accountId": prefixed(request, "act", self._config.account),
            "assetId": ASSET,
            "contractId": prefixed(request, "ctr", self._config.contracts[0]),
            "groupId": prefixed(request, "grp", self._config.groups[0].id),
            "propertyId": prefixed(request, "prp", row.integer("id")),
            "propertyName": row.text("name"),
            "latestVersion": self._latest(row.integer("id")),
            "stagingVersion": row["staging_version"],
            "productionVersion": row["production_version"],
            "note": "",
            "productId": PRODUCT,
        }

    def _latest(self, property_id: int) -> int:
        return self._database.count("SELECT max(version) FROM papi_versions WHERE property_id=?", property_id)
