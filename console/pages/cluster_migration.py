"""The way out of NGINX Service Mesh, service by service: what becomes of it, and whether anybody would be shut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.compiler.emitters.cluster.leaving import Aspect, Replay, aspects, replay
from apps.compiler.impact import Call
from apps.identity.pages import PageRequest, require_role
from apps.rollout import selectors as rollout
from apps.rollout.cluster.settings import END_OF_SALE, SMI, settings_of
from apps.rollout.cluster.views import cluster_target
from apps.rollout.policies import WATCHERS
from apps.rollout.surroundings import cluster_surroundings
from apps.telemetry import selectors as telemetry

if TYPE_CHECKING:
    from apps.compiler.graph import AccessGraph
    from apps.compiler.surroundings import ClusterSurroundings

LOOK_BACK = timedelta(days=30)
PAGE = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """One service. ``replay`` is of its own recorded calls."""

    slug: str
    name: str
    aspects: Sequence[Aspect]
    replay: Replay


@require_GET
def migration(request: PageRequest, slug: str) -> HttpResponse:
    """Told from what was compiled last, so that it costs no more than reading it."""
    require_role(request, *WATCHERS)
    target, at = cluster_target(slug), timezone.now()
    chosen, after = settings_of(target.config), request.GET.get("after", "").replace("\x00", "")
    uses_smi = SMI in chosen.emitters
    compiled = (
        rollout.list_compiled(target=target, namespaces=chosen.namespaces, after=after, limit=PAGE) if uses_smi else []
    )
    slugs = [service for service, _ in compiled[:PAGE]]
    calls = telemetry.allowed_calls(slugs, since=at - LOOK_BACK, ask_at=at) if slugs else {}
    around = cluster_surroundings(target, at)
    rows = [_shown(part, service, around, calls.get(service, ())) for service, part in compiled[:PAGE]]
    context = {
        "target": target,
        "rows": rows,
        "denied": sum(one.replay.newly_denied for one in rows),
        "calls": sum(one.replay.calls for one in rows),
        "days": LOOK_BACK.days,
        "next": slugs[-1] if len(compiled) > PAGE else None,
        "uses_smi": uses_smi,
        "end_of_sale": END_OF_SALE,
    }
    return TemplateResponse(request, "rollout/cluster_migration.html", context)


def _shown(part: AccessGraph, slug: str, around: ClusterSurroundings, calls: Sequence[Call]) -> Shown:
    service = part.services[slug]
    return Shown(slug, service.name, aspects(part, service, around), replay(part, service, around, calls))
