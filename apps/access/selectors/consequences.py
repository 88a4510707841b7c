"""What a rule or a guardrail concerns, before it is kept: services, requests that wait, and access that is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import QuerySet

from apps.access.coverage import Covered, facts_of, reaches
from apps.access.guardrails import graph_guardrail, obstacles
from apps.access.models import AccessRequest, ApprovalRule, Grant, Guardrail
from apps.access.rules import matches
from apps.access.services.governance import GuardrailValues, RuleValues
from apps.access.services.governing import as_row, as_wall, covered_services, newly_uncovered
from apps.access.states import LIVE_GRANTS, RequestState
from apps.compiler import graph as policy
from apps.identity import selectors as identity

MOST_LOOKED_AT, SHOWN = 500, 20

AskT = TypeVar("AskT", AccessRequest, Grant)


@dataclass(frozen=True, slots=True)
class Consequences:
    """``requests`` wait for an answer; ``grants`` are open or about to be, and a guardrail would close them.

    ``uncovered``: services at which nobody could be asked any more.
    """

    services: tuple[Covered, ...]
    requests: tuple[AccessRequest, ...]
    grants: tuple[Grant, ...] = ()
    uncovered: tuple[Covered, ...] = ()


def consequences_of_rule(*, slug: str, values: RuleValues) -> Consequences:
    """Of the rule as it would be, and as it is: what either of them matches is concerned."""
    rules = [as_row(slug, values), *ApprovalRule.objects.filter(slug=slug)]
    services = [one for one in covered_services() if any(reaches(rule, one) for rule in rules)]
    by_slug = {one.slug: one for one in services}
    waiting = _waiting(by_slug)
    found = [request for request in waiting if _meets(rules, request, by_slug[request.service.slug])]
    return Consequences(services=tuple(services), requests=tuple(found), uncovered=tuple(newly_uncovered(slug, values)))


def _meets(rules: Iterable[ApprovalRule], request: AccessRequest, service: Covered) -> bool:
    methods = frozenset(method for route in request.routes.all() for method in route.methods)
    facts = facts_of(service, request.subject.kind, methods, frozenset(request.points))
    return any(matches(rule, facts) for rule in rules if rule.enabled)


def consequences_of_guardrail(*, slug: str, values: GuardrailValues) -> Consequences:
    """Of the guardrail as it would be."""
    wall = as_wall(slug, values)
    services = [one for one in covered_services() if not wall.services or one.slug in wall.services]
    if not wall.enabled:
        return Consequences(services=tuple(services), requests=())
    slugs = {one.slug: one for one in services}
    live = Grant.objects.filter(state__in=LIVE_GRANTS, service__slug__in=slugs)
    return Consequences(
        services=tuple(services),
        requests=tuple(_barred(wall, _waiting(slugs))),
        grants=tuple(_barred(wall, _first(live))),
    )


def _waiting(slugs: Iterable[str]) -> list[AccessRequest]:
    return _first(AccessRequest.objects.filter(state=RequestState.PENDING, service__slug__in=list(slugs)))


def _first(rows: QuerySet[AskT]) -> list[AskT]:
    return list(rows.select_related("service", "subject").prefetch_related("routes").order_by("-pk")[:MOST_LOOKED_AT])


def _barred(wall: Guardrail, asks: Sequence[AskT]) -> list[AskT]:
    """Those of which the guardrail closes something."""
    who = identity.graph_subjects({one.subject.key for one in asks})
    walls = [graph_guardrail(wall)]
    return [one for one in asks if obstacles(walls, who[one.subject.key], one.service.slug, _routes(one), _points(one))]


def _routes(ask: AccessRequest | Grant) -> list[policy.Route]:
    return [policy.Route(route.key, frozenset(route.methods), route.template) for route in ask.routes.all()]


def _points(ask: AccessRequest | Grant) -> list[policy.Point]:
    return [policy.Point(point) for point in ask.points]
