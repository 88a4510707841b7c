"""Property Manager (PAPI): where properties are, their versions and their hostnames.

Ids go out with or without ``prp_``, ``grp_`` and so on, as PAPI-Use-Prefixes says, and are taken either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apps.localedge.config import Config
from apps.localedge.database import Row
from apps.localedge.edgeworkers import Clock, iso
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Request, Route, route
from apps.localedge.papi_store import (
    BASE,
    RULE_FORMAT,
    PapiStore,
    bare,
    missing,
    papi_problem,
    prefixed,
)

PRODUCT = "prd_Fresca"
ASSET = "aid_1"


class Papi:
    def __init__(self, *, config: Config, store: PapiStore, now: Clock) -> None:
        self._config = config
        self._store = store
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", f"{BASE}/groups", self.list_groups),
            route("GET", f"{BASE}/contracts", self.list_contracts),
            route("GET", f"{BASE}/properties", self.list_properties),
            route("POST", f"{BASE}/search/find-by-value", self.find),
            route("GET", f"{BASE}/properties/{{property_id}}", self.get_property),
            route("GET", f"{BASE}/properties/{{property_id}}/versions", self.list_versions),
            route("POST", f"{BASE}/properties/{{property_id}}/versions", self.create_version),
            route("GET", f"{BASE}/properties/{{property_id}}/versions/{{version}}", self.get_version),
            route("GET", f"{BASE}/properties/{{property_id}}/versions/{{version}}/hostnames", self.list_hostnames),
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
        asked = (bare(contract, "ctr"), bare(group, "grp"))
        rows = [row for row in self._store.properties() if self._place(row.integer("id")) == asked]
        items = [self.property_json(request, row) for row in rows]
        return Answer.json({"properties": {"items": items}})

    def find(self, request: Request) -> Answer:
        """The versions that name the value and are the latest, or active somewhere."""
        body = request.json()
        if len(body) != 1:
            raise papi_problem(400, "http/bad-request", "Bad Request", "Give exactly one value to find")
        ((name, wanted),) = body.items()
        found: list[Json] = []
        for row in self._store.properties():
            held = {"propertyName": [row.text("name")], "hostname": self._store.hostnames(row)}.get(name, [])
            if wanted in held:
                named = {self._store.latest(row), row["staging_version"], row["production_version"]} - {None}
                versions = [one for one in self._store.versions(row) if one["version"] in named]
                found += [self._found_json(request, row, one) for one in versions]
        return Answer.json({"versions": {"items": found}})

    def _found_json(self, request: Request, row: Row, version: Row) -> Json:
        facts = self._version_json(row, version)
        shown = ("productionStatus", "propertyVersion", "stagingStatus", "updatedByUser", "updatedDate")
        return {
            **self.where(request, row.integer("id")),
            "assetId": ASSET,
            "propertyId": prefixed(request, "prp", row.integer("id")),
            "propertyName": row.text("name"),
            **{name: facts[name] for name in shown},
        }

    def get_property(self, request: Request, property_id: str) -> Answer:
        return Answer.json({"properties": {"items": [self.property_json(request, self._store.property(property_id))]}})

    def list_versions(self, request: Request, property_id: str) -> Answer:
        row = self._store.property(property_id)
        return self._versions(request, row, self._store.versions(row))

    def get_version(self, request: Request, property_id: str, version: str) -> Answer:
        row = self._store.property(property_id)
        return self._versions(request, row, [self._store.version(row, version)])

    def _versions(self, request: Request, row: Row, versions: Sequence[Row]) -> Answer:
        items: list[Json] = [dict(self._version_json(row, one)) for one in versions]
        facts: dict[str, Json] = {
            **self.where(request, row.integer("id")),
            "assetId": ASSET,
            "propertyId": prefixed(request, "prp", row.integer("id")),
            "propertyName": row.text("name"),
            "versions": {"items": items},
        }
        return Answer.json(facts)

    def _version_json(self, row: Row, version: Row) -> Mapping[str, Json]:
        number = version.integer("version")
        return {
            "etag": version.text("etag"),
            "note": version.text("note"),
            "productId": PRODUCT,
            "propertyVersion": number,
            "ruleFormat": RULE_FORMAT,
            "stagingStatus": self._store.status(row, number, "STAGING"),
            "productionStatus": self._store.status(row, number, "PRODUCTION"),
            "updatedByUser": version.text("updated_by"),
            "updatedDate": iso(version.real("updated_at")),
        }

    def create_version(self, request: Request, property_id: str) -> Answer:
        row, body = self._store.property(property_id), request.json()
        source = self._store.version(row, str(body.get("createFromVersion")))
        etag = body.get("createFromVersionEtag")
        if etag is not None and etag != source["etag"]:
            detail = "The version to create from was changed since you read it; its ETag is another one."
            raise papi_problem(400, "property-version/etag-mismatch", "Bad Request", detail)
        query = self.query(request, row.integer("id"))
        number = self._store.copy(row, source, request.actor, self._now())
        link = f"{BASE}/properties/{prefixed(request, 'prp', row.integer('id'))}/versions/{number}{query}"
        return Answer.json({"versionLink": link}, 201, {"Location": link})

    def list_hostnames(self, request: Request, property_id: str, version: str) -> Answer:
        row = self._store.property(property_id)
        found = self._store.version(row, version)
        items: list[Json] = [
            {
                "cnameFrom": name,
                "cnameTo": f"{name}.edgesuite.net",
                "cnameType": "EDGE_HOSTNAME",
                "edgeHostnameId": prefixed(request, "ehn", 1),
                "certProvisioningType": "CPS_MANAGED",
            }
            for name in self._store.hostnames(row)
        ]
        facts: dict[str, Json] = {
            **self.where(request, row.integer("id")),
            "etag": found.text("etag"),
            "propertyId": prefixed(request, "prp", row.integer("id")),
            "propertyVersion": found.integer("version"),
            "hostnames": {"items": items},
        }
        return Answer.json(facts, headers={"ETag": f'"{found.text("etag")}"'})

    def _place(self, property_id: int) -> tuple[str, str]:
        """Contract and group."""
        found = self._config.properties[property_id]
        return found.contract, str(found.group)

    def where(self, request: Request, property_id: int) -> dict[str, Json]:
        """Who asks for it under another contract or group does not find it."""
        contract, group = self._place(property_id)
        asked = (bare(request.query("contractId") or contract, "ctr"), bare(request.query("groupId") or group, "grp"))
        if asked != (contract, group):
            raise missing("property")
        return {
            "accountId": prefixed(request, "act", self._config.account),
            "contractId": prefixed(request, "ctr", contract),
            "groupId": prefixed(request, "grp", group),
        }

    def query(self, request: Request, property_id: int) -> str:
        where = self.where(request, property_id)
        return f"?contractId={where['contractId']}&groupId={where['groupId']}"

    def property_json(self, request: Request, row: Row) -> Json:
        return {
            **self.where(request, row.integer("id")),
            "assetId": ASSET,
            "propertyId": prefixed(request, "prp", row.integer("id")),
            "propertyName": row.text("name"),
            "latestVersion": self._store.latest(row),
            "stagingVersion": _version(row, "staging_version"),
            "productionVersion": _version(row, "production_version"),
            "note": "",
            "productId": PRODUCT,
        }


def _version(row: Row, column: str) -> int | None:
    return None if row[column] is None else row.integer(column)
