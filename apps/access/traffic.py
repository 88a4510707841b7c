"""Traffic rules that stand on a service, held against the one that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection

from apps.access import refusals
from apps.access.models import AccessRequest, Grant
from apps.access.states import LIVE_GRANTS, RequestState
from apps.access.wishes import Wish
from apps.compiler import graph
from apps.compiler.graph import TrafficRule
from apps.compiler.traffic import EVERYBODY, clashes
from apps.compiler.traffic_words import wish_words
from apps.compiler.words import listed
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.access.asks import Target
    from apps.identity.models import Subject

PROPOSED = "proposed"
_RULES = 7_238_115
"""The advisory lock, one per service, under which rules are weighed against each other and become true."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule that is in force or asked for, and the request it comes from."""

    request: str
    rule: TrafficRule
    is_asked: bool


def list_standing(service_id: int, environment_id: int) -> list[Standing]:
    """What stands on a service: rules in force, and those that wait for an answer."""
    where = {"service": service_id, "environment": environment_id, "treatment__isnull": False}
    live = Grant.objects.filter(**where, state__in=LIVE_GRANTS).select_related("subject", "service", "request")
    asked = AccessRequest.objects.filter(**where, state=RequestState.PENDING).select_related("subject", "service")
    return [
        *(_standing(row, row.request.public_id, False) for row in live.prefetch_related("routes") if row.request),
        *(_standing(row, row.public_id, True) for row in asked.prefetch_related("routes").order_by("pk")),
    ]


def _standing(row: Grant | AccessRequest, request: str, is_asked: bool) -> Standing:
    rule = Wish.from_json(row.treatment or {}).rule(
        row.public_id,
        subject=row.subject.key,
        service=row.service.slug,
        routes=frozenset(route.key for route in row.routes.all()),
        points=frozenset(map(graph.Point, row.points)),
    )
    return Standing(request, rule, is_asked)


def proposed_rule(
    wish: Wish, subject: Subject, target: Target, *, starts_at: int = 0, ends_at: int | None = None
) -> TrafficRule:
    return wish.rule(
        PROPOSED,
        subject=subject.key,
        service=target.service.slug,
        routes=target.route_keys,
        points=target.graph_points,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def contradictions(
    subject: Subject, target: Target, *, own: str = "", with_asked: bool = True
) -> Iterator[refusals.TrafficConflict]:
    """One refusal for each rule that the wish contradicts, with both shown. ``own`` is the request that is weighed."""
    if target.wish is None:
        return
    wanted = proposed_rule(target.wish, subject, target)
    others = [
        one
        for one in list_standing(target.service.pk, target.environment.pk)
        if one.request != own and (with_asked or not one.is_asked)
    ]
    if not others:
        return
    named = {rule.subject for rule in (wanted, *(one.rule for one in others))} - {EVERYBODY}
    people = identity.graph_subjects(named)
    shown = graph.AccessGraph(subjects=people, services={target.service.slug: target.shape})
    for other in others:
        differences = clashes(wanted, other.rule, people)
        if differences:
            yield _conflict(shown, wanted, other, differences)


def _conflict(
    shown: graph.AccessGraph, wanted: TrafficRule, other: Standing, differences: tuple[str, ...]
) -> refusals.TrafficConflict:
    mine, theirs = wish_words(shown, wanted), wish_words(shown, other.rule)
    state = "is asked for already" if other.is_asked else "is in force"
    return refusals.TrafficConflict(
        f"You ask that {mine}, but it {state} that {theirs}: {listed(differences)}. End or withdraw that one first.",
        extra={
            "asked": mine,
            "other": theirs,
            "request": other.request,
            "in_force": not other.is_asked,
            "differences": list(differences),
        },
    )


def hold_rules(service_id: int) -> None:
    """Until the transaction ends nobody else weighs rules of this service, so of two that clash one comes first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_RULES, service_id])
