"""What a request changes, at length: the calls of the last hour replayed, what lint says, and the bytes themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors
from apps.audit.errors import Refusal
from apps.compiler.breakers import Breaking, breaking
from apps.compiler.impact import impact
from apps.compiler.traffic_words import rerouting
from apps.identity.pages import PageRequest
from apps.rollout import selectors as rollout
from apps.telemetry import selectors as telemetry

if TYPE_CHECKING:
    from apps.access.models import AccessRequest

LOOK_BACK = timedelta(hours=1)
LISTS_ONLY = "Addresses change the list in front of a host, and no configuration of a door."


def _breaking(asked: AccessRequest, planned: selectors.Planned, at: datetime) -> Breaking | None:
    """None for what is no breaker."""
    if not (asked.treatment or {}).get("breaker"):
        return None
    answers = telemetry.recent_answers(asked.service.slug, since=at - LOOK_BACK, ask_at=at)
    return breaking(answers, planned.before, planned.after)


@require_GET
def show(request: PageRequest, public_id: str) -> HttpResponse:
    """Compiled for this page alone; on the request's page it unfolds on demand."""
    asked, at = selectors.get_asked(viewer=request.subject, public_id=public_id), timezone.now()
    context: dict[str, object] = {"asked": asked}
    if asked.subject.kind == "party":
        return TemplateResponse(request, "access/change.html", context | {"refusal": LISTS_ONLY})
    try:
        planned = selectors.planned_change(request=asked, at=at)
    except Refusal as refusal:
        return TemplateResponse(request, "access/change.html", context | {"refusal": refusal.message})
    calls = telemetry.recent_calls(asked.service.slug, since=at - LOOK_BACK, ask_at=at)
    context |= {
        "planned": planned,
        "impact": impact(calls, planned.before, planned.after),
        "calls": len(calls),
        "rerouting": rerouting(calls, planned.before, planned.after),
        "breaking": _breaking(asked, planned, at),
        "raw": rollout.list_raw_changes(
            service=asked.service.slug,
            environment_slug=asked.environment.slug,
            before=planned.before,
            after=planned.after,
            at=at,
        ),
    }
    return TemplateResponse(request, "access/change.html", context)
