"""EdgeWorkers API: who may do what, which tiers and limits there are, and the EdgeWorker ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from apps.localedge.config import Config, Group
from apps.localedge.database import Database, Row
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Request, Route, route
from apps.localedge.problems import bad_request, edgeworkers_problem, not_found
from apps.localedge.tiers import Tier, UnknownTier, tier_with_id

BASE = "/edgeworkers/v1"
MAX_IDS = 200
MAX_VERSIONS = 1000
MAX_DESCRIPTION = 128
PROPERTY_ID = 1
_CAPABILITIES: list[Json] = ["VIEW", "EDIT", "VIEW_VERSION", "CREATE_VERSION", "VIEW_ACTIVATION", "ACTIVATE"]

Clock = Callable[[], float]


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole(text: str, what: str) -> int:
    """Path and query parameters that must be ids."""
    if not text.isascii() or not text.isdigit():
        raise not_found(what)
    return int(text)


class EdgeWorkers:
    """``now`` is the one clock of the control plane. ``users`` tells which properties name an id in their rules."""

    def __init__(
        self,
        *,
        config: Config,
        database: Database,
        tiers: tuple[Tier, ...],
        users: Callable[[int, bool], list[Json]],
        now: Clock,
    ) -> None:
        self._config = config
        self._database = database
        self._tiers = tiers
        self._users = users
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", f"{BASE}/groups", self.list_groups),
            route("GET", f"{BASE}/groups/{{group_id}}", self.get_group),
            route("GET", f"{BASE}/contracts", self.list_contracts),
            route("GET", f"{BASE}/resource-tiers", self.list_tiers),
            route("GET", f"{BASE}/limits", self.list_limits),
            route("GET", f"{BASE}/ids", self.list_ids),
            route("POST", f"{BASE}/ids", self.create_id),
            route("GET", f"{BASE}/ids/{{ew_id}}", self.get_id),
            route("PUT", f"{BASE}/ids/{{ew_id}}", self.update_id),
            route("DELETE", f"{BASE}/ids/{{ew_id}}", self.delete_id),
            route("POST", f"{BASE}/ids/{{ew_id}}/clone", self.clone_id),
            route("GET", f"{BASE}/ids/{{ew_id}}/resource-tier", self.get_tier),
            route("GET", f"{BASE}/ids/{{ew_id}}/properties", self.list_properties),
        )

    def list_groups(self, _request: Request) -> Answer:
        return Answer.json({"groups": [_group_json(group) for group in self._config.groups]})

    def get_group(self, _request: Request, group_id: str) -> Answer:
        return Answer.json(_group_json(self._group(whole(group_id, "group"))))

    def list_contracts(self, _request: Request) -> Answer:
        return Answer.json({"contractIds": list(self._config.contracts)})

    def list_tiers(self, request: Request) -> Answer:
        contract = request.query("contractId")
        if contract is None:
            raise bad_request("contractId must be given")
        if contract not in self._config.contracts:
            raise not_found("contract")
        return Answer.json({"resourceTiers": [tier.as_json() for tier in self._tiers]})

    def list_limits(self, _request: Request) -> Answer:
        limits: list[tuple[str, str, int]] = [
            ("ew-id-per-account-limit", "Maximum number of EdgeWorker IDs per account", MAX_IDS),
            ("version-per-ew-id-limit", "Maximum number of versions per EdgeWorker ID", MAX_VERSIONS),
            (
                "activation-per-network-per-minute-limit",
                "Maximum number of activations each minute on a network per account",
                self._config.activations_per_minute,
            ),
            (
                "activation-per-day-limit",
                "Maximum number of activations each day per account",
                self._config.activations_per_day,
            ),
            (
                "version-per-minute-limit",
                "Maximum number of EdgeWorker versions each minute per account",
                self._config.versions_per_minute,
            ),
        ]
        return Answer.json({"limits": [{"limitId": i, "limitName": n, "limitValue": v} for i, n, v in limits]})

    def list_ids(self, request: Request) -> Answer:
        wanted = {
            name: request.query(query) for name, query in (("group_id", "groupId"), ("tier_id", "resourceTierId"))
        }
        rows = [
            row
            for row in self._database.all("SELECT * FROM edgeworkers ORDER BY id")
            if all(value is None or str(row[name]) == value for name, value in wanted.items())
        ]
        return Answer.json({"edgeWorkerIds": [self._id_json(row) for row in rows]})

    def create_id(self, request: Request) -> Answer:
        body = request.json()
        group = self._group(_integer(body, "groupId"))
        tier = self._tier(_integer(body, "resourceTierId"))
        return self._created(self._insert(request.actor, _name(body), group.id, tier.id, _description(body), None))

    def get_id(self, _request: Request, ew_id: str) -> Answer:
        return Answer.json(self._id_json(self.row(ew_id)))

    def update_id(self, request: Request, ew_id: str) -> Answer:
        row, body = self.row(ew_id), request.json()
        name = _name(body) if "name" in body else row["name"]
        group = self._group(_integer(body, "groupId")).id if "groupId" in body else row["group_id"]
        description = _description(body) if "description" in body else row["description"]
        with self._database.exclusive():
            self._database.run(
                "UPDATE edgeworkers SET name=?, group_id=?, description=?, modified_by=?, modified_at=? WHERE id=?",
                *(name, group, description, request.actor, self._now(), row["id"]),
            )
        return Answer.json(self._id_json(self.row(ew_id)))

    def delete_id(self, _request: Request, ew_id: str) -> Answer:
        row = self.row(ew_id)
        with self._database.exclusive():
            if self._database.count("SELECT count(*) FROM active WHERE edgeworker_id=?", row["id"]):
                raise bad_request("This EdgeWorker ID has an active version")
            self._database.run("DELETE FROM versions WHERE edgeworker_id=?", row["id"])
            self._database.run("DELETE FROM moves WHERE edgeworker_id=?", row["id"])
            self._database.run("DELETE FROM edgeworkers WHERE id=?", row["id"])
        return Answer(204)

    def clone_id(self, request: Request, ew_id: str) -> Answer:
        """A new id on another tier; versions stay with the old one."""
        row, body = self.row(ew_id), request.json()
        tier = self._tier(_integer(body, "resourceTierId"))
        group = self._group(_integer(body, "groupId")).id if "groupId" in body else row.integer("group_id")
        name = _name(body) if "name" in body else row.text("name")
        return self._created(self._insert(request.actor, name, group, tier.id, None, row.integer("id")))

    def get_tier(self, _request: Request, ew_id: str) -> Answer:
        return Answer.json(self.tier_of(self.row(ew_id)).as_json())

    def list_properties(self, request: Request, ew_id: str) -> Answer:
        used = self._users(self.row(ew_id).integer("id"), request.query("activeOnly") == "true")
        return Answer.json({"properties": used, "limitedAccessToProperties": False})

    def bound_id(self) -> int | None:
        """The id that is run here, whatever the property says: the configured one, or the first that was created."""
        if self._config.edgeworker_id is not None:
            return self._config.edgeworker_id
        first = self._database.first("SELECT min(id) AS id FROM edgeworkers")
        return None if first is None or first["id"] is None else first.integer("id")

    def row(self, ew_id: str) -> Row:
        row = self._database.first("SELECT * FROM edgeworkers WHERE id=?", whole(ew_id, "EdgeWorker ID"))
        if row is None:
            raise not_found("EdgeWorker ID")
        return row

    def tier_of(self, row: Row) -> Tier:
        return tier_with_id(self._tiers, row.integer("tier_id"))

    def _insert(
        self, actor: str, name: str, group_id: int, tier_id: int, description: str | None, source: int | None
    ) -> Row:
        at = self._now()
        with self._database.exclusive():
            if self._database.count("SELECT count(*) FROM edgeworkers") >= MAX_IDS:
                raise edgeworkers_problem(422, "EW ID limit reached for account ID", "EW3002")
            new = self._database.run(
                "INSERT INTO edgeworkers (name, description, group_id, tier_id, source_id, created_by, created_at,"
                " modified_by, modified_at) VALUES (?,?,?,?,?,?,?,?,?)",
                *(name, description, group_id, tier_id, source, actor, at, actor, at),
            )
        return self.row(str(new))

    def _created(self, row: Row) -> Answer:
        return Answer.json(self._id_json(row), 201, {"Location": f"{BASE}/ids/{row.integer('id')}"})

    def _id_json(self, row: Row) -> Json:
        facts: dict[str, Json] = {
            "edgeWorkerId": row.integer("id"),
            "name": row.text("name"),
            "accountId": self._config.account,
            "groupId": row.integer("group_id"),
            "resourceTierId": row.integer("tier_id"),
            "createdBy": row.text("created_by"),
            "createdTime": iso(row.real("created_at")),
            "lastModifiedBy": row.text("modified_by"),
            "lastModifiedTime": iso(row.real("modified_at")),
        }
        if row["description"] is not None:
            facts["description"] = row.text("description")
        if row["source_id"] is not None:
            facts["sourceEdgeWorkerId"] = row.integer("source_id")
        return facts

    def _group(self, group_id: int) -> Group:
        for group in self._config.groups:
            if group.id == group_id:
                return group
        raise edgeworkers_problem(403, "The client does not have the grant needed for the request")

    def _tier(self, tier_id: int) -> Tier:
        try:
            return tier_with_id(self._tiers, tier_id)
        except UnknownTier as error:
            raise bad_request("The resource tier does not exist") from error


def _group_json(group: Group) -> Json:
    return {"groupId": group.id, "groupName": group.name, "capabilities": _CAPABILITIES}


def _integer(body: Mapping[str, Json], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(f"{name} must be an integer")
    return value


def _name(body: Mapping[str, Json]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise bad_request("name must be a text")
    return name


def _description(body: Mapping[str, Json]) -> str | None:
    description = body.get("description")
    if description is None:
        return None
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
        raise bad_request(f"description must be a text of at most {MAX_DESCRIPTION} characters")
    return description
