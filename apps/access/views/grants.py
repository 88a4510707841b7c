"""Ending what is open."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.access import selectors, services
from apps.identity.pages import PageRequest, is_ours


@require_POST
def end(request: PageRequest, public_id: str) -> HttpResponse:
    grant = services.end_grant(
        public_id=public_id, actor=request.subject, at=timezone.now(), why=request.POST.get("why", "")[:300]
    )
    told = "Both doors are told now and close within seconds."
    if len(grant.points) == 1:
        told = f"The {grant.points[0]} door is told now."
    messages.success(request, f"{grant.get_state_display()}. {told}")
    before = request.POST.get("next", "")
    return redirect(before if is_ours(request, before) else "access")


@require_GET
def show(request: PageRequest, public_id: str) -> HttpResponse:
    """A grant is told on its request's page; standing access, which nobody asked for, on its service's."""
    grant = selectors.get_visible_grant(viewer=request.subject, public_id=public_id)
    if grant.request is not None:
        return redirect("request", grant.request.public_id)
    return redirect("service", grant.service.slug)
