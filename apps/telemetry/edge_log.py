"""Taking in what an edge's stream of log lines brings.

Deliveries come at least once and in any order. A line is joined to its call by request id, like any other, so the same
line again changes nothing; it is counted as repeated as far as that can be told without a lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import F

from apps.identity.proofs import limits
from apps.rollout.services.akamai import streaming
from apps.telemetry import services
from apps.telemetry.edge_lines import event_of
from apps.telemetry.errors import BatchTooLarge, UnknownSource, UnreadableBatch
from apps.telemetry.events import Event, TooLarge, Unreadable, records_of
from apps.telemetry.models import Call, LogMinute

SLICE = 2_000
"""Lines to a transaction."""


@dataclass(frozen=True, slots=True)
class Taken:
    """``accepted`` lines were new to us or not (``repeated``); ``rejected`` could not be read."""

    accepted: int
    repeated: int
    rejected: int


def take_in(*, slug: str, user: str, password: str, read: Callable[[], bytes], at: datetime) -> Taken:
    """One delivery. Bad lines are counted, the others kept. Raises UnknownSource, BatchTooLarge, UnreadableBatch.

    ``read`` gives the body, and is asked only of whoever proved to be the stream. A body that cannot be taken at all
    counts as one bad line: it is lost, and that is shown.
    """
    right = streaming.authenticate(slug=slug, user=user, password=password, at=at)
    if right is None:
        raise UnknownSource
    try:
        records = records_of(read())
        return _take_all(right.stream, records, at)
    except (TooLarge, BatchTooLarge) as error:
        _note(right.stream, {}, {}, 1, at)
        raise BatchTooLarge(str(error)) from error
    except Unreadable as error:
        _note(right.stream, {}, {}, 1, at)
        raise UnreadableBatch(str(error)) from error


def _take_all(stream: int, records: Iterator[object], at: datetime) -> Taken:
    accepted = repeated = rejected = 0
    while batch := list(islice(records, SLICE)):
        events = [event for raw in batch if (event := event_of(raw, stream=stream, at=at)) is not None]
        again = _known(events)
        limits.enforce(services.store(events), at=at)
        _note(stream, _by_minute(events), _by_minute(again), len(batch) - len(events), at)
        accepted, repeated = accepted + len(events), repeated + len(again)
        rejected += len(batch) - len(events)
    return Taken(accepted, repeated, rejected)


def _known(events: Sequence[Event]) -> list[Event]:
    """Those whose call has an edge's word already; of two alike in one delivery, the second."""
    rids = [UUID(event.rid) for event in events]
    spoken = Call.objects.filter(rid__in=rids, doors__has_key="edge").values_list("rid", flat=True)
    seen, again = {rid.hex for rid in spoken}, []
    for event in events:
        if event.rid in seen:
            again.append(event)
        seen.add(event.rid)
    return again


def _by_minute(events: Sequence[Event]) -> Counter[datetime]:
    return Counter(event.at.replace(second=0, microsecond=0) for event in events)


def _note(stream: int, lines: Mapping[datetime, int], again: Mapping[datetime, int], bad: int, at: datetime) -> None:
    now = at.replace(second=0, microsecond=0)
    minutes = {*lines, *([now] if bad else [])}
    rows = [LogMinute(stream_id=stream, minute=minute) for minute in sorted(minutes)]
    LogMinute.objects.bulk_create(rows, ignore_conflicts=True)
    for minute in sorted(minutes):
        LogMinute.objects.filter(stream_id=stream, minute=minute).update(
            lines=F("lines") + lines.get(minute, 0),
            repeated=F("repeated") + again.get(minute, 0),
            bad=F("bad") + (bad if minute == now else 0),
        )
