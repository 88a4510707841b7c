"""Telling the rollout how the edge fares with new code: calls, and errors of the edge itself, before and after."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Count, Q

from apps.rollout.services import watching
from apps.rollout.services.watched import Counts, watches
from apps.telemetry.models import Call

SERVER_ERROR = 500
STAGING_NODES = ":staging"


def tell_releases(*, at: datetime) -> list[str]:
    """Slugs of the targets that should be looked at now."""
    slugs = [
        watching.heard(
            release_id=one.release_id,
            before=edge_counts(one.hosts, one.since, one.came_at),
            after=edge_counts(one.hosts, one.came_at, one.until),
            at=at,
        )
        for one in watches(at)
    ]
    return [slug for slug in slugs if slug is not None]


def edge_counts(hosts: Collection[str], since: datetime, until: datetime) -> Counts:
    """Probes aside. An error is the edge's own when the call came no further: what is behind it did not fail then."""
    calls = Call.objects.filter(
        first_at__gte=since, first_at__lt=until, probe=False, host__in=hosts, doors__has_key="edge"
    ).exclude(doors__edge__node__endswith=STAGING_NODES)
    own = Q(doors__edge__status__gte=SERVER_ERROR) & ~Q(doors__has_any_keys=["ingress", "sidecar"])
    return Counts(**calls.aggregate(calls=Count("pk"), errors=Count("pk", filter=own)))
