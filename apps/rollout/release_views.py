"""The buttons of an edge target: approve, stop, try now, and the switch for production."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from apps.identity.pages import PageRequest, require_role
from apps.rollout import tasks
from apps.rollout.services import releasing

KEEPERS = ("operator", "administrator")


@require_POST
def approve(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    version = request.POST.get("version", "")
    releasing.approve(slug=slug, version=version, actor=request.subject.actor, at=timezone.now())
    return _done(request, slug, f"Version {version} goes to production now.")


@require_POST
def stop(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    releasing.stop(slug=slug, actor=request.subject.actor, at=timezone.now())
    return _done(request, slug, "It is stopped. The code before stays until you press Try now.")


@require_POST
def try_again(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    releasing.try_again(slug=slug, actor=request.subject.actor, at=timezone.now())
    return _done(request, slug, "It is tried again now.")


@require_POST
def production(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    wanted = request.POST.get("production", "")
    releasing.set_production(slug=slug, production=wanted, actor=request.subject.actor, at=timezone.now())
    asks = wanted == "approved"
    return _done(request, slug, "An operator is asked each time." if asks else "Code goes to production by itself.")


def _done(request: PageRequest, slug: str, said: str) -> HttpResponse:
    tasks.poke([slug])
    messages.success(request, said)
    return redirect("target", slug)
