"""Taking a target out of Akamai: what goes and what stays is shown, a person says yes, and the page follows it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.identity.pages import PageRequest, require_role
from apps.rollout import tasks
from apps.rollout.akamai.views import akamai_target
from apps.rollout.drivers.akamai.errors import CATALOGUE
from apps.rollout.policies import KEEPERS
from apps.rollout.services.akamai import leaving
from apps.rollout.views import mark_of_it


@require_http_methods(["GET", "POST"])
def leave(request: PageRequest, slug: str) -> HttpResponse:
    """Posting has it taken out. How it goes on is heard by the events of the target."""
    require_role(request, *KEEPERS)
    target = akamai_target(slug)
    if request.method == "POST":
        leaving.ask(slug=slug, actor=request.subject.actor, at=timezone.now())
        tasks.poke([slug])
        messages.success(request, "Nothing is brought there any more. What was made there is being taken away.")
        return redirect("target_leave", slug)
    there = target.is_called
    context = {
        "target": target,
        "going": target.is_leaving,
        "keeps": leaving.hindrances(target) if there else [],
        "parts": leaving.parts(target) if there else [],
        "trouble": CATALOGUE.get(target.trouble),
        "keeper": True,
        "seen": mark_of_it(target),
    }
    return TemplateResponse(request, "rollout/leave.html", context)
