"""Who there is: one list for each kind, and one page for each subject."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.identity import selectors, senders, services
from apps.identity.models import Kind, Role, Subject
from apps.identity.nearby import read_once
from apps.identity.pages import PAGE_SIZE, PageRequest, asked_text
from apps.identity.views.proofs import shown_proofs

WORDS = {
    Kind.PERSON: ("people", "People sign in, ask, and decide."),
    Kind.TEAM: ("teams", "Teams own services; their owners decide about them."),
    Kind.WORKLOAD: ("workloads", "Workloads are services as callers, known by their certificates."),
    Kind.AGENT: ("agents", "Agents ask and wait; a person answers for each and none of them decides."),
}


@require_GET
def list_kind(request: HttpRequest, kind: Kind) -> HttpResponse:
    query = asked_text(request, "q")
    found = _after(selectors.list_subjects(kind=kind, query=query), asked_text(request, "after"))
    rows = list(found.prefetch_related("team_memberships__team", "console_roles")[: PAGE_SIZE + 1])
    name, sentence = WORDS[kind]
    context = {
        "rows": rows[:PAGE_SIZE],
        "after": rows[PAGE_SIZE - 1].key if len(rows) > PAGE_SIZE else "",
        "kind": kind,
        "name": name,
        "sentence": sentence,
        "query": query,
    }
    return TemplateResponse(request, "identity/subjects.html", context)


def _after(found: QuerySet[Subject], key: str) -> QuerySet[Subject]:
    last = selectors.find_subject(key) if key else None
    return found if last is None else found.filter(Q(name__gt=last.name) | Q(name=last.name, key__gt=last.key))


@require_GET
def show(request: PageRequest, key: str) -> HttpResponse:
    subject = selectors.get_subject(key)
    read_once(subject)
    context = {
        **_ways_in(request, subject),
        "one": subject,
        **shown_proofs(subject, request.subject),
        "kind_name": WORDS[Kind(subject.kind)][0],
        "members": list(selectors.list_members(subject)) if subject.kind == Kind.TEAM else [],
        "memberships": _memberships(subject),
        "roles": sorted(role.label for role in selectors.roles_of(subject)),
        "departure": senders.find_departure(subject),
        "may_suspend": subject.kind != Kind.TEAM
        and subject != request.subject
        and selectors.has_role(request.subject, "security", "administrator"),
    }
    return TemplateResponse(request, "identity/subject.html", context)


def _memberships(subject: Subject) -> list[dict[str, object]]:
    """Its teams, and as what it is in them."""
    return [
        {"team": team, "role": "owner" if selectors.is_owner(subject, team) else "member"}
        for team in selectors.teams_of(subject)
    ]


def _ways_in(request: PageRequest, subject: Subject) -> dict[str, object]:
    """Logins and sessions are shown to themselves, to security and to administrators."""
    if subject.kind != Kind.PERSON:
        return {}
    is_own = subject == request.subject
    may_link = selectors.has_role(request.subject, Role.ADMINISTRATOR)
    if not (is_own or may_link or selectors.has_role(request.subject, Role.SECURITY)):
        return {}
    providers = list(selectors.list_providers()[:50])
    names = {one.issuer: one.name for one in providers}
    logins = list(selectors.list_logins(subject)[:20])
    return {
        "shows_ways_in": True,
        "is_own": is_own,
        "may_link": may_link,
        "logins": [(one, names.get(one.issuer, one.issuer)) for one in logins],
        "sessions": list(selectors.list_sign_ins(subject, at=timezone.now())[:20]),
        "ended": senders.find_last_ended(subject),
        "this_session": request.session.session_key,
        "providers": [one for one in providers if one.enabled and one.discovered_at is not None],
    }


@require_POST
def move(request: PageRequest, key: str) -> HttpResponse:
    """Suspend or reinstate: one button each."""
    why, at, actor = request.POST.get("why", "")[:300], timezone.now(), request.subject.actor
    if request.POST.get("to") == "active":
        services.reinstate_subject(key=key, actor=actor, at=at, why=why)
        messages.success(request, "Reinstated. What ended meanwhile stays ended.")
    else:
        services.suspend_subject(key=key, actor=actor, at=at, why=why)
        messages.success(request, "Suspended. Both doors shut it out within seconds.")
    return redirect("subject", key=key)
