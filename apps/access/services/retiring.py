"""Ending everything that names a service, in one transaction: after somebody decided that it goes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.access import policies
from apps.access.models import AccessRequest, ApprovalRule, Guardrail
from apps.access.services.governance import set_guardrail, set_rule
from apps.access.services.governing import values_of_guardrail, values_of_rule
from apps.access.services.grants import end_all_locked, locked_where
from apps.access.services.requests import close, locked, tell_outcome
from apps.access.states import LIVE_GRANTS, GrantState, RequestState

if TYPE_CHECKING:
    from apps.identity.models import Subject


def end_all_of(
    *, service_slug: str, workload_keys: Collection[str], actor: Subject, why: str, at: datetime
) -> tuple[int, int]:
    """End the grants of a service and of what it runs as, withdraw what waits for an answer, and take its name out of
    rules and guardrails; one that names nothing else is switched off, because without a name it would mean everything.

    For security and administrators. Returns how many grants and requests ended.
    """
    policies.require_can_govern(actor.actor)
    concerned = Q(service__slug=service_slug) | Q(subject__key__in=workload_keys)
    with transaction.atomic():
        waiting = AccessRequest.objects.filter(concerned, state=RequestState.PENDING).order_by("pk")
        requests = [locked(public_id) for public_id in waiting.values_list("public_id", flat=True)]
        grants = locked_where(concerned & Q(state__in=LIVE_GRANTS))
        rules = list(_rules(service_slug).select_for_update())
        walls = list(_walls(service_slug, workload_keys).select_for_update())
        end_all_locked(grants, to=GrantState.REVOKED, by=actor, why=why, at=at)
        for request in requests:
            if request.state == RequestState.PENDING:
                close(request, RequestState.CANCELLED, at)
                tell_outcome(request, actor=actor.actor, at=at, why=why)
        for rule in rules:
            _unname_rule(rule, service_slug, actor, at)
        for wall in walls:
            _unname_guardrail(wall, service_slug, workload_keys, actor, at)
    return len(grants), len(requests)


def _rules(slug: str) -> QuerySet[ApprovalRule]:
    return ApprovalRule.objects.filter(services__contains=[slug]).order_by("slug")


def _walls(slug: str, workloads: Collection[str]) -> QuerySet[Guardrail]:
    named = Q(services__contains=[slug]) | Q(subjects__overlap=list(workloads))
    return Guardrail.objects.filter(named).order_by("slug")


def _unname_rule(rule: ApprovalRule, slug: str, actor: Subject, at: datetime) -> None:
    values = values_of_rule(rule)
    left = _without(values.services, [slug])
    told = replace(values, services=left) if left else replace(values, enabled=False)
    if told != values:
        set_rule(slug=rule.slug, values=told, actor=actor.actor, at=at)


def _unname_guardrail(wall: Guardrail, slug: str, workloads: Collection[str], actor: Subject, at: datetime) -> None:
    values = values_of_guardrail(wall)
    services, subjects = _without(values.services, [slug]), _without(values.subjects, workloads)
    emptied = (values.services and not services) or (values.subjects and not subjects and not values.kinds)
    told = replace(values, enabled=False) if emptied else replace(values, services=services, subjects=subjects)
    if told != values:
        set_guardrail(slug=wall.slug, values=told, actor=actor.actor, at=at)


def _without(names: Sequence[str], gone: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in gone)
