"""Log shippers: whose lines are believed, and taking that from one whose token leaked. For operators."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.identity.pages import PageRequest, require_role
from apps.rollout.policies import KEEPERS
from apps.telemetry import selectors, services

MOST = 500


@require_GET
def sources(request: PageRequest) -> HttpResponse:
    require_role(request, *KEEPERS)
    found = list(selectors.list_sources()[:MOST])
    context = {"sources": found, "believed": sum(one.revoked_at is None for one in found)}
    return TemplateResponse(request, "telemetry/sources.html", context)


@require_POST
def revoke(request: PageRequest) -> HttpResponse:
    require_role(request, *KEEPERS)
    name = request.POST.get("name", "")
    services.revoke_source(name=name, actor=request.subject.actor, at=timezone.now())
    messages.success(request, f"Nothing more is taken from {name}.")
    return redirect("sources")
