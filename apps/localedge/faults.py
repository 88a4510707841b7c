"""Trouble on demand, for tests: what a network of servers does on a bad day."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request
from apps.localedge.problems import bad_request, edgekv_problem, edgeworkers_problem
from apps.localedge.vendor_errors import answer_named, is_known

_EDGEKV = "/edgekv/"
_CODES = {429: ("EKV_9100", "EW3101"), 500: ("EKV_0000", "EW4303")}


@dataclass(slots=True)
class Rule:
    """The next ``times`` matching calls answer ``status``; with ``after`` they take effect all the same.

    ``error`` names one of Akamai's errors instead of a bare status; ``headers`` go out with either.
    """

    method: str
    path: re.Pattern[str]
    status: int
    times: int
    delay: float
    after: bool
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def matches(self, request: Request) -> bool:
        return self.times > 0 and self.method in ("*", request.method) and bool(self.path.fullmatch(request.path))


@dataclass(slots=True)
class Faults:
    """Thread-safe. ``refused`` counts the calls that met a limit of the account, injected faults not among them."""

    rules: list[Rule] = field(default_factory=list)
    activation_results: list[str] = field(default_factory=list)
    validation_errors: list[str] = field(default_factory=list)
    property_results: list[str] = field(default_factory=list)
    hits_per_second: int | None = None
    refused: int = 0
    _hits: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, body: Mapping[str, Json]) -> None:
        """Replaces all faults; an empty object ends them."""
        rules = [_rule(cast("Mapping[str, Json]", raw)) for raw in cast("list[Json]", body.get("rules", []))]
        results = [str(result) for result in cast("list[Json]", body.get("activation_results", []))]
        findings = [str(kind) for kind in cast("list[Json]", body.get("validation_errors", []))]
        limit = body.get("edgekv_hits_per_second")
        with self._lock:
            self.rules = rules
            self.activation_results = results
            self.validation_errors = findings
            self.property_results = [str(one) for one in cast("list[Json]", body.get("property_results", []))]
            self.hits_per_second = None if limit is None else int(cast("int", limit))
            self._hits = []

    def as_json(self) -> Json:
        with self._lock:
            return {
                "rules": [
                    {"method": r.method, "path": r.path.pattern, "status": r.status, "times": r.times}
                    for r in self.rules
                ],
                "activation_results": list[Json](self.activation_results),
                "property_results": list[Json](self.property_results),
                "edgekv_hits_per_second": self.hits_per_second,
                "refused": self.refused,
            }

    def claim(self, request: Request, at: float) -> Rule | None:
        """The rule this call falls under, used up by one; a throttled call raises at once."""
        with self._lock:
            self._throttle(request, at)
            for rule in self.rules:
                if rule.matches(request):
                    rule.times -= 1
                    return rule
        return None

    def _throttle(self, request: Request, at: float) -> None:
        if self.hits_per_second is None or not request.path.startswith(_EDGEKV):
            return
        self._hits = [hit for hit in self._hits if hit > at - 1] + [at]
        if len(self._hits) > self.hits_per_second:
            detail = (
                f"Your request has been denied: {len(self._hits)} hits per second too high. "
                f"limit set at {self.hits_per_second}. Please try again soon."
            )
            raise edgekv_problem(429, detail, "EKV_9100")

    def count(self, status: int) -> None:
        with self._lock:
            self.refused += status == 429

    def next_property_result(self) -> str | None:
        """As ``next_activation_result``, for a property."""
        with self._lock:
            return self.property_results.pop(0) if self.property_results else None

    def next_activation_result(self) -> str | None:
        """The status the activation that is finishing shall end in, if it shall not end well."""
        with self._lock:
            return self.activation_results.pop(0) if self.activation_results else None


def suffer(rule: Rule, request: Request) -> Answer:
    if rule.delay > 0:
        time.sleep(rule.delay)
    if rule.error:
        return answer_named(rule.error, rule.headers)
    problem = _bare(rule, request)
    return Answer.problem(Problem(problem.status, problem.body, rule.headers))


def _bare(rule: Rule, request: Request) -> Problem:
    kv_code, ew_code = _CODES.get(rule.status, ("EKV_2000" if rule.status < 500 else "EKV_0000", ""))
    if request.path.startswith(_EDGEKV):
        return edgekv_problem(rule.status, "An injected fault", kv_code)
    return edgeworkers_problem(rule.status, "An injected fault", ew_code or None)


def _rule(raw: Mapping[str, Json]) -> Rule:
    error = str(raw.get("error", ""))
    if error and not is_known(error):
        raise bad_request(f"not a fault: there is no error {error}")
    try:
        return Rule(
            method=str(raw.get("method", "*")),
            path=re.compile(str(raw["path"])),
            status=int(cast("int", raw["status"])) if not error else 0,
            error=error,
            headers={
                str(name): str(value) for name, value in cast("Mapping[str, Json]", raw.get("headers", {})).items()
            },
            times=int(cast("int", raw.get("times", 1))),
            delay=float(cast("float", raw.get("delay", 0))),
            after=bool(raw.get("after", False)),
        )
    except (KeyError, ValueError, re.error) as wrong:
        raise bad_request(f"not a fault: {wrong}") from wrong


def answer_of(faults: Faults) -> Answer:
    return Answer.json(faults.as_json())
