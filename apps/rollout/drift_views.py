"""What a target holds that it should not: each thing with its difference, to be put back or adopted."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.identity.pages import PageRequest, asked_text, require_role
from apps.identity.selectors import has_role
from apps.rollout import tasks
from apps.rollout.models import Activation, Drift, DriverName, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import adopting, drifting
from apps.rollout.services.cluster import sights
from apps.rollout.services.driving import has_live_agent
from apps.rollout.views import PAGE, get_target, mark_of


@require_GET
def drift(request: PageRequest, slug: str) -> HttpResponse:
    """What leaves a door open comes first."""
    require_role(request, *WATCHERS)
    target = get_target(slug)
    found = Drift.objects.filter(target=target, resolved_at=None).order_by("-opens", "path", "pk")
    page = Paginator(found, PAGE).get_page(asked_text(request, "page") or 1)
    context = {
        "target": target,
        "page": page,
        "alarms": sum(one.opens for one in page),
        "seen": mark_of(target, Activation.objects.filter(target=target).order_by("-id").first()),
        "keeper": has_role(request.subject, *KEEPERS),
    }
    return TemplateResponse(request, "rollout/drift.html", context)


@require_POST
def look(request: PageRequest, slug: str) -> HttpResponse:
    """Compare the target with what it should hold, now."""
    require_role(request, *WATCHERS)
    target, at = get_target(slug), timezone.now()
    if target.driver == DriverName.KUBERNETES and target.is_pulled:
        return _ask_agent(request, target, at)
    found = drifting.observe(slug=target.slug, at=at, everything=True)
    if found is None:
        messages.warning(request, "It cannot be told just now: an activation is under way, or nobody answers.")
    elif found:
        messages.error(request, f"{found} thing{' is' if found == 1 else 's are'} not as it should be.")
    else:
        messages.success(request, "It holds exactly what it should.")
    return redirect("target_drift" if found else "target", slug)


def _ask_agent(request: PageRequest, target: Target, at: datetime) -> HttpResponse:
    """Nobody is called there: its agent looks when it comes by, which is within seconds where it is online."""
    sights.ask(target=target, at=at)
    if has_live_agent(target, at):
        messages.success(request, "Its agent is asked to look. What it sees is here within moments.")
    else:
        messages.warning(request, "Its agent is silent. It looks as soon as it is online again.")
    return redirect("target", target.slug)


@require_POST
def put_back(request: PageRequest, slug: str, drift_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    target = drifting.put_back(drift_id=drift_id, actor=request.subject.actor, at=timezone.now())
    tasks.poke([target.slug])
    if Drift.objects.filter(pk=drift_id, path__startswith=Drift.OF_PROPERTY).exists():
        messages.success(request, "The property is compared. Look at the difference and say yes here.")
        return redirect("target_property", target.slug)
    if target.is_pulled:
        messages.success(request, "Its agent is told to put it back. What came of it is here when it has looked again.")
        return redirect("target_drift", target.slug)
    messages.success(request, "It is being put back.")
    return redirect("target_drift", target.slug)


@require_POST
def adopt(request: PageRequest, slug: str, drift_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    target = adopting.adopt(drift_id=drift_id, actor=request.subject.actor, at=timezone.now())
    tasks.poke([target.slug])
    messages.success(request, "It is taken over and counts as right from now on.")
    return redirect("target_drift", target.slug)
