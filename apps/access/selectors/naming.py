"""What names a service: everything of this app that would have to go with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q

from apps.access.models import AccessRequest, ApprovalRule, Grant, Guardrail
from apps.access.states import LIVE_GRANTS, RequestState


@dataclass(frozen=True, slots=True)
class Naming:
    """``grants`` hold traffic rules and openings to addresses too. Guardrails name it or one of its workloads."""

    grants: tuple[Grant, ...]
    requests: tuple[AccessRequest, ...]
    rules: tuple[ApprovalRule, ...]
    guardrails: tuple[Guardrail, ...]


def list_naming(*, service_slug: str, workload_keys: Collection[str]) -> Naming:
    """Of a service and the workloads it runs as: as what is reached, and as who reaches. Six queries at most."""
    concerned = Q(service__slug=service_slug) | Q(subject__key__in=workload_keys)
    grants = Grant.objects.filter(concerned, state__in=LIVE_GRANTS)
    waiting = AccessRequest.objects.filter(concerned, state=RequestState.PENDING)
    walls = Guardrail.objects.filter(Q(services__contains=[service_slug]) | Q(subjects__overlap=list(workload_keys)))
    rules = ApprovalRule.objects.filter(services__contains=[service_slug])
    return Naming(
        grants=tuple(grants.select_related("subject", "service", "request").prefetch_related("routes").order_by("pk")),
        requests=tuple(waiting.select_related("subject", "service", "requester").order_by("pk")),
        rules=tuple(rules.order_by("slug")),
        guardrails=tuple(walls.order_by("slug")),
    )


def list_pending_of(*, subject_keys: Collection[str], service_slugs: Collection[str]) -> list[AccessRequest]:
    """What waits for an answer between these subjects and these services, with its routes; no traffic rules."""
    rows = AccessRequest.objects.filter(
        subject__key__in=subject_keys,
        service__slug__in=service_slugs,
        state=RequestState.PENDING,
        treatment__isnull=True,
    )
    return list(rows.select_related("subject", "service").prefetch_related("routes").order_by("pk"))
