"""The page of one request, the heart of it all: its story beside its facts, and the decision beside both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.access import policies, selectors, services
from apps.access.views.events import mark_shown
from apps.access.views.inbox import said_verdict
from apps.audit.errors import Refusal
from apps.identity.freshness import Freshness, freshness_of
from apps.identity.pages import PageRequest
from apps.telemetry import selectors as telemetry
from console.changes import changes_of
from console.curl import command
from console.story import Use, tell

if TYPE_CHECKING:
    from apps.access.models import AccessRequest, Grant
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Options:
    """What whoever looks may do now. ``why_not`` tells somebody who might expect to decide why they cannot.

    ``step_up`` is where to sign in again before approving; empty when there is no need. ``obstacle`` is why it may be
    of no use.
    """

    decide: bool = False
    cancel: bool = False
    end: bool = False
    why_not: str = ""
    step_up: str = ""
    obstacle: str = ""


@require_GET
def show(request: PageRequest, public_id: str) -> HttpResponse:
    asked = selectors.get_visible_request(viewer=request.subject, public_id=public_id)
    context = context_of(asked, request.subject, freshness_of(request), timezone.now())
    return TemplateResponse(request, "access/request.html", context)


def context_of(asked: AccessRequest, viewer: Subject, freshness: Freshness | None, at: datetime) -> dict[str, object]:
    grant = getattr(asked, "grant", None)
    standings = selectors.standings(asked) if asked.state == "pending" else ()
    doors = {door.point: door for door in grant.doors.all()} if grant else {}
    return {
        "asked": asked,
        "grant": grant,
        "doors": [(point, doors.get(point)) for point in sorted(asked.points)],
        "steps": tell(asked, selectors.timeline(asked), standings, grant, use_of(asked, grant, viewer)),
        "options": options_of(asked, grant, standings, viewer, freshness, at),
        "again": again_of(asked, grant, viewer),
        "curl": curl_of(asked) if grant is not None and grant.ended_at is None else "",
        "changes": changes_of(asked, grant, at),
        "meaning": selectors.meaning_of(asked),
        "seen": mark_shown(asked),
    }


def again_of(asked: AccessRequest, grant: Grant | None, viewer: Subject) -> str:
    """Where whoever asked asks for the same once more, when this has come to its end; the reason is written anew."""
    over = grant.ended_at is not None if grant is not None else asked.state != "pending"
    if not over or asked.requester_id != viewer.pk or asked.treatment or asked.subject.kind == "party":
        return ""
    said: dict[str, object] = {
        "service": asked.service.slug,
        "subject": asked.subject.key,
        "routes": [route.key for route in asked.routes.all()],
        "points": asked.points,
        "duration": asked.duration,
        "ticket": asked.ticket,
    }
    return f"{reverse('request_new')}?{urlencode(said, doseq=True)}"


def curl_of(asked: AccessRequest) -> str:
    """The command to try it, where the service answers at the edge."""
    host, base_path = asked.edge_host, asked.edge_base_path  # type: ignore[attr-defined]  # annotated by the selector
    through_edge = host is not None and "edge" in asked.points and asked.subject.kind != "party"
    return command(host, base_path, asked.routes.all()) if through_edge else ""


def use_of(asked: AccessRequest, grant: Grant | None, viewer: Subject) -> Use | None:
    """The last call it let through; with a way there for those whose call it may be."""
    if grant is None or grant.activated_at is None:
        return None
    call = telemetry.last_call_by(
        grant.public_id,
        service=asked.service.slug,
        subject="" if asked.subject.kind == "team" else asked.subject.key,
        since=grant.activated_at,
    )
    if call is None:
        return None
    link = reverse("call", args=[call.rid]) if viewer.key == call.subject else ""
    return Use(call.first_at, f"{call.method} {call.path}", link)


def options_of(
    asked: AccessRequest,
    grant: Grant | None,
    standings: Sequence[selectors.Standing],
    viewer: Subject,
    freshness: Freshness | None,
    at: datetime,
) -> Options:
    if grant is not None:
        grant.subject, grant.service, grant.request = asked.subject, asked.service, asked
        return Options(end=grant.ended_at is None and policies.can_end(viewer, grant))
    if asked.state != "pending" or asked.expires_at <= at:
        return Options()
    may_cancel = allows(policies.require_may_cancel, viewer, asked) == ""
    why_not = allows(policies.require_may_decide, viewer, asked)
    if why_not:
        return Options(cancel=may_cancel, why_not=why_not)
    if viewer.key not in waited_for(standings):
        return Options(cancel=may_cancel)
    step_up = way_to_step_up(asked, freshness, at)
    obstacle = freshness.obstacle() if step_up and freshness is not None else ""
    return Options(decide=True, cancel=may_cancel, step_up=step_up, obstacle=obstacle)


def way_to_step_up(asked: AccessRequest, freshness: Freshness | None, at: datetime) -> str:
    try:
        policies.require_fresh(freshness, asked, at)
    except Refusal as refusal:
        return str(refusal.extra.get("step_up_url", ""))
    return ""


def allows(policy: Callable[..., None], *about: object) -> str:
    """Why ``policy`` says no; empty when it does not."""
    try:
        policy(*about)
    except Refusal as refusal:
        return refusal.message
    return ""


def waited_for(standings: Sequence[selectors.Standing]) -> set[str]:
    """Who may still answer. Somebody who answered is not waited for, whatever else they could stand for."""
    return {person.key for one in standings for person in one.progress.waiting}


@require_POST
def review(request: PageRequest, public_id: str) -> HttpResponse:
    comment = request.POST.get("comment", "").strip()
    asked = services.review(
        public_id=public_id,
        actor=request.subject,
        verdict=said_verdict(request),
        comment=comment,
        freshness=freshness_of(request),
        at=timezone.now(),
    )
    read = " Whoever asked can read why." if asked.state == "denied" and comment else ""
    messages.success(request, f"{ANSWERS[asked.state]}{read}")
    return redirect("request", public_id)


ANSWERS = {
    "pending": "Your answer is noted. Somebody else has to agree too.",
    "approved": "Approved. It is brought to the doors now; watch it below.",
    "denied": "Denied. Nothing opens.",
}


@require_POST
def cancel(request: PageRequest, public_id: str) -> HttpResponse:
    services.cancel_request(public_id=public_id, actor=request.subject, at=timezone.now())
    messages.success(request, "Withdrawn. Nothing was opened.")
    return redirect("request", public_id)
