"""What the picture is made of: who holds access, who called, and the services between. A handful of bounded queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Q, QuerySet

from apps.access.selectors.access_map import OpenLine, list_open_lines
from apps.catalog.errors import UnknownService
from apps.catalog.stops import Stop, list_first_stops, list_stops
from apps.identity.errors import UnknownSubject
from apps.identity.known import Known, list_known, list_with_its_own
from apps.telemetry.models import Call
from apps.telemetry.selectors import ASKING_HELPS, Sight, sight_of, visible_to

if TYPE_CHECKING:
    from apps.identity.models import Subject

PERIOD = timedelta(days=1)
MOST_SERVICES, MOST_RANKED = 16, 500
"""How many services are drawn; and of those that were called, how many are known as the most called."""
MOST_CALLS = 5_000
"""Of the calls of the period, how many of the latest are counted."""
MOST_READ = 2_000
"""How many grants are looked at; and of a team, how many that belong to it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How often ``subject`` called ``service``. ``rid`` is its latest refused call that asking would help with."""

    subject: str
    service: str
    calls: int
    denied: int
    rid: str


@dataclass(frozen=True, slots=True)
class Found:
    """``whole`` are the services of which everybody that holds access is among ``open_lines``, by slug.

    ``many`` is how many services there are to choose from. ``side`` is who is picked, with what belongs to it.
    ``is_sampled``: there were more calls than are counted.
    """

    stops: Mapping[str, Stop] = field(default_factory=dict)
    open_lines: tuple[OpenLine, ...] = ()
    seen: tuple[Seen, ...] = ()
    known: Mapping[str, Known] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    side: Mapping[str, Known] = field(default_factory=dict)
    many: int = 0
    is_sampled: bool = False

    @property
    def is_cut(self) -> bool:
        return len(self.open_lines) == MOST_READ


def _is_sampled(counted: Iterable[Seen]) -> bool:
    return sum(one.calls for one in counted) >= MOST_CALLS


def find_busiest(viewer: Subject, at: datetime, *, query: str = "") -> Found:
    """The services most called, and others by name while there is room."""
    seen = count_calls(visible_to(viewer), since=at - PERIOD)
    counted = Counter[str]()
    for one in seen:
        counted[one.service] += one.calls
    ranked = sorted(counted, key=lambda slug: (-counted[slug], slug))
    stops, many = list_first_stops(first=ranked[:MOST_RANKED], query=query, limit=MOST_SERVICES)
    lines = list_open_lines(at=at, services=[stop.pk for stop in stops], limit=MOST_READ)
    slugs = {stop.slug for stop in stops}
    shown = tuple(one for one in seen if one.service in slugs)
    known = _known(lines, shown)
    return Found(by_slug(stops), lines, shown, known, frozenset(slugs), many=many, is_sampled=_is_sampled(seen))


def find_around_service(viewer: Subject, at: datetime, slug: str) -> Found:
    """Who may call it and what it may call, one step each way. Raises UnknownService."""
    picked = next(iter(list_stops(slugs=[slug])), None)
    if picked is None:
        raise UnknownService
    itself, itself_id = ([picked.workload], [picked.workload_id]) if picked.workload_id is not None else ([], [])
    lines = list_open_lines(at=at, services=[picked.pk], subjects=itself_id, limit=MOST_READ)
    every = count_calls(Call.objects.all(), since=at - PERIOD, services=[slug], subjects=itself)
    stops, seen = _around(sight_of(viewer), lines, every, slug)
    known = _known(lines, seen)
    return Found(stops, lines, seen, known, frozenset({slug}), many=len(stops), is_sampled=_is_sampled(every))


def find_around_subject(viewer: Subject, at: datetime, key: str) -> Found:
    """What it may call; for a team, what its members and what belongs to it may call too. Raises UnknownSubject."""
    side = list_with_its_own(key, limit=MOST_READ)
    if not side:
        raise UnknownSubject(f"There is no {key}.")
    lines = list_open_lines(at=at, subjects=[one.pk for one in side.values()], limit=MOST_READ)
    every = count_calls(Call.objects.all(), since=at - PERIOD, subjects=list(side))
    stops, seen = _around(sight_of(viewer), lines, every)
    return Found(stops, lines, seen, side, frozenset(), side, len(stops), _is_sampled(every))


def _around(
    sight: Sight, lines: Collection[OpenLine], every: Collection[Seen], *picked: str
) -> tuple[dict[str, Stop], tuple[Seen, ...]]:
    """The services that these are about, and of the calls those within ``sight``: it takes their owners to know."""
    stops = by_slug(list_stops(slugs={*picked, *_called(lines, every)}, workloads=_machines(lines, every)))
    known = (one for one in every if one.service in stops)
    seen = tuple(one for one in known if sight.takes_in(one.subject, stops[one.service].team))
    called, machines = {*picked, *_called(lines, seen)}, _machines(lines, seen)
    return {slug: one for slug, one in stops.items() if slug in called or one.workload in machines}, seen


def _called(lines: Iterable[OpenLine], seen: Iterable[Seen]) -> set[str]:
    return {one.service for one in lines} | {one.service for one in seen if one.denied}


def _machines(lines: Iterable[OpenLine], seen: Iterable[Seen]) -> set[str]:
    callers = {one.subject for one in lines} | {one.subject for one in seen if one.denied}
    return {one for one in callers if one.startswith("workload:")}


def by_slug(stops: Iterable[Stop]) -> dict[str, Stop]:
    return {stop.slug: stop for stop in stops}


def _known(lines: Collection[OpenLine], seen: Collection[Seen]) -> dict[str, Known]:
    return list_known({one.subject for one in lines} | {one.subject for one in seen if one.subject})


_COUNTED = """
SELECT subject, service, count(*), count(*) FILTER (WHERE verdict = 'deny'),
       (array_agg(rid ORDER BY first_at DESC) FILTER (WHERE verdict = 'deny' AND reason = ANY(%s)))[1]
FROM ({latest}) AS latest GROUP BY subject, service ORDER BY subject, service
"""


def count_calls(
    calls: QuerySet[Call], *, since: datetime, services: Collection[str] = (), subjects: Collection[str] = ()
) -> tuple[Seen, ...]:
    """The latest of ``calls``, probes aside, counted by who called what. One query.

    To ``services`` or by ``subjects`` where either is named. PostgreSQL groups what the inner query has bounded, which
    the ORM cannot say.
    """
    calls = calls.filter(first_at__gte=since, probe=False).exclude(service="")
    if services or subjects:
        calls = calls.filter(Q(service__in=services) | Q(subject__in=subjects))
    columns = calls.order_by("-first_at", "-id").values("subject", "service", "verdict", "reason", "rid", "first_at")
    latest, parameters = columns[:MOST_CALLS].query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED.format(latest=latest), [sorted(ASKING_HELPS), *parameters])
        rows = cursor.fetchall()
    return tuple(
        Seen(subject, service, calls, denied, rid.hex if rid else "") for subject, service, calls, denied, rid in rows
    )
