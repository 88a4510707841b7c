"""Noting what has to be compiled again. Each answers with the slugs of the targets concerned."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.rollout.cluster.settings import settings_of
from apps.rollout.emitting import COMMON
from apps.rollout.models import KEPT, DriverName, PendingChange, Target
from apps.rollout.services.akamai import leaving
from apps.rollout.services.cluster import leaving as cluster_leaving
from apps.rollout.services.targets import GRANT_CHANGED, SERVICE_CHANGED


@dataclass(frozen=True, slots=True)
class GrantNews:
    """A grant that changed: where it counts, and whether access may have ended."""

    grant_id: str
    service: str
    points: Collection[str]
    environment: str
    urgent: bool = False


def note_grants(*, grants: Collection[GrantNews], at: datetime) -> list[str]:
    """For many at once: two statements, and each target is named once."""
    targets = list(Target.objects.select_related("environment").order_by("slug"))
    kept = {(target.environment_id, target.point) for target in targets if target.is_kept}
    for gone in (target for target in targets if not target.is_kept):
        services = {one.service for one in grants if one.environment == gone.environment.slug}
        if gone.driver == DriverName.KUBERNETES:
            cluster_leaving.tell(gone, services, at)
        elif (gone.environment_id, gone.point) not in kept:
            leaving.tell(gone, services, at)
    rows = [
        PendingChange(
            target=target,
            service=grant.service,
            topic=GRANT_CHANGED,
            cause=grant.grant_id,
            at=at,
            retry_at=at,
            urgent=grant.urgent,
        )
        for grant in grants
        for target in targets
        if target.point in grant.points and target.environment.slug == grant.environment and target.is_kept
    ]
    PendingChange.objects.bulk_create(rows, batch_size=500)
    return list(dict.fromkeys(row.target.slug for row in rows))


def note_addresses(*, grant_ids: Collection[str] | None, at: datetime) -> list[str]:
    """Addresses that were opened, or no longer are: services of clusters that are reached by them past any ingress.

    ``grant_ids`` None: any of a guarded host's may be others now. Nothing is asked where no cluster has such services.
    """
    clusters = _kept().filter(driver=DriverName.KUBERNETES).select_related("environment").order_by("slug")
    direct = {target: found for target in clusters if (found := settings_of(target.config).direct)}
    hosts = access.list_address_hosts(grant_ids) if direct and grant_ids is not None else None
    if not direct or hosts == frozenset():
        return []
    noted: list[str] = []
    for target, slugs in direct.items():
        shapes = catalog.graph_services(slugs, target.environment.slug)
        meant = [slug for slug, one in shapes.items() if one.edge and (hosts is None or one.edge.host in hosts)]
        noted += _note([target], meant, "access.host.changed", "addresses", at) if meant else []
    return noted


def note_service(*, slug: str, at: datetime) -> list[str]:
    """A service changed: its own shard, and the addresses that all share."""
    return _note(_kept(), [COMMON, slug], SERVICE_CHANGED, slug, at)


def note_guardrail(*, slug: str, services: Collection[str], at: datetime) -> list[str]:
    """No services named means that the guardrail can stand anywhere."""
    noted: list[str] = []
    for target in _kept().select_related("environment"):
        touched = services or catalog.graph_services(None, target.environment.slug)
        noted += _note([target], touched, "access.guardrail.changed", slug, at)
    return noted


def note_key(*, purpose: str, at: datetime) -> list[str]:
    """Edge tokens are checked at the edge; context tokens are made there and checked in the mesh."""
    drivers = {"edge_token": [DriverName.AKAMAI], "context": list(DriverName)}
    targets = _kept().filter(driver__in=drivers.get(purpose, []))
    return _note(targets, [COMMON], "trust.key.changed", purpose, at)


def note_certificate(*, workload: str, at: datetime) -> list[str]:
    """The mesh recognises its workloads by certificate."""
    targets = Target.objects.filter(driver=DriverName.NGINX)
    return _note(targets, [COMMON], "trust.certificate.issued", workload, at)


def note_distrust(*, node: str, at: datetime) -> list[str]:
    """No door of a mesh is to believe the certificates of a node that is gone."""
    return _note(Target.objects.filter(driver=DriverName.NGINX), [COMMON], "rollout.node.removed", node, at)


def _kept() -> QuerySet[Target]:
    """All but those that were taken out, or are being."""
    return Target.objects.filter(KEPT)


def _note(targets: Iterable[Target], services: Iterable[str], topic: str, cause: str, at: datetime) -> list[str]:
    found = list(targets)
    rows = [
        PendingChange(target=target, service=service, topic=topic, cause=cause, at=at, retry_at=at)
        for target in found
        for service in services
    ]
    PendingChange.objects.bulk_create(rows, batch_size=500)
    return [target.slug for target in found]
