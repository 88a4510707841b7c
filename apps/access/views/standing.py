"""Standing access that is looked at again: what waits for an answer, the answer, and how often anybody is asked."""

from __future__ import annotations

from dataclasses import asdict

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access.policies import GOVERNORS
from apps.access.selectors import standing as selectors
from apps.access.selectors.standing import StandingValues
from apps.access.services import standing as services
from apps.access.standing_models import Lapse
from apps.access.states import StandingState
from apps.access.views.upkeep import ROWS, number
from apps.identity.pages import PageRequest, asked_text, complaints_on, is_ours, require_role
from apps.identity.selectors import has_role

SHOWN = ("waiting", "open", "answered")
OPEN = (StandingState.OPEN.value,)
ANSWERED = tuple(state.value for state in StandingState if state != StandingState.OPEN)


@require_GET
def questions(request: PageRequest) -> HttpResponse:
    shown = asked_text(request, "show")
    shown = shown if shown in SHOWN else "waiting"
    page = selectors.list_standing(
        viewer=request.subject,
        waiting=shown == "waiting",
        states=ANSWERED if shown == "answered" else OPEN,
        service=asked_text(request, "service"),
        after=number(asked_text(request, "after")),
        limit=ROWS,
    )
    context = {
        "rows": page.items,
        "after": page.after,
        "shown": shown,
        "many": selectors.waiting_standing(request.subject).count(),
        "governs": has_role(request.subject, *GOVERNORS),
        "now": timezone.now(),
    }
    return TemplateResponse(request, "access/standing.html", context)


@require_POST
def answer(request: PageRequest, public_id: str) -> HttpResponse:
    """One click, with a few words when it stays."""
    row = services.answer_standing(
        public_id=public_id,
        actor=request.subject,
        keep=request.POST.get("answer") == "keep",
        comment=request.POST.get("comment", ""),
        at=timezone.now(),
    )
    messages.success(request, SAID[row.state])
    back = request.POST.get("next", "")
    return redirect(back if is_ours(request, back) else "standing")


SAID = {
    "kept": "It stays, and your reason is on the record.",
    "ended": "Ended. The doors are told now and close within seconds.",
    "settled": "It had ended already; there was nothing to do.",
}


def days(label: str, help_text: str = "", least: int = 0) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=least, max_value=3650, help_text=help_text)


class ScheduleForm(forms.Form):
    """In days; 0 is never."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)
    open_days = days("Open services, after days", "0: never.")
    internal_days = days("Internal services, after days")
    sensitive_days = days("Sensitive services, after days")
    critical_days = days("Critical services, after days")
    unused_days = days("Ask about access that no call used for days", "0: never.")
    answer_days = days("Owners have days to answer", least=1)
    escalate_days = days("Then security has days", "0: what may end ends without asking security.")
    lapse = forms.ChoiceField(label="When nobody answers", choices=Lapse.choices)


@require_http_methods(["GET", "POST"])
def schedule(request: PageRequest) -> HttpResponse:
    require_role(request, *GOVERNORS)
    kept = selectors.get_schedule()
    form = ScheduleForm(request.POST or None, initial={**asdict(kept.values), "version": kept.version})
    if request.method == "POST" and form.is_valid() and _saved(request, form):
        messages.success(request, "Kept. Questions that are open keep their day.")
        return redirect("standing_schedule")
    context = {"form": form, "watched_since": kept.watched_since}
    return TemplateResponse(request, "access/standing_schedule.html", context, status=422 if form.errors else 200)


def _saved(request: PageRequest, form: ScheduleForm) -> bool:
    given = dict(form.cleaned_data)
    version = given.pop("version")
    with complaints_on(form):
        services.save_standing_policy(
            values=StandingValues(**given), version=version, actor=request.subject.actor, at=timezone.now()
        )
    return form.is_valid()
