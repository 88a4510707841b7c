"""The access graph out of the database: the whole of it, or the slice that decides about a few services.

A slice costs what is in it, in a handful of queries, however large the estate is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q, QuerySet

from apps.access.guardrails import graph_guardrail, list_guardrail_rows
from apps.access.models import Grant, Guardrail
from apps.access.states import LIVE_GRANTS, GrantState
from apps.access.wishes import Wish
from apps.catalog import selectors as catalog
from apps.compiler import graph
from apps.compiler.graph import TrafficRule
from apps.compiler.traffic import EVERYBODY
from apps.identity import selectors as identity


def graph_slice(
    *, service_slugs: Collection[str], environment_slug: str, at: datetime, also: Iterable[str] = ()
) -> graph.AccessGraph:
    """The services named, their live grants, the guardrails that can match there, and the subjects these name.

    ``also`` adds subjects by key. A grant that is not active yet opens at its approval and is given its full duration
    from ``at``: the true end is set when the first door is proven.
    """
    slugs = sorted(set(service_slugs))
    return assemble(
        services=catalog.graph_services(slugs, environment_slug),
        grants=live_grants(environment_slug, at).filter(service__slug__in=slugs),
        guardrails=list_guardrail_rows(slugs),
        at=at,
        also=also,
        denials=graph_denials(slugs, environment_slug, at),
    )


def caller_slice(*, subject_key: str, service_slug: str, environment_slug: str, at: datetime) -> graph.AccessGraph:
    """What bears on the calls of one caller to one service: as ``graph_slice``, without what others hold there.

    Every decision about this caller is the same on both.
    """
    subjects, denied = identity.graph_caller(subject_key, at=at)
    held = live_grants(environment_slug, at).filter(service__slug=service_slug, subject__key__in=subjects)
    return graph.AccessGraph(
        subjects=subjects,
        services=catalog.graph_services([service_slug], environment_slug),
        grants=graph_grants(held, at),
        guardrails=tuple(graph_guardrail(row) for row in list_guardrail_rows([service_slug])),
        denials=denials_at(denied, [service_slug], environment_slug),
    )


def full_graph(*, environment_slug: str, at: datetime) -> graph.AccessGraph:
    """Everything. For a first compile and for audits; a change uses a slice."""
    return assemble(
        services=catalog.graph_services(None, environment_slug),
        grants=live_grants(environment_slug, at),
        guardrails=list_guardrail_rows(None),
        at=at,
        denials=graph_denials(None, environment_slug, at),
    )


def live_grants(environment_slug: str, at: datetime) -> QuerySet[Grant]:
    """What tokens are checked against. Grants to addresses are not in it: they open a list, see ``addresses``."""
    live = Grant.objects.filter(environment__slug=environment_slug, state__in=LIVE_GRANTS).exclude(ends_at__lte=at)
    return live.exclude(subject__kind=graph.SubjectKind.PARTY)


def assemble(
    *,
    services: dict[str, graph.Service],
    grants: QuerySet[Grant],
    guardrails: Iterable[Guardrail],
    at: datetime,
    also: Iterable[str] = (),
    denials: Collection[graph.Denial] = (),
) -> graph.AccessGraph:
    walls = tuple(graph_guardrail(guardrail) for guardrail in guardrails)
    bare = without_subjects(services, read_rows(grants), walls, at)
    named = named_in(bare).union(also, (denial.subject for denial in denials))
    return replace(bare, subjects=identity.graph_subjects(named) if named else {}, denials=tuple(denials))


def without_subjects(
    services: dict[str, graph.Service], rows: Iterable[Row], walls: tuple[graph.Guardrail, ...], at: datetime
) -> graph.AccessGraph:
    """What is granted and ruled at these services, before it is known who is who."""
    there = [row for row in rows if row.service in services]
    return graph.AccessGraph(
        services=services,
        grants=tuple(graph_grant(row, at) for row in there if row.treatment is None),
        guardrails=walls,
        traffic=tuple(_graph_rule(row, at) for row in there if row.treatment is not None),
    )


def named_in(bare: graph.AccessGraph) -> set[str]:
    """Every subject that something is granted to, forbidden to or ruled for."""
    named = {grant.subject for grant in bare.grants}.union(*(wall.subjects for wall in bare.guardrails))
    return named.union(rule.subject for rule in bare.traffic if rule.subject != EVERYBODY)


def graph_denials(
    service_slugs: Collection[str] | None, environment_slug: str, at: datetime
) -> tuple[graph.Denial, ...]:
    """Who is turned away, each at those of the services where it holds or ever held something, by itself or its teams.

    Elsewhere it has no grant anyway, and the doors need not know of it. One query when nobody is turned away, else two.
    """
    return denials_at(identity.list_denied(at=at), service_slugs, environment_slug)


def denials_at(
    denied: Collection[identity.Denied], service_slugs: Collection[str] | None, environment_slug: str
) -> tuple[graph.Denial, ...]:
    """Those that the doors of these services are told. One query, and none when nobody is turned away."""
    if not denied:
        return ()
    held = _reached({holder for one in denied for holder in one.holders}, service_slugs, environment_slug)
    found = ((one, frozenset().union(*(held.get(holder, ()) for holder in one.holders))) for one in denied)
    return tuple(_graph_denial(one, services) for one, services in found if services)


def _reached(
    holders: Collection[str], service_slugs: Collection[str] | None, environment_slug: str
) -> dict[str, set[str]]:
    """The services for which there is or was a grant, by holder."""
    rows = Grant.objects.filter(subject__key__in=holders, environment__slug=environment_slug)
    if service_slugs is not None:
        rows = rows.filter(service__slug__in=service_slugs)
    found: dict[str, set[str]] = defaultdict(set)
    for holder, service in rows.values_list("subject__key", "service__slug").distinct():
        found[holder].add(service)
    return found


def _graph_denial(denied: identity.Denied, services: frozenset[str]) -> graph.Denial:
    return graph.Denial(
        subject=denied.subject,
        cause=graph.Cause(denied.cause),
        until=seconds(denied.until),
        issued_until=None if denied.issued_until is None else seconds(denied.issued_until),
        services=services,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A grant as the graph needs it, in the order of ``_COLUMNS``."""

    public_id: str
    subject: str
    service: str
    points: list[str]
    state: str
    duration: int | None
    approved_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    treatment: dict[str, Any] | None
    routes: list[str]


_COLUMNS = (
    "public_id",
    "subject__key",
    "service__slug",
    "points",
    "state",
    "duration",
    "approved_at",
    "starts_at",
    "ends_at",
    "ended_at",
    "treatment",
)

_ROUTE_KEYS = ArrayAgg("routes__key", filter=Q(routes__isnull=False), default=[])


def read_rows(grants: QuerySet[Grant]) -> Iterator[Row]:
    """One query, in order of id so that a graph compiles to one set of bytes; the database gathers the routes."""
    rows = grants.annotate(route_keys=_ROUTE_KEYS).order_by("public_id").values_list(*_COLUMNS, "route_keys")
    return (Row(*values) for values in rows)


def graph_grants(grants: QuerySet[Grant], at: datetime) -> tuple[graph.Grant, ...]:
    """Those that open something, in one query."""
    return tuple(graph_grant(row, at) for row in read_rows(grants) if row.treatment is None)


def graph_grant(row: Row, at: datetime) -> graph.Grant:
    """The compiler's view."""
    starts_at, ends_at = _window(row, at)
    return graph.Grant(
        id=row.public_id,
        subject=row.subject,
        service=row.service,
        routes=frozenset(row.routes),
        points=frozenset(graph.Point(point) for point in row.points),
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _graph_rule(row: Row, at: datetime) -> TrafficRule:
    starts_at, ends_at = _window(row, at)
    return Wish.from_json(row.treatment or {}).rule(
        row.public_id,
        subject=row.subject,
        service=row.service,
        routes=frozenset(row.routes),
        points=frozenset(graph.Point(point) for point in row.points),
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _window(row: Row, at: datetime) -> tuple[int, int | None]:
    """From when until when, in whole seconds. What was ended early ends when it was ended."""
    if row.state == GrantState.PENDING or row.starts_at is None:
        return seconds(row.approved_at), None if row.duration is None else seconds(at) + row.duration
    ends = [seconds(end) for end in (row.ends_at, row.ended_at) if end is not None]
    return seconds(row.starts_at), min(ends) if ends else None


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())
