"""Home: what waits for me, what I hold, what ends soon, and what was lately refused to me."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors
from apps.firewall.selectors.proposals import waiting_besides
from apps.identity.pages import PageRequest
from apps.identity.selectors import has_role
from apps.rollout.policies import KEEPERS
from apps.rollout.selectors import list_alarms
from apps.rollout.services.akamai.origin_certificates import list_ending
from apps.telemetry.views import recent_denials
from console.pages.access import Held, held

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.identity.models import Subject

SOON = timedelta(hours=2)
FEW = 8


def list_brief(viewer: Subject, at: datetime) -> list[Held]:
    """What is held, without its routes: those are on the page of each."""
    grants = selectors.list_held_briefly(subject=viewer, at=at)[:FEW]
    return [held(grant, viewer, {door["point"]: door["state"] for door in states_of(grant)}) for grant in grants]


def states_of(grant: Grant) -> list[dict[str, str]]:
    """As the selector gave them along."""
    return list(grant.door_states)  # type: ignore[attr-defined]  # annotated by the selector


@require_GET
def home(request: PageRequest) -> HttpResponse:
    at = timezone.now()
    waiting = selectors.waiting_for(subject=request.subject, at=at)
    besides = waiting_besides(request.subject)
    brief = list_brief(request.subject, at)
    keeps = has_role(request.subject, *KEEPERS)
    context = {
        "waiting": waiting,
        "waiting_count": len(waiting.to_decide),
        "held": brief,
        "standing_count": besides.standing,
        "proposed": besides.proposed,
        "alarms": list_alarms() if keeps else [],
        "ending": list_ending(at=at) if keeps else [],
        "denials": recent_denials(request),
        "soon": [one for one in brief if one.grant.ends_at is not None and one.grant.ends_at <= at + SOON],
    }
    return TemplateResponse(request, "console/home.html", context)
