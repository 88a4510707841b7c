"""EdgeWorkers API: asking for versions to be moved onto and off a network, and watching them move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from apps.localedge.config import NETWORKS, Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import BASE, Clock, EdgeWorkers, iso, whole
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Request, Route, route
from apps.localedge.problems import bad_request, edgeworkers_problem, not_found
from apps.localedge.versions import Versions

MAX_NOTE = 128
UNFINISHED = ("PRESUBMIT", "PENDING", "IN_PROGRESS")
CANCELLABLE = ("PRESUBMIT", "PENDING")
_ALREADY = {"activation": ("activated", "EW1021"), "deactivation": ("deactivated", "EW1031")}


class Activations:
    """Both kinds of move are rows; ``wake`` tells whoever carries them out that there is a new one."""

    def __init__(
        self,
        *,
        config: Config,
        database: Database,
        edgeworkers: EdgeWorkers,
        versions: Versions,
        wake: Callable[[], None],
        now: Clock,
    ) -> None:
        self._config = config
        self._database = database
        self._edgeworkers = edgeworkers
        self._versions = versions
        self._wake = wake
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        here = f"{BASE}/ids/{{ew_id}}"
        return (
            route("POST", f"{here}/activations", self.activate),
            route("GET", f"{here}/activations", self.list_activations),
            route("POST", f"{here}/activations/rollback", self.rollback),
            route("GET", f"{here}/activations/{{move_id}}", self.get_activation),
            route("DELETE", f"{here}/activations/{{move_id}}", self.cancel),
            route("POST", f"{here}/deactivations", self.deactivate),
            route("GET", f"{here}/deactivations", self.list_deactivations),
            route("GET", f"{here}/deactivations/{{move_id}}", self.get_deactivation),
        )

    # Asking

    def activate(self, request: Request, ew_id: str) -> Answer:
        body = request.json()
        version, network = _version(body), _network(body)
        self._versions.row(ew_id, version)
        return self._begin("activation", request, ew_id, version, network, _note(body))

    def rollback(self, request: Request, ew_id: str) -> Answer:
        """Activates again what was live before what is live now."""
        body = request.json()
        network = _network(body)
        owner = self._edgeworkers.row(ew_id)["id"]
        previous = self._database.first(
            "SELECT m.version FROM moves m JOIN versions v ON v.edgeworker_id=m.edgeworker_id AND v.version=m.version"
            " WHERE m.kind='activation' AND m.edgeworker_id=? AND m.network=? AND m.status='COMPLETE'"
            " AND v.content IS NOT NULL AND m.version NOT IN"
            " (SELECT version FROM active WHERE edgeworker_id=? AND network=?) ORDER BY m.id DESC LIMIT 1",
            *(owner, network, owner, network),
        )
        if previous is None:
            raise bad_request("There is no previous version to roll back to")
        return self._begin("activation", request, ew_id, str(previous["version"]), network, _note(body))

    def deactivate(self, request: Request, ew_id: str) -> Answer:
        body = request.json()
        version, network = _version(body), _network(body)
        owner = self._versions.row(ew_id, version)["edgeworker_id"]
        live = self._active(owner, network)
        if live is None or live["version"] != version:
            raise bad_request("This version has already been deactivated", "EW1032")
        return self._begin("deactivation", request, ew_id, version, network, _note(body))

    def _begin(self, kind: str, request: Request, ew_id: str, version: str, network: str, note: str | None) -> Answer:
        at = self._now()
        owner = self._edgeworkers.row(ew_id)["id"]
        with self._database.exclusive():
            self._require_possible(kind, owner, version, network, at)
            new = 1 + self._database.count("SELECT coalesce(max(id), 0) FROM moves WHERE kind=?", kind)
            self._database.run(
                "INSERT INTO moves (kind, id, edgeworker_id, version, network, note, status, created_by, created_at,"
                " modified_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
                *(kind, new, owner, version, network, note, "PRESUBMIT", request.actor, at, at),
            )
        self._wake()
        location = f"{BASE}/ids/{ew_id}/{kind}s/{new}"
        return Answer.json(self._json(self._move(kind, ew_id, str(new))), 201, {"Location": location})

    def _require_possible(self, kind: str, owner: object, version: str, network: str, at: float) -> None:
        where = f"on {network.lower()}"
        verb, code = _ALREADY[kind]
        under_way = self._database.all(
            "SELECT status FROM moves WHERE kind=? AND edgeworker_id=? AND version=? AND network=?",
            *(kind, owner, version, network),
        )
        if any(row["status"] in UNFINISHED for row in under_way):
            raise bad_request(f"This version is already being {verb} {where}", code)
        live = self._active(owner, network)
        if kind == "activation" and live is not None and live["version"] == version:
            raise bad_request(f"This version is already active {where}", code)
        recent = "SELECT count(*) FROM moves WHERE kind='activation' AND network=? AND created_at>?"
        if self._database.count(recent, network, at - 60) >= self._config.activations_per_minute:
            self._too_many()
        today = "SELECT count(*) FROM moves WHERE kind='activation' AND created_at>?"
        if self._database.count(today, at - 86_400) >= self._config.activations_per_day:
            self._too_many()

    def _too_many(self) -> NoReturn:
        detail = f"Activation API rate limit exceeded for account {self._config.account}"
        raise edgeworkers_problem(429, detail, "EW3101")

    def cancel(self, _request: Request, ew_id: str, move_id: str) -> Answer:
        with self._database.exclusive():
            row = self._move("activation", ew_id, move_id)
            if row["status"] not in CANCELLABLE:
                raise bad_request(f"An activation that is {row.text('status')} cannot be cancelled")
            self._database.run(
                "UPDATE moves SET status='CANCELLED', modified_at=? WHERE kind='activation' AND id=?",
                *(self._now(), row["id"]),
            )
        return Answer.json(self._json(self._move("activation", ew_id, move_id)))

    # Looking

    def list_activations(self, request: Request, ew_id: str) -> Answer:
        rows = self._moves("activation", ew_id)
        wanted = {"version": request.query("version"), "network": request.query("network")}
        rows = [row for row in rows if all(value in (None, row[name]) for name, value in wanted.items())]
        if request.query("activeOnNetwork") == "true":
            owner = self._edgeworkers.row(ew_id)["id"]
            live = {
                row["activation_id"] for row in self._database.all("SELECT * FROM active WHERE edgeworker_id=?", owner)
            }
            rows = [row for row in rows if row["id"] in live]
        return Answer.json({"activations": [self._json(row) for row in rows]})

    def list_deactivations(self, request: Request, ew_id: str) -> Answer:
        version = request.query("version")
        rows = [row for row in self._moves("deactivation", ew_id) if version in (None, row["version"])]
        return Answer.json({"deactivations": [self._json(row) for row in rows]})

    def get_activation(self, _request: Request, ew_id: str, move_id: str) -> Answer:
        return Answer.json(self._json(self._move("activation", ew_id, move_id)))

    def get_deactivation(self, _request: Request, ew_id: str, move_id: str) -> Answer:
        return Answer.json(self._json(self._move("deactivation", ew_id, move_id)))

    def _moves(self, kind: str, ew_id: str) -> list[Row]:
        """Newest first."""
        owner = self._edgeworkers.row(ew_id)["id"]
        return self._database.all("SELECT * FROM moves WHERE kind=? AND edgeworker_id=? ORDER BY id DESC", kind, owner)

    def _move(self, kind: str, ew_id: str, move_id: str) -> Row:
        owner = self._edgeworkers.row(ew_id)["id"]
        number = whole(move_id, kind)
        row = self._database.first("SELECT * FROM moves WHERE kind=? AND edgeworker_id=? AND id=?", kind, owner, number)
        if row is None:
            raise not_found(kind)
        return row

    def _active(self, owner: object, network: str) -> Row | None:
        return self._database.first("SELECT * FROM active WHERE edgeworker_id=? AND network=?", owner, network)

    def _json(self, row: Row) -> Json:
        facts: dict[str, Json] = {
            f"{row.text('kind')}Id": row.integer("id"),
            "edgeWorkerId": row.integer("edgeworker_id"),
            "version": row.text("version"),
            "accountId": self._config.account,
            "status": row.text("status"),
            "network": row.text("network"),
            "createdBy": row.text("created_by"),
            "createdTime": iso(row.real("created_at")),
            "lastModifiedTime": iso(row.real("modified_at")),
        }
        return {**facts, "note": row.text("note")} if row["note"] is not None else facts


def _version(body: Mapping[str, Json]) -> str:
    version = body.get("version")
    if not isinstance(version, str):
        raise bad_request("version must be a text")
    return version


def _network(body: Mapping[str, Json]) -> str:
    network = body.get("network")
    if network not in NETWORKS:
        raise bad_request("network must be STAGING or PRODUCTION")
    return str(network)


def _note(body: Mapping[str, Json]) -> str | None:
    note = body.get("note")
    if note is None:
        return None
    if not isinstance(note, str) or not 1 <= len(note) <= MAX_NOTE:
        raise bad_request(f"note must be a text of 1 to {MAX_NOTE} characters")
    return note
