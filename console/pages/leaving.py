"""Two steps that take something away from a person. Each says what it will do before it does it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.access import selectors as access
from apps.audit.errors import NotFound
from apps.identity import departing, policies, services
from apps.identity.departing import Departing
from apps.identity.models import Kind
from apps.identity.pages import PageRequest

if TYPE_CHECKING:
    from apps.access.models import Grant

MOST_SHOWN = 20


@require_http_methods(["GET", "POST"])
def sign_out(request: PageRequest, key: str) -> HttpResponse:
    """Sign out everywhere; for oneself that is here too."""
    at, actor = timezone.now(), request.subject.actor
    if request.method == "POST":
        ended = services.sign_out_everywhere(subject_key=key, actor=actor, at=at)
        if key == request.subject.key:
            logout(request)
            return redirect("sign_in")
        messages.success(request, f"{ended} session{'' if ended == 1 else 's'} ended.")
        return redirect("subject", key=key)
    policies.require_can_end_sessions(actor, key)
    found = _person(key, at)
    context = {"found": found, "one": found.subject, "is_own": key == request.subject.key}
    return TemplateResponse(request, "console/sign_out_everywhere.html", context)


@require_http_methods(["GET", "POST"])
def left(request: PageRequest, key: str) -> HttpResponse:
    """Somebody has left: nothing of theirs works from now on, and what is given back is given anew."""
    at, actor = timezone.now(), request.subject.actor
    if request.method == "POST":
        why = request.POST.get("why", "").replace("\x00", "")[:300]
        done = services.leave(subject_key=key, actor=actor, at=at, why=why)
        messages.success(request, _words(done))
        return redirect("subject", key=key)
    policies.require_can_suspend(actor)
    found = _person(key, at)
    grants = list(access.list_running_of(keys=[key, *found.agent_keys], at=at)[: MOST_SHOWN + 1])
    context = {
        "found": found,
        "one": found.subject,
        "ending": [grant for grant in grants if _ends(grant, key)][:MOST_SHOWN],
        "closing": [grant for grant in grants if not _ends(grant, key)][:MOST_SHOWN],
        "more": len(grants) > MOST_SHOWN,
    }
    return TemplateResponse(request, "console/left.html", context)


def _person(key: str, at: datetime) -> Departing:
    """Workloads and agents are suspended; a team is its members."""
    found = departing.look_ahead(key, at=at)
    if found.subject.kind != Kind.PERSON:
        raise NotFound
    return found


def _ends(grant: Grant, key: str) -> bool:
    """What the person itself holds for a time ends for good; the rest is shut by the suspension, and may come back."""
    return grant.subject.key == key and grant.duration is not None


def _words(done: services.Left) -> str:
    sessions = f"{done.sessions} session{'' if done.sessions == 1 else 's'}"
    tokens = f"{done.tokens} API token{'' if done.tokens == 1 else 's'}"
    return f"Left. {sessions} ended, {tokens} revoked; both doors shut within seconds."
