"""What an edge's log did not bring: calls only the mesh saw, and stretches in which nothing came. Gaps, not silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Count
from django.db.models.functions import TruncMinute

from apps.catalog import selectors as catalog
from apps.rollout.services.akamai import streaming
from apps.rollout.services.akamai.streaming import Delivering
from apps.telemetry import services
from apps.telemetry.models import Call, LogMinute

GRACE = timedelta(minutes=3)
"""Akamai gathers for half a minute and delivers soon after; what is missing then is missed."""

LOOKED_BACK = timedelta(minutes=65)
"""Late lines may still close a gap within this time."""

QUIET = timedelta(minutes=10)
"""So long without a line, and it is said that nothing came."""

_MINUTE = timedelta(minutes=1)


def look_for_gaps(*, at: datetime) -> None:
    """Count, for each minute of the last hour, the calls the mesh saw and the edge log did not. Meant to be swept."""
    streams = streaming.delivering()
    if not streams:
        return
    until = (at - GRACE).replace(second=0, microsecond=0)
    missing = _missing(until - LOOKED_BACK, until)
    for one in streams:
        _note_missing(one, missing, (until - LOOKED_BACK, until))


def _missing(since: datetime, until: datetime) -> Counter[tuple[datetime, str]]:
    """By minute and host. Only what came with the edge's word for who calls has passed the edge: not calls between
    services, nor those that went around it and were refused, nor the mesh's own probes."""
    rows = (
        Call.objects.filter(first_at__gte=since, first_at__lt=until, doors__has_key="ingress", probe=False)
        .exclude(subject="")
        .exclude(doors__has_key="edge")
        .annotate(minute=TruncMinute("first_at"))
        .values_list("minute", "host")
        .annotate(count=Count("pk"))
        .order_by()
    )
    return Counter({(minute, host.partition(":")[0].lower()): count for minute, host, count in rows})


def _note_missing(one: Delivering, missing: Counter[tuple[datetime, str]], span: tuple[datetime, datetime]) -> None:
    since = max(span[0], one.since.replace(second=0, microsecond=0) + _MINUTE)
    hosts = set(catalog.list_edge_hosts(one.environment)) - streaming.hosts_elsewhere(one.stream)
    counted: Counter[datetime] = Counter()
    for (minute, host), count in missing.items():
        if host in hosts and since <= minute < span[1]:
            counted[minute] += count
    rows = [LogMinute(stream_id=one.stream, minute=minute) for minute in sorted(counted)]
    LogMinute.objects.bulk_create(rows, ignore_conflicts=True)
    for row in LogMinute.objects.filter(stream_id=one.stream, minute__gte=since, minute__lt=span[1]):
        if row.missing != counted[row.minute]:
            LogMinute.objects.filter(pk=row.pk).update(missing=counted[row.minute])


def prune(*, at: datetime) -> int:
    deleted, _ = LogMinute.objects.filter(minute__lt=at - services.KEPT_FOR).delete()
    return deleted


@dataclass(frozen=True, slots=True)
class Gap:
    """From ``since`` until before ``until``. ``calls``: how many the mesh saw; 0 when nothing came at all, so that
    nobody can tell whether there was a call."""

    stream: int
    target: str
    since: datetime
    until: datetime
    calls: int


def list_gaps(*, at: datetime, within: timedelta = timedelta(hours=1)) -> tuple[Gap, ...]:
    """The newest first. Two queries, however many streams there are."""
    streams = streaming.delivering()
    if not streams:
        return ()
    start = (at - within).replace(second=0, microsecond=0)
    rows = LogMinute.objects.filter(stream_id__in=[one.stream for one in streams], minute__gte=start).order_by("minute")
    found: list[Gap] = []
    for one in streams:
        found += _gaps_of(one, [row for row in rows if row.stream_id == one.stream], start, at)
    return _newest_first(found)


def _gaps_of(one: Delivering, rows: Sequence[LogMinute], start: datetime, at: datetime) -> list[Gap]:
    return [*_spans(one, rows), *_silence(one, rows, max(start, one.since), at)]


def _newest_first(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    return tuple(sorted(gaps, key=lambda gap: (gap.until, gap.since), reverse=True))


def _spans(one: Delivering, rows: Sequence[LogMinute]) -> list[Gap]:
    """Minutes with calls missing, those next to each other together."""
    found: list[Gap] = []
    for row in rows:
        if row.missing == 0:
            continue
        if found and found[-1].until == row.minute:
            last = found.pop()
            found.append(Gap(one.stream, one.target, last.since, row.minute + _MINUTE, last.calls + row.missing))
        else:
            found.append(Gap(one.stream, one.target, row.minute, row.minute + _MINUTE, row.missing))
    return found


def _silence(one: Delivering, rows: Sequence[LogMinute], start: datetime, at: datetime) -> list[Gap]:
    """Stretches in which no line at all was brought."""
    heard = [row.minute for row in rows if row.lines]
    edges = [start, *heard, at - GRACE]
    found = []
    for before, after in pairwise(edges):
        since = before + _MINUTE if before in heard else before
        if after - since >= QUIET:
            found.append(Gap(one.stream, one.target, since, after, 0))
    return found


@dataclass(frozen=True, slots=True)
class Brought:
    """What a stream brought of the last hour's calls, in numbers. ``last``: the newest minute it ever told of.

    ``came``: whether a line has come since it is active; a stream that Akamai calls active may bring nothing at all.
    """

    lines: int
    repeated: int
    bad: int
    missing: int
    last: datetime | None
    came: bool
    gaps: tuple[Gap, ...]


def brought(
    stream: int, *, at: datetime, delivering: Delivering | None = None, within: timedelta = timedelta(hours=1)
) -> Brought:
    """Two queries. Without ``delivering`` the stream should bring nothing, so there are no gaps."""
    start, last = (at - within).replace(second=0, microsecond=0), newest(stream)
    rows = list(LogMinute.objects.filter(stream_id=stream, minute__gte=start).order_by("minute"))
    return Brought(
        lines=sum(row.lines for row in rows),
        repeated=sum(row.repeated for row in rows),
        bad=sum(row.bad for row in rows),
        missing=sum(row.missing for row in rows),
        last=last,
        came=last is not None and delivering is not None and last + _MINUTE > delivering.since,
        gaps=_newest_first(_gaps_of(delivering, rows, start, at)) if delivering else (),
    )


def newest(stream: int) -> datetime | None:
    """The newest minute that a stream brought a line of."""
    minutes = LogMinute.objects.filter(stream_id=stream, lines__gt=0)
    return minutes.order_by("-minute").values_list("minute", flat=True).first()
