"""Requests: those that wait for whoever looks, those they made, and all they may see. Deciding many at once."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.access import selectors, services
from apps.access.models import Verdict
from apps.access.services import ItemResult
from apps.access.states import RequestState
from apps.audit.errors import InvalidInput
from apps.identity.freshness import freshness_of
from apps.identity.pages import PAGE_SIZE, PageRequest, asked_text

SHOWN = ("inbox", "mine", "all")


@require_GET
def requests(request: PageRequest) -> HttpResponse:
    shown = asked_text(request, "show")
    shown = shown if shown in SHOWN else "inbox"
    context = {"shown": shown, "state": asked_text(request, "state"), "states": RequestState}
    return TemplateResponse(request, "access/requests.html", context | rows_of(request, shown))


def rows_of(request: PageRequest, shown: str) -> dict[str, object]:
    if shown == "inbox":
        inbox = list(selectors.list_inbox(subject=request.subject, at=timezone.now())[:PAGE_SIZE])
        return {"rows": inbox, "after": None, "waiting_count": len(inbox)}
    state, after = asked_text(request, "state"), asked_text(request, "after")
    page = selectors.list_requests(
        viewer=request.subject,
        states=[state] if state in RequestState.values else [],
        requester=request.subject.key if shown == "mine" else "",
        after=int(after) if after.isascii() and after.isdigit() and len(after) < 19 else None,
    )
    return {"rows": page.items, "after": page.after}


@require_GET
def waiting(request: PageRequest) -> HttpResponse:
    """The count beside Requests."""
    count = selectors.list_inbox(subject=request.subject, at=timezone.now()).count()
    return TemplateResponse(request, "access/waiting.html", {"waiting_count": count})


@require_POST
def decide(request: PageRequest) -> HttpResponse:
    """Two steps: the first shows what would happen, the second does it."""
    chosen = request.POST.getlist("request")[:PAGE_SIZE]
    verdict = said_verdict(request)
    if not chosen:
        messages.warning(request, "Tick the requests you mean first.")
        return redirect("requests")
    if not request.POST.get("sure"):
        inbox = selectors.list_inbox(subject=request.subject, at=timezone.now())
        context = {"rows": list(inbox.filter(public_id__in=chosen)), "verdict": verdict}
        return TemplateResponse(request, "access/decide_many.html", context)
    results = services.review_many(
        public_ids=chosen,
        actor=request.subject,
        verdict=verdict,
        comment=request.POST.get("comment", ""),
        freshness=freshness_of(request),
        at=timezone.now(),
    )
    say(request, results)
    return redirect("requests")


def said_verdict(request: PageRequest) -> str:
    """What a form decides. Raises InvalidInput: a form that says neither approves nothing."""
    verdict = request.POST.get("verdict", "")
    if verdict not in Verdict.values:
        raise InvalidInput("Nothing was decided: say whether you approve or deny.")
    return verdict


def say(request: PageRequest, results: list[ItemResult]) -> None:
    """What was taken in one line, what was refused each with its reason."""
    taken = sum(result.is_taken for result in results)
    if taken:
        messages.success(request, f"{taken} answered.")
    for result in results:
        if result.refusal is not None:
            messages.error(request, f"{result.public_id}: {result.refusal.message}")
