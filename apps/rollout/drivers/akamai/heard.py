"""What Akamai's answers say, beside the answer, of how much may still be done.

Header names as on Akamai's page "Rate and resource limiting": ``X-RateLimit-<limit id>-Limit``, ``-Remaining`` and
``-Reset``, where the limit id is the one ``GET /limits`` lists, for example ``Activation-Per-Network-Per-Minute``.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson
import requests

from apps.rollout.drivers.akamai.calls import call_of

_HEADER = re.compile(r"x-rate-?limit-(?P<name>[a-z-]+?)-(?P<what>limit|remaining|reset)")
_EDGEKV_LIMIT = re.compile(r"limit set at (\d+)")
_SPENDS = {"post-versions": "versions", "put-item": "edgekv", "delete-item": "edgekv", "get-item": "edgekv"}


@dataclass(frozen=True, slots=True)
class Heard:
    """``kind``: the allowance of ours; ``limit_id``: Akamai's name. ``seconds``: until it is whole again."""

    kind: str = ""
    limit_id: str = ""
    limit: int | None = None
    remaining: int | None = None
    seconds: float | None = None
    refused: bool = False

    def concerns(self, kind: str, limit_id: str) -> bool:
        if self.kind:
            return self.kind == kind
        return self.limit_id != "" and self.limit_id == limit_id


class Listener:
    """Thread-safe: answers come from several threads."""

    def __init__(self) -> None:
        self._heard: list[Heard] = []
        self._lock = threading.Lock()

    def __call__(self, answer: requests.Response) -> None:
        said = [*_headers(answer), *_refusal(answer)]
        if said:
            with self._lock:
                self._heard.extend(said)

    def heard(self) -> list[Heard]:
        """What was said since it was last asked for."""
        with self._lock:
            heard, self._heard = self._heard, []
        return heard


def _spends(answer: requests.Response) -> str:
    """The allowance that a call counts against."""
    call = call_of(answer.request.method or "", urlsplit(answer.request.url or "").path)
    operation = call.operation if call else ""
    if operation == "post-activations":
        return f"activations.{_network(answer.request.body)}"
    return _SPENDS.get(operation, "")


def _network(body: bytes | str | None) -> str:
    try:
        return str(orjson.loads(body or b"{}").get("network", ""))
    except (orjson.JSONDecodeError, AttributeError):
        return ""


def _headers(answer: requests.Response) -> list[Heard]:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for header, value in answer.headers.items():
        match = _HEADER.fullmatch(header.lower())
        if match and value.isdecimal():
            found[match["name"]][match["what"]] = int(value)
    return [
        Heard(
            kind=_spends(answer) if name.startswith("activation-per-network") else "",
            limit_id=f"{name}-limit",
            limit=said.get("limit"),
            remaining=said.get("remaining"),
            seconds=_until(said["reset"]) if "reset" in said else None,
        )
        for name, said in found.items()
    ]


def _until(reset: int) -> float:
    """Akamai does not say whether it is a moment or a number of seconds; both are told apart by their size."""
    return max(reset - datetime.now(UTC).timestamp(), 0.0) if reset > 10**9 else float(reset)


def _refusal(answer: requests.Response) -> list[Heard]:
    kind = _spends(answer) if answer.status_code == 429 else ""
    if not kind:
        return []
    after = answer.headers.get("Retry-After", "")
    named = _EDGEKV_LIMIT.search(answer.text) if kind == "edgekv" else None
    return [
        Heard(
            kind=kind,
            limit=int(named[1]) if named else None,
            seconds=float(after) if after.isdecimal() else None,
            refused=True,
        )
    ]
