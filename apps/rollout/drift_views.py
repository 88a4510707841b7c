"""What a target holds that it should not: each thing with its difference, to be put back or adopted."""

from __future__ import annotations

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
from apps.rollout.models import Drift
from apps.rollout.services import adopting, drifting
from apps.rollout.views import KEEPERS, PAGE, WATCHERS, get_target


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
        "keeper": has_role(request.subject, *KEEPERS),
    }
    return TemplateResponse(request, "rollout/drift.html", context)


@require_POST
def look(request: PageRequest, slug: str) -> HttpResponse:
    """Compare the target with what it should hold, now."""
    require_role(request, *WATCHERS)
    found = drifting.observe(slug=get_target(slug).slug, at=timezone.now(), everything=True)
    if found is None:
        messages.warning(request, "It cannot be told just now: an activation is under way, or nobody answers.")
    elif found:
        messages.error(request, f"{found} thing{' is' if found == 1 else 's are'} not as it should be.")
    else:
        messages.success(request, "It holds exactly what it should.")
    return redirect("target_drift" if found else "target", slug)


@require_POST
def put_back(request: PageRequest, slug: str, drift_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    target = drifting.put_back(drift_id=drift_id, actor=request.subject.actor, at=timezone.now())
    tasks.poke([target.slug])
    if Drift.objects.filter(pk=drift_id, path__startswith=Drift.OF_PROPERTY).exists():
        messages.success(request, "The property is compared. Look at the difference and say yes here.")
        return redirect("target_property", target.slug)
    messages.success(request, "It is put back now.")
    return redirect("target_drift", target.slug)


@require_POST
def adopt(request: PageRequest, slug: str, drift_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    target = adopting.adopt(drift_id=drift_id, actor=request.subject.actor, at=timezone.now())
    tasks.poke([target.slug])
    messages.success(request, "It is taken over and counts as right from now on.")
    return redirect("target_drift", target.slug)
