"""EdgeWorkers API: code versions and the validation of bundles."""

from __future__ import annotations

import hashlib

from apps.localedge.bundles import CodeBundle, InvalidBundle, unpack
from apps.localedge.config import Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import BASE, MAX_VERSIONS, Clock, EdgeWorkers, iso
from apps.localedge.engine import Json
from apps.localedge.faults import Faults
from apps.localedge.http import Answer, Request, Route, route
from apps.localedge.problems import bad_request, edgeworkers_problem, not_found

_VERSION = f"{BASE}/ids/{{ew_id}}/versions/{{version}}"
_BUSY = ("PRESUBMIT", "PENDING", "IN_PROGRESS")


class Versions:
    def __init__(
        self, *, config: Config, database: Database, edgeworkers: EdgeWorkers, faults: Faults, now: Clock
    ) -> None:
        self._faults = faults
        self._config = config
        self._database = database
        self._edgeworkers = edgeworkers
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        return (
            route("POST", f"{BASE}/validations", self.validate),
            route("GET", f"{BASE}/ids/{{ew_id}}/versions", self.list_versions),
            route("POST", f"{BASE}/ids/{{ew_id}}/versions", self.upload),
            route("GET", _VERSION, self.get_version),
            route("DELETE", _VERSION, self.delete_version),
            route("GET", f"{_VERSION}/content", self.get_content),
        )

    def validate(self, request: Request) -> Answer:
        """Always 200: what is wrong is in the arrays."""
        errors: list[Json] = [{"type": kind, "message": "An injected fault"} for kind in self._faults.validation_errors]
        try:
            unpack(request.body)
        except InvalidBundle as error:
            errors.append({"type": error.type, "message": error.message})
        return Answer.json({"errors": errors, "warnings": []})

    def upload(self, request: Request, ew_id: str) -> Answer:
        owner = self._edgeworkers.row(ew_id)["id"]
        if request.headers.get("content-type", "").partition(";")[0] not in {"application/gzip", "application/x-gzip"}:
            raise bad_request("Send the bundle as application/gzip")
        version = _checked(request.body).version
        checksum = hashlib.sha256(request.body).hexdigest()
        with self._database.exclusive():
            self._require_free(owner, version)
            self._database.run(
                "INSERT INTO versions (edgeworker_id, version, checksum, content, created_by, created_at)"
                " VALUES (?,?,?,?,?,?)",
                *(owner, version, checksum, request.body, request.actor, self._now()),
            )
        row = self.row(ew_id, version)
        return Answer.json(self._json(row), 201, {"Location": f"{BASE}/ids/{ew_id}/versions/{version}"})

    def _require_free(self, owner: object, version: str) -> None:
        if self._database.count("SELECT count(*) FROM versions WHERE edgeworker_id=? AND version=?", owner, version):
            raise bad_request(f"Version {version} was used before; choose another version")
        recent = "SELECT count(*) FROM versions WHERE created_at>?"
        if self._database.count(recent, self._now() - 60) >= self._config.versions_per_minute:
            detail = f"Version API rate limit exceeded for account {self._config.account}"
            raise edgeworkers_problem(429, detail, "EW3101")
        stored = "SELECT count(*) FROM versions WHERE edgeworker_id=? AND content IS NOT NULL"
        if self._database.count(stored, owner) >= MAX_VERSIONS:
            raise edgeworkers_problem(422, "Version limit reached for EdgeWorker ID", "EW3002")

    def list_versions(self, _request: Request, ew_id: str) -> Answer:
        owner = self._edgeworkers.row(ew_id)["id"]
        rows = self._database.all(
            "SELECT * FROM versions WHERE edgeworker_id=? AND content IS NOT NULL ORDER BY sequence", owner
        )
        return Answer.json({"versions": [self._json(row) for row in rows]})

    def get_version(self, _request: Request, ew_id: str, version: str) -> Answer:
        return Answer.json(self._json(self.row(ew_id, version)))

    def get_content(self, _request: Request, ew_id: str, version: str) -> Answer:
        return Answer(200, self.row(ew_id, version).blob("content"), "application/gzip")

    def delete_version(self, _request: Request, ew_id: str, version: str) -> Answer:
        """The content goes, the name stays taken: a deleted version string can never be used again."""
        row = self.row(ew_id, version)
        with self._database.exclusive():
            if self._in_use(row):
                raise bad_request("This version is active or being activated")
            self._database.run("UPDATE versions SET content=NULL WHERE sequence=?", row["sequence"])
        return Answer(204)

    def _in_use(self, row: Row) -> bool:
        key = (row["edgeworker_id"], row["version"])
        marks = ",".join("?" * len(_BUSY))
        return bool(
            self._database.count("SELECT count(*) FROM active WHERE edgeworker_id=? AND version=?", *key)
            + self._database.count(
                f"SELECT count(*) FROM moves WHERE edgeworker_id=? AND version=? AND status IN ({marks})",  # noqa: S608 - marks only
                *(*key, *_BUSY),
            )
        )

    def row(self, ew_id: str, version: str) -> Row:
        owner = self._edgeworkers.row(ew_id)["id"]
        row = self._database.first(
            "SELECT * FROM versions WHERE edgeworker_id=? AND version=? AND content IS NOT NULL", owner, version
        )
        if row is None:
            raise not_found("version")
        return row

    def bundle(self, ew_id: int, version: str) -> CodeBundle:
        return unpack(self.row(str(ew_id), version).blob("content"))

    def _json(self, row: Row) -> Json:
        return {
            "edgeWorkerId": row.integer("edgeworker_id"),
            "version": row.text("version"),
            "accountId": self._config.account,
            "checksum": row.text("checksum"),
            "createdBy": row.text("created_by"),
            "createdTime": iso(row.real("created_at")),
            "sequenceNumber": row.text("sequence"),
        }


def _checked(content: bytes) -> CodeBundle:
    try:
        return unpack(content)
    except InvalidBundle as error:
        raise bad_request(f"{error.type}: {error.message}") from error
