"""What bringing objects to a cluster would close, beside who was seen calling; and a person's yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.audit.errors import Refusal
from apps.catalog import selectors as catalog
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text, require_role
from apps.identity.selectors import has_role
from apps.rollout import tasks
from apps.rollout.cluster.facts import facts_of
from apps.rollout.cluster.views import cluster_target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.cluster import closing
from apps.rollout.services.cluster.driving import HELD
from apps.telemetry import selectors as telemetry

if TYPE_CHECKING:
    from apps.identity.models import Subject
    from apps.telemetry.selectors import CallerSeen

DAYS, MOST_SERVICES, MOST_CALLERS = 30, 10, 30


@dataclass(frozen=True, slots=True)
class Caller:
    """``subject`` is None where nobody of that key is known any more; ``seen`` is what was seen of a stranger."""

    key: str
    subject: Subject | None
    seen: CallerSeen | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """``strangers`` called lately, and will not be let in. ``more`` are allowed than are named."""

    service: str
    title: str
    paths: tuple[str, ...]
    sentences: tuple[str, ...]
    allowed: tuple[Caller, ...]
    more: int
    strangers: tuple[Caller, ...]


@require_http_methods(["GET", "POST"])
def plan(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target, at = cluster_target(slug), timezone.now()
    complaint = _agree(request, slug, at) if request.method == "POST" else ""
    if request.method == "POST" and not complaint:
        tasks.poke([slug])
        title = catalog.list_titles([request.POST["service"]])[request.POST["service"]]
        messages.success(request, f"Agreed: {title} is closed to everybody else now.")
        return redirect("target_plan", slug)
    page = closing.closings(target, after=asked_text(request, "after"), limit=MOST_SERVICES + 1)
    context = {
        "target": target,
        "many": len(target.facts.get(HELD, {})),
        "closings": shown(page[:MOST_SERVICES], at),
        "after": page[MOST_SERVICES - 1].service if len(page) > MOST_SERVICES else None,
        "traps": closing.traps_lately(target),
        "cluster": facts_of(target),
        "keeper": has_role(request.subject, *KEEPERS),
        "complaints": [complaint] if complaint else [],
        "days": DAYS,
    }
    return TemplateResponse(request, "rollout/cluster_plan.html", context, status=422 if complaint else 200)


def _agree(request: PageRequest, slug: str, at: datetime) -> str:
    """Empty when it is done; else why it is not."""
    try:
        closing.agree(slug=slug, services=[request.POST.get("service", "")], actor=request.subject.actor, at=at)
    except Refusal as refusal:
        return refusal.message
    return ""


def shown(found: Sequence[closing.Closing], at: datetime) -> list[Shown]:
    services = [one.service for one in found]
    titles = catalog.list_titles(services)
    seen = telemetry.list_callers_seen_by_service(services, since=at - timedelta(days=DAYS))
    strangers = {
        one.service: [who for who in seen.get(one.service, ()) if who.subject not in one.allowed] for one in found
    }
    named = {key for one in found for key in one.allowed[:MOST_CALLERS]}
    people = identity.list_by_keys(named | {who.subject for many in strangers.values() for who in many})
    return [
        Shown(
            service=one.service,
            title=titles.get(one.service, one.service),
            paths=one.paths,
            sentences=one.sentences,
            allowed=tuple(Caller(key, people.get(key)) for key in one.allowed[:MOST_CALLERS]),
            more=one.more + max(0, len(one.allowed) - MOST_CALLERS),
            strangers=tuple(Caller(who.subject, people.get(who.subject), who) for who in strangers[one.service]),
        )
        for one in found
    ]
