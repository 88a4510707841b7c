"""Taking a cluster out: what goes and what that does to calls is shown, a person says yes, and the page follows it."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.catalog import selectors as catalog
from apps.identity.pages import PageRequest, require_role
from apps.rollout import tasks
from apps.rollout.cluster.views import cluster_target
from apps.rollout.drivers.kubernetes.errors import CATALOGUE
from apps.rollout.models import Node, Target
from apps.rollout.policies import KEEPERS
from apps.rollout.services.cluster import leaving
from apps.rollout.services.driving import has_live_agent
from apps.rollout.views import mark_of_it

MOST = 100
BACK, FORGET = "back", "forget"


@require_http_methods(["GET", "POST"])
def leave(request: PageRequest, slug: str) -> HttpResponse:
    """Posting has it taken out, brought back, or no longer waited for."""
    require_role(request, *KEEPERS)
    target, at = cluster_target(slug), timezone.now()
    if request.method == "POST":
        messages.success(request, _do(request, target))
        tasks.poke([slug])
        return redirect("target_take_out", slug)
    going = leaving.going(target)
    shown = going.fates[:MOST]
    context = {
        "target": target,
        "going": going,
        "fates": list(zip(shown, _titles(shown), strict=True)),
        "more": len(going.fates) - len(shown),
        "silent": target.is_pulled and not has_live_agent(target, at),
        "nodes": Node.objects.filter(target=target).count() if target.is_removed else 0,
        "trouble": CATALOGUE.get(target.trouble),
        "keeper": True,
        "seen": mark_of_it(target),
    }
    return TemplateResponse(request, "rollout/cluster_leave.html", context)


def _do(request: PageRequest, target: Target) -> str:
    """What is said of it."""
    actor, at, act = request.subject.actor, timezone.now(), request.POST.get("act")
    if act == BACK:
        leaving.back(slug=target.slug, actor=actor, at=at)
        return "Everything is compiled for it again."
    if act == FORGET:
        leaving.forget(slug=target.slug, actor=actor, at=at)
        return "It is not waited for any more. What may still be there was left."
    number = request.POST.get("revision", "")
    seen = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
    leaving.ask(slug=target.slug, number=seen, actor=actor, at=at)
    return "Nothing is brought there any more. What is ours there is being removed."


def _titles(fates: Sequence[leaving.Fate]) -> list[str]:
    found = catalog.list_titles([fate.service for fate in fates]) if fates else {}
    return [found.get(fate.service, fate.service) for fate in fates]
