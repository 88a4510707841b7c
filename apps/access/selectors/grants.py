"""Reading grants: one, many, and who can reach what at any moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject

from apps.access import refusals
from apps.access.guardrails import list_guardrail_rows
from apps.access.models import Grant, GrantDoor
from apps.access.selectors.graph import assemble, seconds
from apps.access.selectors.pages import PAGE, Page, page_of
from apps.access.selectors.visibility import visible_grants
from apps.access.states import BUSY_DOORS, LIVE_GRANTS, DoorState, GrantState
from apps.catalog import selectors as catalog
from apps.compiler import graph
from apps.compiler.decide import Entitlement, entitlements
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

SOON = timedelta(hours=2)


def with_parts(rows: QuerySet[Grant]) -> QuerySet[Grant]:
    """What a list shows of each, in a fixed number of queries."""
    return rows.select_related("subject", "service__team", "request", "ended_by").prefetch_related("routes", "doors")


def get_visible_grant(*, viewer: Subject, public_id: str) -> Grant:
    """Raises UnknownGrant for what ``viewer`` may not see."""
    grant = with_parts(visible_grants(viewer)).filter(public_id=public_id).first()
    if grant is None:
        raise refusals.UnknownGrant
    return grant


def list_grants(
    *,
    viewer: Subject,
    states: Collection[str] = (),
    service: str = "",
    subject: str = "",
    after: int | None = None,
    limit: int = PAGE,
) -> Page[Grant]:
    """What ``viewer`` may see, newest first. ``subject`` is a key."""
    rows = visible_grants(viewer)
    if states:
        rows = rows.filter(state__in=states)
    if service:
        rows = rows.filter(service__slug=service)
    if subject:
        rows = rows.filter(subject__key=subject)
    return page_of(with_parts(rows), after=after, limit=limit)


def list_held(*, subject: Subject, at: datetime) -> QuerySet[Grant]:
    """What is open or opening to ``subject`` itself or to one of its teams, soonest to end first."""
    holders = [subject.pk, *(team.pk for team in identity.teams_of(subject))]
    rows = _running(at).filter(subject__in=holders).select_related("subject", "service", "request")
    return rows.prefetch_related("routes", "doors").order_by("ends_at", "pk")


def list_running_of(*, keys: Collection[str], at: datetime) -> QuerySet[Grant]:
    """What is open or opening to any of these subjects, for whoever weighs a change of who belongs to them."""
    held = _running(at).filter(subject__key__in=keys).select_related("subject", "service", "environment")
    return held.order_by("subject__key", "ends_at", "pk")


def list_open_to(*, viewer: Subject, keys: Collection[str], at: datetime) -> QuerySet[Grant]:
    """What is open or opening to any of these subjects, as far as ``viewer`` may see it; with ``door_states``."""
    seen = visible_grants(viewer).filter(pk__in=_running(at).filter(subject__key__in=keys).values("pk"))
    held = seen.select_related("subject", "service", "request").annotate(door_states=_door_states())
    return held.order_by(F("ends_at").asc(nulls_last=True), "pk")


def _door_states() -> ArraySubquery:
    doors = GrantDoor.objects.filter(grant=OuterRef("pk")).order_by("point")
    return ArraySubquery(doors.values(json=JSONObject(point="point", state="state")))


def list_held_briefly(*, subject: Subject, at: datetime) -> QuerySet[Grant]:
    """As ``list_held`` with ``door_states``, in one query: without routes."""
    rows = list_held(subject=subject, at=at).prefetch_related(None)
    return rows.annotate(door_states=_door_states())


def list_ending_soon(*, subject: Subject, at: datetime, within: timedelta = SOON) -> QuerySet[Grant]:
    """What ends soon of all that ``subject`` may ask for: its own, its teams', and their workloads' and agents'."""
    mine = [one.pk for one in identity.acting_for(subject)]
    soon = _running(at).filter(subject__in=mine, ends_at__lte=at + within)
    return with_parts(soon).order_by("ends_at", "pk")


def _running(at: datetime) -> QuerySet[Grant]:
    """What is open or opening; a traffic rule opens nothing."""
    return Grant.objects.filter(state__in=LIVE_GRANTS, treatment__isnull=True).exclude(ends_at__lte=at)


def list_busy_doors() -> QuerySet[GrantDoor]:
    """Doors that are not yet proven or closed, for whoever moves them."""
    return (
        GrantDoor.objects.filter(state__in=BUSY_DOORS)
        .select_related("grant__service", "grant__environment")
        .order_by("pk")
    )


def list_proven_doors() -> QuerySet[GrantDoor]:
    """Doors of what is open or opening that somebody has shown to be open."""
    return (
        GrantDoor.objects.filter(state=DoorState.PROVEN, grant__state__in=LIVE_GRANTS)
        .select_related("grant__service", "grant__environment")
        .order_by("pk")
    )


def list_proven_doors_at(*, environment_slug: str, point: str) -> QuerySet[GrantDoor]:
    """Those of one place, but for doors of outside addresses."""
    doors = list_proven_doors().filter(point=point, grant__environment__slug=environment_slug)
    return doors.exclude(grant__subject__kind=graph.SubjectKind.PARTY)


@dataclass(frozen=True, slots=True)
class Reach:
    """One subject's way to some routes of a service through one door. ``via`` names the teams it comes by."""

    subject: str
    name: str
    kind: graph.SubjectKind
    point: graph.Point
    routes: tuple[graph.Route, ...]
    grant_ids: tuple[str, ...]
    via: tuple[str, ...]
    until: datetime | None


def list_open_at(*, service_slug: str, environment_slug: str, at: datetime) -> QuerySet[Grant]:
    """The grants whose window holds ``at``, in the past by when they really ended; without those to addresses."""
    return Grant.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=at),
        Q(ends_at=None) | Q(ends_at__gt=at),
        service__slug=service_slug,
        environment__slug=environment_slug,
        starts_at__lte=at,
    ).exclude(Q(state=GrantState.PENDING) | Q(subject__kind=graph.SubjectKind.PARTY))


def who_can_reach(*, service_slug: str, at: datetime, environment_slug: str | None = None) -> tuple[Reach, ...]:
    """Who may call what of a service at any moment, past or to come, through which door and by which grants.

    Grants are taken as they were or will be; people, teams, routes and guardrails as they are known now. What only
    waits to be opened does not count.
    """
    catalog.get_service(service_slug)
    where = catalog.get_environment(environment_slug)
    shapes = catalog.graph_services([service_slug], where.slug)
    return reach_of(shapes[service_slug], environment_slug=where.slug, at=at) if service_slug in shapes else ()


def reach_of(shape: graph.Service, *, environment_slug: str, at: datetime) -> tuple[Reach, ...]:
    """``who_can_reach`` for whoever has the service already. Three queries."""
    then = assemble(
        services={shape.id: shape},
        grants=list_open_at(service_slug=shape.id, environment_slug=environment_slug, at=at),
        guardrails=list_guardrail_rows([shape.id]),
        at=at,
    )
    return _gathered(then, shape.id, entitlements(then, shape.id, seconds(at)))


def _gathered(then: graph.AccessGraph, service: str, rows: Iterable[Entitlement]) -> tuple[Reach, ...]:
    """Rows that differ only in their route become one."""
    routes = {route.id: route for route in then.services[service].routes} if service in then.services else {}
    holders = {grant.id: grant.subject for grant in then.grants}
    together: dict[tuple[str, graph.Point, tuple[str, ...], int | None], list[graph.Route]] = defaultdict(list)
    for row in rows:
        open_part = graph.Route(row.route, row.methods, routes[row.route].template)
        together[row.subject, row.point, row.grant_ids, row.ends_at].append(open_part)
    return tuple(
        Reach(
            subject=key,
            name=then.subjects[key].name or key,
            kind=then.subjects[key].kind,
            point=point,
            routes=tuple(sorted(found, key=lambda route: (route.template, route.id))),
            grant_ids=grant_ids,
            via=tuple(sorted({then.subjects[holders[g]].name for g in grant_ids if holders[g] != key})),
            until=None if ends_at is None else datetime.fromtimestamp(ends_at, UTC),
        )
        for (key, point, grant_ids, ends_at), found in together.items()
    )
