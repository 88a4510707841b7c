"""Property Manager's activations: what is not valid is refused, and every warning has to be acknowledged by its id."""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson

from apps.localedge.database import Row
from apps.localedge.edgeworkers import Clock, iso
from apps.localedge.engine import Json
from apps.localedge.faults import Faults
from apps.localedge.http import Answer, Problem, Request, Route, route
from apps.localedge.papi import Papi
from apps.localedge.papi_rules import PapiRules
from apps.localedge.papi_store import BASE, OPEN, PapiStore, bare, missing, papi_problem, prefixed

_STAGES = ("NEW", "PENDING", "ZONE_1", "ZONE_2", "ZONE_3")


class PapiActivations:
    def __init__(self, *, papi: Papi, store: PapiStore, rules: PapiRules, faults: Faults, now: Clock) -> None:
        self._papi = papi
        self._store = store
        self._rules = rules
        self._faults = faults
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        address = f"{BASE}/properties/{{property_id}}/activations"
        return (
            route("GET", address, self.list_activations),
            route("POST", address, self.activate),
            route("GET", f"{address}/{{activation_id}}", self.get_activation),
            route("DELETE", f"{address}/{{activation_id}}", self.cancel),
        )

    def list_activations(self, request: Request, property_id: str) -> Answer:
        row = self._store.property(property_id)
        return self._answer(request, row, self._store.activations(row))

    def get_activation(self, request: Request, property_id: str, activation_id: str) -> Answer:
        row = self._store.property(property_id)
        found = self._activation(row, activation_id)
        answer = self._answer(request, row, [found])
        if found["status"] != OPEN:
            return answer
        wait = math.ceil(self._store.remaining(found))
        return Answer(200, answer.body, answer.content_type, {"Retry-After": str(wait)})

    def activate(self, request: Request, property_id: str) -> Answer:
        row, body = self._store.property(property_id), request.json()
        version = self._store.version(row, str(body.get("propertyVersion")))
        network, kind = str(body.get("network")), str(body.get("activationType") or "ACTIVATE")
        if network not in ("STAGING", "PRODUCTION") or not body.get("notifyEmails"):
            raise papi_problem(400, "http/bad-request", "Bad Request", "network and notifyEmails must be given")
        if any(one["network"] == network and one["status"] == OPEN for one in self._store.activations(row)):
            raise _still_pending(row, version)
        if kind == "ACTIVATE":
            self._require_fit(version, body)
        number = self._store.begin(
            row,
            {
                "version": version["version"],
                "network": network,
                "kind": kind,
                "result": self._faults.next_property_result() or ("ACTIVE" if kind == "ACTIVATE" else "DEACTIVATED"),
                "note": str(body.get("note") or ""),
                "emails": orjson.dumps(body["notifyEmails"]).decode(),
            },
        )
        link = f"{BASE}/properties/{prefixed(request, 'prp', row['id'])}/activations/{prefixed(request, 'atv', number)}"
        return Answer.json(
            {"activationLink": f"{link}{self._papi.query(request, row.integer('id'))}"}, 201, {"Location": link}
        )

    def _require_fit(self, version: Row, body: Mapping[str, Json]) -> None:
        errors, warnings = self._rules.judge(orjson.loads(version.text("rules")))
        if errors:
            detail = "The version has errors and cannot be activated."
            raise papi_problem(400, "activation/validation-failed", "Validation Failed", detail, errors=errors)
        named = body.get("acknowledgeWarnings") or []
        left = [one for one in warnings if isinstance(one, Mapping) and one["messageId"] not in list(named)]  # type: ignore[arg-type]  # a list, or the caller's mistake
        if left and not body.get("acknowledgeAllWarnings"):
            detail = "The activation has warnings that were not acknowledged."
            raise papi_problem(400, "activation/warnings", "Unacknowledged Warnings", detail, warnings=list[Json](left))

    def cancel(self, request: Request, property_id: str, activation_id: str) -> Answer:
        row = self._store.property(property_id)
        found = self._activation(row, activation_id)
        if found["status"] != OPEN:
            detail = "Only a pending activation can be cancelled."
            raise papi_problem(400, "activation/not-pending", "Not Pending", detail)
        self._store.end(found, "ABORTED")
        return self._answer(request, row, [self._activation(row, activation_id)])

    def _activation(self, row: Row, activation_id: str) -> Row:
        for one in self._store.activations(row):
            if str(one["id"]) == bare(activation_id, "atv"):
                return one
        raise missing("activation")

    def _answer(self, request: Request, row: Row, rows: list[Row]) -> Answer:
        items: list[Json] = [self._json(request, row, one) for one in rows]
        return Answer.json({**self._papi.where(request, row.integer("id")), "activations": {"items": items}})

    def _json(self, request: Request, row: Row, one: Row) -> Json:
        status = one.text("status")
        if status == OPEN:
            status = _STAGES[min(int(self._store.elapsed(one) * len(_STAGES)), len(_STAGES) - 1)]
        facts: dict[str, Json] = {
            "activationId": prefixed(request, "atv", one["id"]),
            "activationType": one.text("kind"),
            "network": one.text("network"),
            "note": one.text("note"),
            "notifyEmails": orjson.loads(one.text("emails")),
            "propertyId": prefixed(request, "prp", row["id"]),
            "propertyName": row.text("name"),
            "propertyVersion": one.integer("version"),
            "status": status,
            "submitDate": iso(one.real("submitted_at")),
            "updateDate": iso(one.real("updated_at")),
        }
        return {**facts, "failureCause": {"reason": "An injected fault"}} if status == "FAILED" else facts


def _still_pending(row: Row, version: Row) -> Problem:
    kind = "property_activation_still_pending"
    return Problem(
        422,
        {
            "type": f"https://problems.luna.akamaiapis.net/papi/v1/{kind}",
            "title": "Property Manager Exception",
            "instance": f"{BASE}/activations/",
            "status": 422,
            "errors": [],
            "details": {},
            "messageId": kind,
            "params": [f"Property {row.integer('id')}", f"Version {version.integer('version')}"],
            "result": "ERROR",
        },
    )
