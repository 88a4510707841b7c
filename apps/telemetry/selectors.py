"""Reading what happened at the doors, within what the reader may see."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet

from apps.catalog import selectors as catalog
from apps.compiler.breakers import Answer
from apps.compiler.graph import Point
from apps.compiler.impact import Call as ReplayedCall
from apps.compiler.reasons import Reason
from apps.identity import selectors as identity
from apps.identity.models import Role
from apps.telemetry.errors import UnknownCall
from apps.telemetry.models import Call, Feed, TelemetrySource

if TYPE_CHECKING:
    from apps.identity.models import Subject

LARGEST_PAGE = 200
LOOKED_BACK = 2_000
"""Of a service's latest calls, how many tell who its callers are."""
LEAST_LOOKED_BACK = 200

NEWEST = 5_000
"""Text is looked for here first: most of what people look for is recent, and a common word is found at once."""

ASKING_HELPS = frozenset({Reason.NO_GRANT, Reason.GRANT_EXPIRED})
"""Why a call was refused, where a request could change it."""

_SEES_ALL = (Role.SECURITY, Role.AUDITOR, Role.OPERATOR)
_LIKE, _ESCAPED = re.compile(r"([%_\\])"), r"\\\1"
_RID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Empty means any. ``text`` is a request id, or words that method, path, service and subject contain."""

    subject: str = ""
    service: str = ""
    reason: str = ""
    verdict: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    probes: bool = True


@dataclass(frozen=True, slots=True)
class Door:
    """What one point said about a call."""

    at: datetime
    verdict: str
    reason: str
    status: int
    ms: float
    node: str
    peer: str
    actor: str = ""
    variant: str = ""
    """The version that traffic rules chose here; empty for the usual one."""
    rules: tuple[str, ...] = ()
    """The traffic rules that applied here, the most personal first."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call. A door is None while its line has not come, or when the call never got there."""

    rid: str
    first_at: datetime
    subject: str
    service: str
    method: str
    path: str
    route: str
    host: str
    verdict: str
    reason: str
    status: int
    ms: float
    probe: bool
    grants: tuple[str, ...]
    edge: Door | None
    ingress: Door | None
    mesh: Door | None
    cursor: str

    @property
    def is_denied(self) -> bool:
        return self.verdict == "deny"

    @property
    def variant(self) -> str:
        """The version that answered, as the innermost door knows that says one; empty for the usual one."""
        return next((door.variant for door in (self.mesh, self.edge) if door is not None and door.variant), "")


@dataclass(frozen=True, slots=True)
class CallPage:
    """Newest first. ``after`` continues the list when passed back; None at its end."""

    items: tuple[CallRow, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class CallerSeen:
    """Who was seen calling a service among its latest calls."""

    subject: str
    calls: int
    denied: int
    last_at: datetime


def list_calls(*, viewer: Subject, filters: CallFilter | None = None, after: str = "", limit: int = 50) -> CallPage:
    """The calls ``viewer`` may see. An ``after`` that is not one of ours starts at the newest."""
    limit = max(1, min(limit, LARGEST_PAGE))
    filters = filters or CallFilter()
    found = _matching(visible_to(viewer), filters)
    cursor = _parse_cursor(after)
    if cursor is not None:
        at, pk = cursor
        found = found.filter(Q(first_at__lt=at) | Q(first_at=at, pk__lt=pk), first_at__lte=at)
    rows = tuple(_present(row) for row in _first_rows(found, filters.text, limit + 1))
    return CallPage(rows[:limit], rows[limit - 1].cursor if len(rows) > limit else None)


def _first_rows(calls: QuerySet[Call], text: str, limit: int) -> list[Call]:
    """The newest of ``calls`` that mention ``text``: out of the newest if those are enough, else by the text's index.

    Words of one or two letters are in no index; with nothing longer they are looked for in the newest calls only.
    """
    newest_first = calls.order_by("-first_at", "-id")
    text = text.replace("\x00", " ").strip().lower()
    words = text.split()[:8]
    if not words:
        return list(newest_first[:limit])
    if _RID.fullmatch(text):
        return list(calls.filter(rid=UUID(text)))
    rows = _among_newest(newest_first[:NEWEST], words, limit)
    if len(rows) == limit or all(len(word) < 3 for word in words):
        return rows
    # The added nothing keeps the planner from walking through all calls in order of time.
    by_text = _mentioning(calls, words).order_by((F("first_at") + timedelta(0)).desc(), "-id")
    return list(by_text[:limit])


def _among_newest(newest: QuerySet[Call], words: list[str], limit: int) -> list[Call]:
    """PostgreSQL reads the inner query only until the outer one has enough, which the ORM cannot say."""
    inner, parameters = newest.query.sql_with_params()
    mentions = " AND ".join(["search_text LIKE %s"] * len(words))
    statement = f"SELECT * FROM ({inner}) AS newest WHERE {mentions} ORDER BY first_at DESC, id DESC LIMIT %s"  # noqa: S608
    patterns = [f"%{_LIKE.sub(_ESCAPED, word)}%" for word in words]
    return list(Call.objects.raw(statement, [*parameters, *patterns, limit]))


def _mentioning(calls: QuerySet[Call], words: list[str]) -> QuerySet[Call]:
    for word in words:
        calls = calls.filter(search_text__contains=word)
    return calls


def get_call(*, viewer: Subject, rid: str) -> CallRow:
    """Raises UnknownCall also for a call that ``viewer`` may not see."""
    row = visible_to(viewer).filter(rid=UUID(rid)).first() if _RID.fullmatch(rid) else None
    if row is None:
        raise UnknownCall
    return _present(row)


def last_call_by(grant_id: str, *, service: str, subject: str, since: datetime) -> CallRow | None:
    """The last call that ``grant_id`` let through, probes aside, among the latest of its service.

    For whoever may see the grant. ``subject`` is empty for a team's grant: its members call.
    """
    latest = Call.objects.filter(service=service, first_at__gte=since, verdict="allow", probe=False)
    if subject:
        latest = latest.filter(subject=subject)
    latest = latest.order_by("-first_at", "-id")[:LOOKED_BACK]
    found = Call.objects.filter(pk__in=latest.values("pk"), grants__contains=[grant_id])
    row = found.order_by("-first_at", "-id").first()
    return _present(row) if row is not None else None


def list_denied_to(subject: str, *, since: datetime, limit: int) -> tuple[CallRow, ...]:
    """What was lately refused to ``subject``, probes aside: its own calls, so it may see them."""
    found = Call.objects.filter(subject=subject, verdict="deny", probe=False, first_at__gte=since)
    return tuple(_present(row) for row in found.order_by("-first_at", "-id")[:limit])


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose calls somebody sees: those of ``callers``, and those to services of ``teams``. All by key."""

    is_all: bool
    callers: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()

    def takes_in(self, caller: str, owner: str) -> bool:
        return self.is_all or caller in self.callers or owner in self.teams


def sight_of(viewer: Subject) -> Sight:
    """Security, auditors and operators see every call; others their own, their agents', and those of the services
    their teams own."""
    if identity.has_role(viewer, *_SEES_ALL):
        return Sight(is_all=True)
    acting = identity.acting_for(viewer)
    own = frozenset(one.key for one in acting if one == viewer or one.owner_id == viewer.pk)
    return Sight(is_all=False, callers=own, teams=frozenset(team.key for team in identity.teams_of(viewer)))


def visible_to(viewer: Subject) -> QuerySet[Call]:
    sight = sight_of(viewer)
    if sight.is_all:
        return Call.objects.all()
    services = catalog.list_owned_by(sight.teams)
    return Call.objects.filter(Q(subject__in=sight.callers) | Q(service__in=services))


def _matching(calls: QuerySet[Call], filters: CallFilter) -> QuerySet[Call]:
    exact = {name: getattr(filters, name) for name in ("subject", "service", "reason", "verdict")}
    found = calls.filter(**{name: value.replace("\x00", "\ufffd") for name, value in exact.items() if value})
    if filters.since is not None:
        found = found.filter(first_at__gte=filters.since)
    if filters.until is not None:
        found = found.filter(first_at__lt=filters.until)
    if not filters.probes:
        found = found.filter(probe=False)
    return found


def _parse_cursor(text: str) -> tuple[datetime, int] | None:
    found = re.fullmatch(r"([0-9]{1,17})\.([0-9]{1,18})", text, re.ASCII)
    if found is None:
        return None
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=min(int(found[1]), 10**16)), int(found[2])


def _present(row: Call) -> CallRow:
    since_epoch = (row.first_at - datetime.fromtimestamp(0, tz=UTC)) // timedelta(microseconds=1)
    return CallRow(
        rid=row.rid.hex,
        first_at=row.first_at,
        subject=row.subject,
        service=row.service,
        method=row.method,
        path=row.path,
        route=row.route,
        host=row.host,
        verdict=row.verdict,
        reason=row.reason,
        status=row.status,
        ms=row.ms,
        probe=row.probe,
        grants=tuple(row.grants),
        edge=_door(row.doors.get("edge")),
        ingress=_door(row.doors.get("ingress")),
        mesh=_door(row.doors.get("sidecar")),
        cursor=f"{since_epoch}.{row.pk}",
    )


def _door(said: Mapping[str, Any] | None) -> Door | None:
    if said is None:
        return None
    return Door(
        at=datetime.fromisoformat(said["at"]),
        verdict=said["verdict"],
        reason=said["reason"],
        status=said.get("status", 0),
        ms=said.get("ms", 0.0),
        node=said.get("node", ""),
        peer=said.get("peer", ""),
        actor=said.get("actor", ""),
        variant=said.get("variant", ""),
        rules=tuple(said.get("rules", ())),
    )


def list_callers_seen(service: str, *, since: datetime, limit: int = 50) -> tuple[CallerSeen, ...]:
    """Who called ``service``, the latest first, counted over its latest LOOKED_BACK calls. Probes do not count."""
    return list_callers_seen_by_service([service], since=since).get(service, ())[:limit]


def list_callers_seen_by_service(services: Sequence[str], *, since: datetime) -> dict[str, tuple[CallerSeen, ...]]:
    """As ``list_callers_seen``, for a few services in one query, which share the calls looked back at."""
    if not services:
        return {}
    each = max(LOOKED_BACK // len(services), LEAST_LOOKED_BACK)
    columns = ("service", "subject", "verdict", "first_at", "probe")
    first, *others = (
        Call.objects.filter(service=one, first_at__gte=since).order_by("-first_at", "-id").values_list(*columns)[:each]
        for one in services
    )
    calls: dict[str, dict[str, list[tuple[str, datetime]]]] = defaultdict(lambda: defaultdict(list))
    for service, subject, verdict, at, probe in sorted(
        first.union(*others, all=True) if others else first, key=itemgetter(3), reverse=True
    ):
        if subject and not probe:
            calls[service][subject].append((verdict, at))
    return {
        service: tuple(
            CallerSeen(subject, len(made), sum(verdict == "deny" for verdict, _ in made), made[0][1])
            for subject, made in by_subject.items()
        )
        for service, by_subject in calls.items()
    }


def recent_calls(
    service: str, *, since: datetime, ask_at: datetime | None = None, limit: int = 5_000
) -> tuple[ReplayedCall, ...]:
    """The latest calls of a service for an impact replay, each at every door that decided about it.

    ``ask_at`` is the moment both graphs are asked about; by default each call's own.
    """
    rows = Call.objects.filter(service=service, first_at__gte=since, probe=False).exclude(subject="")
    heard = {Point.EDGE: "edge", Point.MESH: "sidecar"}
    spoken = {f"at_{point}": ExpressionWrapper(Q(doors__has_key=name), BooleanField()) for point, name in heard.items()}
    found = rows.annotate(**spoken).order_by("-first_at", "-id")[:limit]
    return tuple(
        ReplayedCall(subject, method, service, path, point, int((ask_at or first_at).timestamp()))
        for subject, method, path, first_at, *said in found.values_list(
            "subject", "method", "path", "first_at", *spoken
        )
        for point, has_spoken in zip(heard, said, strict=True)
        if has_spoken
    )


def recent_answers(service: str, *, since: datetime, ask_at: datetime, limit: int = 5_000) -> tuple[Answer, ...]:
    """How the latest calls that a sidecar let in were answered, in order of time; ``ask_at`` is when to ask a graph."""
    rows = Call.objects.filter(
        service=service, first_at__gte=since, probe=False, verdict="allow", doors__has_key="sidecar"
    )
    found = rows.exclude(subject="").order_by("-first_at", "-id")[:limit]
    asked = int(ask_at.timestamp())
    told = found.values_list("subject", "method", "path", "status", "first_at")
    return tuple(
        Answer(ReplayedCall(subject, method, service, path, Point.MESH, asked), status, at.timestamp())
        for subject, method, path, status, at in reversed(told)
    )


def allowed_calls(
    services: Collection[str], *, since: datetime, ask_at: datetime, limit: int = 5_000
) -> Mapping[str, tuple[ReplayedCall, ...]]:
    """The latest calls that were let in, by service, each once, as calls inside the mesh.

    ``ask_at`` is the moment a graph is to be asked about; ``limit`` is for all services together.
    """
    rows = Call.objects.filter(service__in=services, first_at__gte=since, probe=False, verdict="allow")
    found = rows.exclude(subject="").order_by("-first_at", "-id")[:limit]
    calls: defaultdict[str, list[ReplayedCall]] = defaultdict(list)
    for subject, method, service, path in found.values_list("subject", "method", "service", "path"):
        calls[service].append(ReplayedCall(subject, method, service, path, Point.MESH, int(ask_at.timestamp())))
    return {service: tuple(made) for service, made in calls.items()}


def feed_position() -> int:
    """Moves whenever a call was added or completed."""
    return Feed.objects.filter(pk=1).values_list("position", flat=True).first() or 0


def list_sources() -> QuerySet[TelemetrySource]:
    """Log shippers; those whose lines are believed come first."""
    return TelemetrySource.objects.order_by(F("revoked_at").asc(nulls_first=True), "name")
