"""Examining grants, service by service: what is found is kept for lists, and thrown away at the next examination."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min, OuterRef, Subquery

from apps.access.models import Examined, Grant, UpkeepFinding
from apps.access.selectors.upkeep import Examination, examine
from apps.access.states import LIVE_GRANTS
from apps.compiler.hygiene import OVERLAPS

EVERY = timedelta(hours=6)
MOST = 100


def examine_due(*, at: datetime, limit: int = MOST) -> int:
    """Examine the services that never were, then those whose turn it is; how many. Running late or twice is no harm."""
    last = Examined.objects.filter(service=OuterRef("service"), environment=OuterRef("environment")).values("at")
    held = Grant.objects.filter(state__in=LIVE_GRANTS, treatment__isnull=True).values("service", "environment")
    never = held.annotate(last=Subquery(last), first=Min("pk")).filter(last=None).order_by("first")
    old = Examined.objects.filter(at__lte=at - EVERY).order_by("at", "pk").values_list("service", "environment")
    due = list(never.values_list("service", "environment")[:limit])
    due += list(old[: limit - len(due)])
    by_place: dict[int, list[int]] = {}
    for service, environment in due:
        by_place.setdefault(environment, []).append(service)
    for environment, services in sorted(by_place.items()):
        examine_services(service_ids=services, environment_id=environment, at=at)
    return len(due)


def examine_services(*, service_ids: Collection[int], environment_id: int, at: datetime) -> None:
    """A handful of queries for all of them."""
    found = examine(service_ids=service_ids, environment_id=environment_id, at=at)
    with transaction.atomic():
        rows = [Examined(service_id=pk, environment_id=environment_id, at=at) for pk in sorted(set(service_ids))]
        Examined.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["service", "environment"], update_fields=["at"]
        )
        UpkeepFinding.objects.filter(service__in=service_ids, environment=environment_id).delete()
        UpkeepFinding.objects.bulk_create(_rows(found, environment_id, at))


def _rows(found: Examination, environment_id: int, at: datetime) -> Iterable[UpkeepFinding]:
    services: Mapping[str, int] = found.services
    return [
        UpkeepFinding(
            service_id=services[one.service],
            environment_id=environment_id,
            code=one.code,
            severity=one.severity,
            sentence=one.sentence,
            grants=list(one.grant_ids[:50]),
            removable=one.code in OVERLAPS,
            found_at=at,
        )
        for one in found.findings
    ]
