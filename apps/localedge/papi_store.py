"""Properties, their versions and activations as they lie in the database, and the words PAPI refuses with."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import cast

import orjson

from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import Json
from apps.localedge.http import Problem, Request
from apps.localedge.papi_seed import etag_of

BASE = "/papi/v1"
RULE_FORMAT = "v2025-10-16"
OPEN = "PENDING"
_COLUMN = {"STAGING": "staging_version", "PRODUCTION": "production_version"}


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
    return papi_problem(404, "http/not-found", "Not Found", f"The system was unable to locate the requested {what}.")


def changed_meanwhile() -> Problem:
    detail = "The version was changed since you read it; its ETag is another one."
    return papi_problem(412, "http/precondition-failed", "Precondition Failed", detail)


def prefixed(request: Request, prefix: str, value: object) -> str:
    return f"{prefix}_{value}" if request.headers.get("papi-use-prefixes", "true") == "true" else str(value)


def bare(value: str, prefix: str) -> str:
    return value.removeprefix(f"{prefix}_")


class PapiStore:
    """What became of an activation is found out when somebody asks: nothing runs in the background."""

    def __init__(self, *, database: Database, delays: Mapping[str, float], now: Clock) -> None:
        self._database = database
        self._delays = delays
        self._now = now

    def properties(self) -> list[Row]:
        self.settle()
        return self._database.all("SELECT * FROM papi_properties ORDER BY id")

    def property(self, property_id: str) -> Row:
        for row in self.properties():
            if str(row["id"]) == bare(property_id, "prp"):
                return row
        raise missing("property")

    def hostnames(self, row: Row) -> list[str]:
        return cast("list[str]", orjson.loads(row.text("hostnames")))

    def versions(self, row: Row) -> list[Row]:
        """Newest first."""
        return self._database.all("SELECT * FROM papi_versions WHERE property_id=? ORDER BY version DESC", row["id"])

    def version(self, row: Row, version: str) -> Row:
        for found in self.versions(row):
            if str(found["version"]) == version:
                return found
        raise missing("version")

    def latest(self, row: Row) -> int:
        return self.versions(row)[0].integer("version")

    def copy(self, row: Row, source: Row, actor: str, at: float) -> int:
        with self._database.exclusive():
            number = self.latest(row) + 1
            rules = source.text("rules")
            values = (row["id"], number, rules, etag_of(rules, row.integer("id"), number), "", actor, at)
            self._database.run("INSERT INTO papi_versions VALUES (?,?,?,?,?,?,?)", *values)
        return number

    def write(self, version: Row, rules: str, note: str, actor: str, at: float) -> str:
        """The new ETag."""
        etag = etag_of(rules, version.integer("property_id"), version.integer("version"))
        sql = (
            "UPDATE papi_versions SET rules=?, etag=?, note=?, updated_by=?, updated_at=?"
            " WHERE property_id=? AND version=?"
        )
        self._database.run(sql, rules, etag, note, actor, at, version["property_id"], version["version"])
        return etag

    def was_activated(self, row: Row, version: int) -> bool:
        sql = "SELECT count(*) FROM papi_activations WHERE property_id=? AND version=? AND status!='ABORTED'"
        return version == 1 or bool(self._database.count(sql, row["id"], version))

    def status(self, row: Row, version: int, network: str) -> str:
        if row[_COLUMN[network]] == version:
            return "ACTIVE"
        sql = "SELECT count(*) FROM papi_activations WHERE property_id=? AND version=? AND network=? AND status=?"
        return "PENDING" if self._database.count(sql, row["id"], version, network, OPEN) else "INACTIVE"

    # Activations

    def activations(self, row: Row) -> list[Row]:
        """Newest first."""
        self.settle()
        return self._database.all("SELECT * FROM papi_activations WHERE property_id=? ORDER BY id DESC", row["id"])

    def begin(self, row: Row, facts: Mapping[str, object]) -> int:
        names = ("version", "network", "kind", "result", "note", "emails")
        at = self._now()
        sql = (
            "INSERT INTO papi_activations (property_id, version, network, kind, result, note, emails, status,"
            " submitted_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?)"
        )
        return self._database.run(sql, row["id"], *(facts[name] for name in names), OPEN, at, at)

    def end(self, activation: Row, status: str) -> None:
        self._database.run(
            "UPDATE papi_activations SET status=?, updated_at=? WHERE id=?", status, self._now(), activation["id"]
        )

    def elapsed(self, activation: Row) -> float:
        """From 0 to 1: how far it is."""
        delay = max(self._delays[activation.text("network")], 0.001)
        return min((self._now() - activation.real("submitted_at")) / delay, 1.0)

    def remaining(self, activation: Row) -> float:
        """Seconds."""
        return self._delays[activation.text("network")] * (1 - self.elapsed(activation))

    def settle(self) -> None:
        with self._database.exclusive():
            for one in self._database.all("SELECT * FROM papi_activations WHERE status=? ORDER BY id", OPEN):
                if self.elapsed(one) >= 1:
                    self._arrive(one)

    def _arrive(self, one: Row) -> None:
        self.end(one, one.text("result"))
        if one["result"] not in ("ACTIVE", "DEACTIVATED"):
            return
        column, live = _COLUMN[one.text("network")], one["version"] if one["result"] == "ACTIVE" else None
        superseded = (
            "UPDATE papi_activations SET status='INACTIVE'"
            " WHERE property_id=? AND network=? AND status='ACTIVE' AND id!=?"
        )
        self._database.run(superseded, one["property_id"], one["network"], one["id"])
        self._database.run(f"UPDATE papi_properties SET {column}=? WHERE id=?", live, one["property_id"])  # noqa: S608 - one of two names above
