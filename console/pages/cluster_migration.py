"""The way out of NGINX Service Mesh, service by service: what becomes of it, and whether anybody would be shut out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.compiler.emitters.cluster import gateway, nic, smi
from apps.compiler.emitters.cluster.leaving import Aspect, Replay, aspects, replay
from apps.compiler.emitters.cluster.migration import Moved, compare
from apps.compiler.emitters.cluster.objects import ingress_account
from apps.compiler.impact import Call
from apps.compiler.slices import service_slice
from apps.identity.pages import PageRequest, require_role
from apps.rollout.cluster_views import cluster_target
from apps.rollout.clusters import END_OF_SALE, SMI, settings_of
from apps.rollout.services.cluster_driving import holds
from apps.rollout.surroundings import cluster_surroundings
from apps.rollout.views import WATCHERS
from apps.telemetry import selectors as telemetry

if TYPE_CHECKING:
    from apps.compiler.graph import AccessGraph
    from apps.compiler.surroundings import ClusterSurroundings
    from apps.rollout.models import Target

LOOK_BACK = timedelta(days=30)
PAGE, MOST_CALLS = 10, 5_000


@dataclass(frozen=True, slots=True)
class Shown:
    """One service. ``moved`` is what the mesh's objects say of it, ``replay`` is of its own recorded calls."""

    slug: str
    name: str
    aspects: Sequence[Aspect]
    moved: Sequence[Moved]
    replay: Replay


@require_GET
def migration(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *WATCHERS)
    target, at = cluster_target(slug), timezone.now()
    slugs, more = _page(target, request)
    rows = shown(target, slugs, at)
    context = {
        "target": target,
        "rows": rows,
        "denied": sum(one.replay.newly_denied for one in rows),
        "calls": sum(one.replay.calls for one in rows),
        "days": LOOK_BACK.days,
        "next": slugs[-1] if more else None,
        "uses_smi": SMI in settings_of(target.config).emitters,
        "end_of_sale": END_OF_SALE,
    }
    return TemplateResponse(request, "rollout/cluster_migration.html", context)


def _page(target: Target, request: HttpRequest) -> tuple[list[str], bool]:
    """Slugs of the services that run in the cluster, from ``after`` on, and whether there are more."""
    if SMI not in settings_of(target.config).emitters:
        return [], False
    known = catalog.graph_services(None, target.environment.slug)
    after = request.GET.get("after", "")
    found = [slug for slug in sorted(known) if slug > after and holds(target, known[slug])]
    return found[:PAGE], len(found) > PAGE


def shown(target: Target, slugs: Sequence[str], at: datetime) -> list[Shown]:
    if not slugs:
        return []
    graph = access.graph_slice(service_slugs=slugs, environment_slug=target.environment.slug, at=at)
    calls = telemetry.recent_calls_of(slugs, since=at - LOOK_BACK, ask_at=at, limit=MOST_CALLS)
    around = cluster_surroundings(target, at)
    return [_shown(graph, slug, around, calls) for slug in slugs if slug in graph.services]


def _shown(graph: AccessGraph, slug: str, around: ClusterSurroundings, calls: Mapping[str, Sequence[Call]]) -> Shown:
    part, service = service_slice(graph, slug), graph.services[slug]
    moved = compare(
        smi.objects(part, service, around),
        [made for one in (nic, gateway) for made in one.objects(part, service, around)],
        ingress=ingress_account(around),
        sidecars=True,
    )
    told = replay(part, service, around, calls.get(slug, ()))
    return Shown(slug, service.name, aspects(part, service, around), moved, told)
