"""Property Manager's rule trees: read, judged, replaced. An invalid tree is kept, but cannot be activated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import cast

import orjson

from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Request, Route, route
from apps.localedge.papi import Papi
from apps.localedge.papi_seed import etag_of
from apps.localedge.papi_store import BASE, RULE_FORMAT, PapiStore, changed_meanwhile, papi_problem, prefixed

MEDIA_TYPE = f"application/vnd.akamai.papirules.{RULE_FORMAT}+json"
_FORMAT = re.compile(r"application/vnd\.akamai\.papirules\.(v\d{4}-\d\d-\d\d|latest)\+json")
_PROBLEMS = "https://problems.luna.akamaiapis.net/papi/v0/validation"
_VARIABLE = re.compile(r"PMUSER_[A-Za-z0-9_]{1,25}")

Rules = Mapping[str, Json]


class PapiRules:
    def __init__(self, *, papi: Papi, store: PapiStore, database: Database, now: Clock) -> None:
        self._papi = papi
        self._store = store
        self._database = database
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        address = f"{BASE}/properties/{{property_id}}/versions/{{version}}/rules"
        return (route("GET", address, self.get_rules), route("PUT", address, self.put_rules))

    def get_rules(self, request: Request, property_id: str, version: str) -> Answer:
        _require_format(request.headers.get("accept", ""), 406)
        row = self._store.property(property_id)
        found = self._store.version(row, version)
        return self._answer(request, found, orjson.loads(found.text("rules")), found.text("etag"))

    def put_rules(self, request: Request, property_id: str, version: str) -> Answer:
        """Replaces the whole tree, if it still is the one the caller read. ``dryRun`` only judges."""
        _require_format(request.headers.get("content-type", ""), 415)
        row, body = self._store.property(property_id), request.json()
        rules = body.get("rules")
        if not isinstance(rules, Mapping) or not rules.get("name") or not isinstance(rules.get("behaviors"), list):
            raise papi_problem(400, "http/bad-request", "Bad Request", "rules must have a name and behaviors")
        with self._database.exclusive():
            found = self._store.version(row, version)
            if self._store.was_activated(row, found.integer("version")):
                detail = "This version is or was active and can no longer be edited. Create a new one from it."
                raise papi_problem(400, "property-version/not-editable", "Version Not Editable", detail)
            if request.headers.get("if-match", "").strip('"') != found.text("etag"):
                raise changed_meanwhile()
            text = orjson.dumps(rules).decode()
            if request.query("dryRun") == "true":
                etag = etag_of(text, row.integer("id"), found.integer("version"))
            else:
                note = str(body.get("comments") or "")
                etag = self._store.write(found, text, note, request.actor, self._now())
        return self._answer(request, found, rules, etag)

    def _answer(self, request: Request, version: Row, rules: Rules, etag: str) -> Answer:
        body: dict[str, Json] = {
            **self._papi.where(request, version.integer("property_id")),
            "propertyId": prefixed(request, "prp", version.integer("property_id")),
            "propertyVersion": version.integer("version"),
            "etag": etag,
            "ruleFormat": RULE_FORMAT,
            "rules": dict(rules),
        }
        if request.query("validateRules") != "false":
            errors, warnings = self.judge(rules)
            body |= {"errors": errors} if errors else {}
            body |= {"warnings": warnings} if warnings else {}
        return Answer(200, orjson.dumps(body), MEDIA_TYPE, {"ETag": f'"{etag}"'})

    def judge(self, rules: Rules) -> tuple[list[Json], list[Json]]:
        """Errors and warnings, each with where it is."""
        errors = [*self._edgeworker_errors(rules), *self._reference_errors(rules), *_variable_errors(rules)]
        return errors, list(_warnings(rules))

    def _edgeworker_errors(self, rules: Rules) -> Iterator[Json]:
        known = {str(row["id"]) for row in self._database.all("SELECT id FROM edgeworkers")}
        for place, behaviour in _behaviours(rules, "#/rules"):
            options = cast("Rules", behaviour.get("options") or {})
            if behaviour.get("name") == "edgeWorker" and options.get("edgeWorkerId") not in known:
                detail = f"There is no EdgeWorker {options.get('edgeWorkerId')!r} in this account."
                yield _issue("generic_behavior_issue.edgeworker_unknown", detail, place)

    def _reference_errors(self, rules: Rules) -> Iterator[Json]:
        """Streams and client certificates that are not there."""
        streams = {str(row["id"]) for row in self._database.all("SELECT id FROM streams")}
        signed = "SELECT guid FROM certificate_versions WHERE certificate IS NOT NULL"
        guids = {str(row["guid"]) for row in self._database.all(signed)}
        for place, behaviour in _behaviours(rules, "#/rules"):
            options = cast("Rules", behaviour.get("options") or {})
            if behaviour.get("name") == "datastream":
                for one in cast("list[Json]", options.get("logStreamName") or []):
                    if str(one) not in streams:
                        yield _issue("datastream_unknown", f"There is no stream {one!r} in this account.", place)
            guid = options.get("clientCertificateVersionGuid")
            if behaviour.get("name") == "mtlsOriginKeystore" and guid not in guids:
                detail = f"There is no client certificate version {guid!r} in this account."
                yield _issue("client_certificate_unknown", detail, place)


def _require_format(header: str, status: int) -> None:
    """A dated format, as Akamai recommends; plain JSON is taken as the one there is."""
    kind = header.partition(";")[0].strip()
    match = _FORMAT.fullmatch(kind)
    if match and match[1] in (RULE_FORMAT, "latest"):
        return
    if match or kind not in ("", "*/*", "application/json"):
        title = "Not Acceptable" if status == 406 else "Unsupported Media Type"
        raise papi_problem(status, "http/rule-format", title, f"This rule format is not served here: {kind}")


def _behaviours(rules: Rules, place: str) -> Iterator[tuple[str, Rules]]:
    for number, one in enumerate(cast("list[Rules]", rules.get("behaviors") or [])):
        yield f"{place}/behaviors/{number}", one
    for number, child in enumerate(cast("list[Rules]", rules.get("children") or [])):
        yield from _behaviours(child, f"{place}/children/{number}")


def _variable_errors(rules: Rules) -> Iterator[Json]:
    for number, one in enumerate(cast("list[Rules]", rules.get("variables") or [])):
        if not _VARIABLE.fullmatch(str(one.get("name", ""))):
            detail = f"A variable's name must begin with PMUSER_: {one.get('name')!r}."
            yield _issue("variable_name", detail, f"#/rules/variables/{number}")


def _warnings(rules: Rules) -> Iterator[Json]:
    for place, behaviour in _behaviours(rules, "#/rules"):
        options = cast("Rules", behaviour.get("options") or {})
        if behaviour.get("name") == "origin" and "verificationMode" not in options:
            yield _issue("ssl_custom_warning", "The origin's certificate is not verified.", place)
        if behaviour.get("name") == "edgeWorker" and options.get("continueOnError"):
            yield _issue("edgeworker_continue", "A failing EdgeWorker lets the request pass.", place)


def _issue(kind: str, detail: str, place: str) -> Json:
    message = hashlib.sha256(f"{kind} {place} {detail}".encode()).hexdigest()[:40]
    return {"type": f"{_PROBLEMS}/{kind}", "detail": detail, "errorLocation": place, "messageId": f"msg_{message}"}
