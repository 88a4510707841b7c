"""One person, team, workload or agent: who it is, by whose word it belongs where, and what is open to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.identity import policies, selectors, senders
from apps.identity.models import Kind, Role
from apps.identity.pages import PageRequest
from apps.identity.portrait import Portrait, portrait_of
from apps.identity.views.directory import WORDS
from apps.identity.views.proofs import shown_proofs
from apps.telemetry import selectors as telemetry
from apps.telemetry.selectors import CallFilter

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.identity.models import Subject

MOST_GRANTS, MOST_SERVICES, LAST_CALLS = 20, 50, 5


@dataclass(frozen=True, slots=True)
class Opening:
    """A grant as a page about its holder tells it. ``edge`` and ``mesh`` are door states, empty where none is meant."""

    grant: Grant
    edge: str
    mesh: str


@require_GET
def show(request: PageRequest, key: str) -> HttpResponse:
    at = timezone.now()
    portrait = portrait_of(key, at=at, session_key=request.session.session_key)
    one = portrait.subject
    context = {
        "one": one,
        "portrait": portrait,
        "kind_name": WORDS[Kind(one.kind)][0],
        "departure": senders.find_departure(one),
        **_openings(request.subject, portrait, at),
        **_of_kind(request.subject, portrait, at),
        **_rights(request.subject, one),
    }
    return TemplateResponse(request, "console/subject.html", context)


def _openings(viewer: Subject, portrait: Portrait, at: datetime) -> dict[str, object]:
    """Of the subject itself and of the teams it is in, as far as ``viewer`` may see."""
    one = portrait.subject
    teams = () if one.kind == Kind.TEAM else tuple(place.key for place in portrait.places)
    found = list(access.list_open_to(viewer=viewer, keys=(one.key, *teams), at=at)[: MOST_GRANTS + 1])
    return {"openings": [opening(grant) for grant in found[:MOST_GRANTS]], "more_openings": len(found) > MOST_GRANTS}


def opening(grant: Grant) -> Opening:
    doors = {one["point"]: one["state"] for one in getattr(grant, "door_states", ())}
    return Opening(grant, doors.get("edge", ""), doors.get("mesh", ""))


def _of_kind(viewer: Subject, portrait: Portrait, at: datetime) -> dict[str, object]:
    one = portrait.subject
    if one.kind == Kind.PERSON:
        return _ways_in(viewer, one)
    if one.kind == Kind.TEAM:
        return {"services": catalog.list_services(team=one.key, limit=MOST_SERVICES).items}
    calls = telemetry.list_calls(viewer=viewer, filters=CallFilter(subject=one.key), limit=LAST_CALLS)
    return {**shown_proofs(one, viewer), "calls": calls.items, "calls_today": portrait.calls_today}


def _ways_in(viewer: Subject, one: Subject) -> dict[str, object]:
    """Sign-ins, sessions and tokens are shown to themselves, to security and to administrators."""
    is_own = viewer == one
    may_link = selectors.has_role(viewer, Role.ADMINISTRATOR)
    if not (is_own or may_link or selectors.has_role(viewer, Role.SECURITY)):
        return {}
    providers = list(selectors.list_open_providers()[:MOST_SERVICES]) if is_own or may_link else []
    return {
        "shows_ways_in": True,
        "may_link": may_link,
        "providers": providers,
        "ended": senders.find_last_ended(one),
    }


def _rights(viewer: Subject, one: Subject) -> dict[str, object]:
    may_end = one.kind != Kind.TEAM and one != viewer and selectors.has_role(viewer, *policies.SUSPENDERS)
    return {"is_own": viewer == one, "may_suspend": may_end}
