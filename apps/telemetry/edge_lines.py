"""DataStream lines as decision events. Pure: the same line always gives the same event.

What the code at the edge decided travels in the custom field, behind the request id it chose. A line without it tells
of a request our code never spoke of: it gets an id of its own, and its verdict is what the client got.
Shape of a line: Akamai's data set fields by their JSON keys; all values are strings, and blanks and what is not ASCII
are percent-encoded. Whether a percent sign is, is not told; our ids have none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import unquote

import orjson

from apps.compiler.reasons import Reason
from apps.telemetry.events import Event, parse_event

LONGEST_FIELD = 2_000
_FIELD = re.compile(r"([0-9a-f]{32})(?:;|%3B)(.*)", re.DOTALL | re.IGNORECASE)
_ENCODED = re.compile(r"[\x21-\x7e]*")
_NUMBER = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?", re.ASCII)
_EMPTY = frozenset({"", "-", "^"})
REFUSED_FROM = 400


def event_of(raw: object, *, stream: int, at: datetime) -> Event | None:
    """The edge's word on a call; None for what is no line of ours."""
    if not isinstance(raw, dict):
        return None
    line = {name: value for name, value in raw.items() if isinstance(value, str) and value not in _EMPTY}
    when, status = _number(line.get("reqTimeSec")), _number(line.get("statusCode"))
    if when is None or status is None:
        return None
    rid, said = _said(line.get("customField", ""))
    return parse_event(
        {
            "ts": when,
            "rid": rid or _own_id(line, stream),
            "point": "edge",
            "node": line.get("edgeIP", ""),
            **_verdict(said, int(status)),
            "method": line.get("reqMethod", ""),
            "path": _path(line.get("reqPath", "")),
            "host": line.get("reqHost", "").lower(),
            "status": int(status),
            "ms": _number(line.get("turnAroundTimeMSec")) or 0.0,
        },
        at=at,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _said(text: str) -> tuple[str, Mapping[str, object]]:
    """The request id and what the code decided; either may be missing."""
    match = _FIELD.fullmatch(text[:LONGEST_FIELD])
    if match is None:
        return "", {}
    told = match[2]
    for reading in (unquote(told), told) if _ENCODED.fullmatch(told) else (told,):
        try:
            found = orjson.loads(reading)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return match[1].lower(), found
    return match[1].lower(), {}


def _own_id(line: Mapping[str, str], stream: int) -> str:
    """The same for the same line, however often it is delivered."""
    told = "\n".join(f"{name}={line[name]}" for name in sorted(line))
    return hashlib.sha256(f"{stream}\n{told}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _verdict(said: Mapping[str, object], status: int) -> dict[str, object]:
    """``said`` as the code keeps it for itself: one or two letters each."""
    let_in = 0 < status < REFUSED_FROM
    return {
        "verdict": said.get("v") or ("allow" if let_in else "deny"),
        "reason": said.get("r") or Reason.POLICY_UNAVAILABLE,
        "subject": said.get("s"),
        "actor": said.get("a"),
        "service": said.get("svc"),
        "route": said.get("rt"),
        "grants": said.get("g"),
        "variant": said.get("vr"),
        "rules": said.get("t"),
        "probe": said.get("pr") == 1,
    }


def _path(text: str) -> str:
    """Akamai leaves the first slash out."""
    return text if text.startswith("/") else f"/{text}"
