"""Decision events as the doors write them, checked one by one: a bad line is counted, the others are kept."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from apps.compiler.reasons import Reason
from apps.telemetry.models import POINTS, VERDICTS

MAX_COMPRESSED = 4 * 1024 * 1024
MAX_BYTES = 16 * 1024 * 1024
MAX_EVENTS = 20_000
MAX_RECORDS = 200_000
"""No real line is so short that more of them fit into as many bytes."""
OLDEST, NEWEST = timedelta(days=30), timedelta(minutes=10)
"""How far an event's clock may be from ours before it would stand in the wrong place for good."""

_RID = re.compile(r"[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LIMITS = {
    "node": 100,
    "subject": 300,
    "actor": 300,
    "variant": 60,
    "peer": 255,
    "service": 128,
    "route": 128,
    "method": 20,
    "path": 512,
    "host": 253,
}
_REASONS = frozenset(reason.value for reason in Reason)
_GZIP = b"\x1f\x8b"


class TooLarge(ValueError):
    """A batch beyond what is taken at once."""


class Unreadable(ValueError):
    """A batch that is neither lines nor an array, or whose compression is broken."""


@dataclass(frozen=True, slots=True)
class Event:
    """What one point said about one call. ``rid`` is 32 lower-case hex digits."""

    at: datetime
    rid: str
    point: str
    node: str
    verdict: str
    reason: str
    subject: str
    peer: str
    service: str
    route: str
    method: str
    path: str
    host: str
    grants: tuple[str, ...]
    status: int
    ms: float
    probe: bool
    actor: str = ""
    """Who acts for the subject, when somebody does."""
    variant: str = ""
    """The version that traffic rules chose; empty for the usual one."""
    rules: tuple[str, ...] = ()
    """The traffic rules that applied, the most personal first."""


@dataclass(frozen=True, slots=True)
class Batch:
    events: tuple[Event, ...]
    rejected: int


def read_batch(body: bytes, *, points: Iterable[str], at: datetime) -> Batch:
    """NDJSON or a JSON array, gzipped or not. Raises TooLarge or Unreadable for the whole, never for one line.

    ``points`` are those the sender may speak for.
    """
    events: list[Event] = []
    allowed, rejected = frozenset(points), 0
    for raw in records_of(body):
        if len(events) + rejected >= MAX_EVENTS:
            raise TooLarge(f"More than {MAX_EVENTS} events at once.")
        event = parse_event(raw, at=at)
        if event is None or event.point not in allowed:
            rejected += 1
        else:
            events.append(event)
    return Batch(tuple(events), rejected)


def records_of(body: bytes) -> Iterator[object]:
    """Parsed records of a body as it came; None for a line that is not JSON. Raises TooLarge, Unreadable."""
    return _records(_unpacked(body))


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(_GZIP):
        if len(body) > MAX_BYTES:
            raise TooLarge(f"More than {MAX_BYTES} bytes at once.")
        return body
    if len(body) > MAX_COMPRESSED:
        raise TooLarge(f"More than {MAX_COMPRESSED} compressed bytes at once.")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable("The compression is broken.") from error
    if len(plain) > MAX_BYTES:
        raise TooLarge(f"More than {MAX_BYTES} bytes at once.")
    return plain


def _records(text: bytes) -> Iterator[object]:
    """Parsed records; None for a line that is not JSON."""
    if text.lstrip()[:1] == b"[":
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Unreadable("The array is not JSON.") from error
        _require_few(len(found))
        yield from found
        return
    _require_few(text.count(b"\n"))
    for line in text.split(b"\n"):
        if line.strip():
            yield _loaded(line)


def _require_few(records: int) -> None:
    if records > MAX_RECORDS:
        raise TooLarge(f"More than {MAX_RECORDS} records at once.")


def _loaded(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def parse_event(raw: object, *, at: datetime) -> Event | None:
    """The event in a parsed record, or None when it lacks what an event needs."""
    if not isinstance(raw, dict):
        return None
    when, rid = _moment(raw.get("ts"), at), raw.get("rid")
    point, verdict, reason = raw.get("point"), raw.get("verdict"), raw.get("reason")
    if when is None or not isinstance(rid, str) or not _RID.fullmatch(rid):
        return None
    if point not in POINTS or verdict not in VERDICTS or not isinstance(reason, str) or reason not in _REASONS:
        return None
    return Event(
        at=when,
        rid=rid,
        point=point,
        verdict=verdict,
        reason=reason,
        grants=_names(raw.get("grants")),
        rules=_names(raw.get("rules")),
        status=int(_number(raw.get("status"), 999)),
        ms=round(_number(raw.get("ms"), 1e9), 3),
        probe=raw.get("probe") is True,
        **{name: _text(raw, name) for name in _LIMITS},
    )


def _moment(value: object, at: datetime) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        return None
    when = datetime.fromtimestamp(value, tz=UTC)
    return when if at - OLDEST <= when <= at + NEWEST else None


def _text(raw: Mapping[str, object], name: str) -> str:
    """Cut to what the column holds, and without what PostgreSQL does not hold."""
    value = raw.get(name)
    return _CONTROL.sub("\ufffd", value[: _LIMITS[name]]) if isinstance(value, str) else ""


def _number(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return min(max(value, 0), most)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(_CONTROL.sub("\ufffd", one[:100]) for one in value[:50] if isinstance(one, str))
