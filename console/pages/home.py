"""Home: what waits for me, what I hold, what ends soon, and what was lately refused to me."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors
from apps.identity.pages import PageRequest
from apps.telemetry.views import recent_denials
from console.pages.access import present

SOON = timedelta(hours=2)
FEW = 8


@require_GET
def home(request: PageRequest) -> HttpResponse:
    at = timezone.now()
    waiting = selectors.waiting_for(subject=request.subject, at=at)
    held = present(list(selectors.list_held(subject=request.subject, at=at)[:FEW]), request.subject)
    context = {
        "waiting": waiting,
        "held": held,
        "denials": recent_denials(request),
        "soon": [one for one in held if one.grant.ends_at is not None and one.grant.ends_at <= at + SOON],
    }
    return TemplateResponse(request, "console/home.html", context)
