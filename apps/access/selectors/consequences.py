"""What a rule or a guardrail concerns, before it is kept: services, requests that wait, and access that is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import QuerySet
from django.db.models.functions import JSONObject

from apps.access.coverage import Covered, facts_of, reaches, uncovered
from apps.access.guardrails import graph_guardrail, obstacles
from apps.access.models import AccessRequest, ApprovalRule, Grant, Guardrail
from apps.access.rules import matches
from apps.access.services.governance import GuardrailValues, RuleValues
from apps.access.services.governing import as_row, as_wall, covered_services
from apps.access.states import LIVE_GRANTS, RequestState
from apps.compiler import graph as policy
from apps.identity import selectors as identity

MOST_LOOKED_AT = 500

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
    rules, all_services = list(ApprovalRule.objects.all()), covered_services()
    wish = as_row(slug, values)
    both = [wish, *(rule for rule in rules if rule.slug == slug)]
    services = [one for one in all_services if any(reaches(rule, one) for rule in both)]
    by_slug = {one.slug: one for one in services}
    found = [request for request in _waiting(by_slug) if _meets(both, request, by_slug[request.service.slug])]
    after = [wish, *(rule for rule in rules if rule.slug != slug)]
    lost = uncovered(after, all_services) - uncovered(rules, all_services)
    left = tuple(one for one in all_services if one.slug in lost)
    return Consequences(services=tuple(services), requests=tuple(found), uncovered=left)


def _meets(rules: Iterable[ApprovalRule], request: AccessRequest, service: Covered) -> bool:
    methods = frozenset(method for route in _routes(request) for method in route.methods)
    facts = facts_of(service, request.subject.kind, methods, frozenset(request.points))
    return any(matches(rule, facts) for rule in rules if rule.enabled)


def consequences_of_guardrail(*, slug: str, values: GuardrailValues) -> Consequences:
    """Of the guardrail as it would be."""
    wall = as_wall(slug, values)
    services = [one for one in covered_services() if not wall.services or one.slug in wall.services]
    if not wall.enabled:
        return Consequences(services=tuple(services), requests=())
    slugs = {one.slug: one for one in services}
    waiting, live = _waiting(slugs), _first(Grant.objects.filter(state__in=LIVE_GRANTS, service__slug__in=slugs))
    who = identity.graph_subjects({one.subject.key for one in waiting} | {one.subject.key for one in live})
    return Consequences(
        services=tuple(services),
        requests=tuple(_barred(wall, waiting, who)),
        grants=tuple(_barred(wall, live, who)),
    )


def _waiting(slugs: Iterable[str]) -> list[AccessRequest]:
    return _first(AccessRequest.objects.filter(state=RequestState.PENDING, service__slug__in=list(slugs)))


def _first(rows: QuerySet[AskT]) -> list[AskT]:
    """With their routes, in one query."""
    route = JSONObject(key="routes__key", methods="routes__methods", template="routes__template")
    found = rows.select_related("service", "subject").annotate(of_routes=JSONBAgg(route))
    return list(found.order_by("-pk")[:MOST_LOOKED_AT])


def _barred(wall: Guardrail, asks: Sequence[AskT], who: dict[str, policy.Subject]) -> list[AskT]:
    """Those of which the guardrail closes something."""
    walls = [graph_guardrail(wall)]
    return [one for one in asks if obstacles(walls, who[one.subject.key], one.service.slug, _routes(one), _points(one))]


def _routes(ask: Any) -> list[policy.Route]:
    """``ask`` comes from ``_first``."""
    return [policy.Route(row["key"], frozenset(row["methods"]), row["template"]) for row in ask.of_routes]


def _points(ask: AccessRequest | Grant) -> list[policy.Point]:
    return [policy.Point(point) for point in ask.points]
