"""Trouble on demand, for tests: what an API server, or what lies before it, does on a bad day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.localcluster.http import Answer, Refused, Request, bad_request

_REASONS = {
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within requested timeout"),
}
_PROXY = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n"


@dataclass(slots=True)
class Rule:
    """For the next ``times`` matching requests; ``skip`` matching ones go by before.

    ``status`` is answered as a ``Status`` object, 502 as a proxy's page. ``status`` 0: the request is served, which is
    of use with ``delay`` (seconds before). ``cut``: half an answer and a closed connection. ``after``: what was asked
    is done all the same. ``retry_after`` is in seconds.
    """

    method: str
    path: re.Pattern[str]
    status: int = 503
    times: int = 1
    skip: int = 0
    delay: float = 0.0
    cut: bool = False
    after: bool = False
    retry_after: int | None = None

    def answer(self) -> Answer:
        if self.status == 502:
            return Answer(502, _PROXY, "text/html", cut=self.cut)
        reason, message = _REASONS.get(self.status, ("", "An injected fault"))
        details = {"retryAfterSeconds": self.retry_after} if self.retry_after else {}
        said = Refused(self.status, reason, message, details=details).answer()
        return Answer(said.status, said.body, said.content_type, said.headers, cut=self.cut)


@dataclass(slots=True)
class Faults:
    rules: list[Rule] = field(default_factory=list)

    def set(self, raw: list[Mapping[str, Any]]) -> None:
        """Replaces all of them. Raises Refused."""
        try:
            self.rules = [_rule(one) for one in raw]
        except (KeyError, TypeError, ValueError, re.error) as error:
            raise bad_request(f"not a fault: {error}") from error

    def claim(self, request: Request) -> Rule | None:
        """The rule this request falls under, used up by one."""
        for rule in self.rules:
            if rule.times < 1 or rule.method not in ("*", request.method) or not rule.path.fullmatch(request.path):
                continue
            if rule.skip:
                rule.skip -= 1
                return None
            rule.times -= 1
            return rule
        return None


def _rule(raw: Mapping[str, Any]) -> Rule:
    given = {
        name: raw[name] for name in ("status", "times", "skip", "delay", "cut", "after", "retry_after") if name in raw
    }
    return Rule(method=str(raw.get("method", "*")), path=re.compile(str(raw["path"])), **given)
