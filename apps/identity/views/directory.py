"""Who there is: one list for each kind, and one page for each subject."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.identity import selectors, services
from apps.identity.models import Kind, Subject, SubjectState
from apps.identity.pages import PAGE_SIZE, PageRequest, asked_text

WORDS = {
    Kind.PERSON: ("people", "People sign in, ask, and decide."),
    Kind.TEAM: ("teams", "Teams own services; their owners decide about them."),
    Kind.WORKLOAD: ("workloads", "Workloads are services as callers, known by their certificates."),
    Kind.AGENT: ("agents", "Agents ask and wait; a person answers for each and none of them decides."),
    Kind.PARTY: ("parties", "Outside parties call from addresses of their own; a team answers for each."),
}


@require_GET
def list_kind(request: HttpRequest, kind: Kind) -> HttpResponse:
    query, state = asked_text(request, "q"), asked_text(request, "state")
    found = _after(selectors.list_subjects(kind=kind, query=query), asked_text(request, "after"))
    if state in SubjectState.values:
        found = found.filter(state=state)
    if kind == Kind.PERSON:
        found = found.prefetch_related("team_memberships__team", "console_roles")
    rows = list(selectors.with_facts(found, kind)[: PAGE_SIZE + 1])
    name, sentence = WORDS[kind]
    context = {
        "rows": rows[:PAGE_SIZE],
        "after": rows[PAGE_SIZE - 1].key if len(rows) > PAGE_SIZE else "",
        "kind": kind,
        "name": name,
        "sentence": sentence,
        "query": query,
        "state": state,
    }
    return TemplateResponse(request, "identity/subjects.html", context)


def _after(found: QuerySet[Subject], key: str) -> QuerySet[Subject]:
    last = selectors.find_subject(key) if key else None
    return found if last is None else found.filter(Q(name__gt=last.name) | Q(name=last.name, key__gt=last.key))


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
