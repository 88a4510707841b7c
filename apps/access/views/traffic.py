"""Asking for a traffic rule: which version answers whom, with which headers, how often, and when it is left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.access import refusals, selectors, services
from apps.access.views.asking import SENT, Ask, Choices, Errors, choices_for, read_ask, require_a_door, sent_before
from apps.audit.errors import Refusal
from apps.catalog import selectors as catalog
from apps.compiler.traffic import HEADERS
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest

EVERYBODY = "everybody"
MOST_TEAMS = 200


@dataclass(frozen=True, slots=True)
class Typed:
    """What the rule should do, as it was typed."""

    everybody: bool = False
    percent: str = "100"
    variant: str = ""
    set_name: str = ""
    set_value: str = ""
    remove: tuple[str, ...] = ()
    calls_per_minute: str = ""
    errors: str = ""
    seconds: str = ""

    @classmethod
    def read(cls, given: QueryDict) -> Typed:
        return cls(
            everybody=given.get("subject") == EVERYBODY,
            percent=given.get("percent", "100")[:20],
            variant=given.get("variant", "")[:60],
            set_name=given.get("set_name", "")[:60],
            set_value=given.get("set_value", "")[:500],
            remove=tuple(name for name in HEADERS if name in given.getlist("remove")),
            calls_per_minute=given.get("calls_per_minute", "")[:20],
            errors=given.get("errors", "")[:20],
            seconds=given.get("seconds", "")[:20],
        )

    def treatment(self) -> dict[str, object]:
        named = {self.set_name: self.set_value} if self.set_name or self.set_value else {}
        return {
            "everybody": self.everybody,
            "percent": self.percent,
            "variant": self.variant,
            "set_headers": named,
            "remove_headers": list(self.remove),
            "calls_per_minute": self.calls_per_minute,
            "breaker": {"errors": self.errors, "seconds": self.seconds},
        }


@require_http_methods(["GET", "POST"])
def traffic_new(request: PageRequest) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    if not given.get("service"):
        return redirect("catalogue")
    choices, may_speak_for_all = whom_for(request, given["service"])
    ask, typed, refusal = read_ask(given, choices), Typed.read(given), None
    if request.method == "POST":
        try:
            opened = send(request, choices, ask, typed)
        except Refusal as error:
            refusal = error
            opened = sent_before(request, error, ask.reason)
        if opened:
            messages.success(request, SENT)
            return redirect("request", opened)
    context = {"choices": choices, "ask": ask, "typed": typed, "for_all": may_speak_for_all, "headers": HEADERS}
    context |= {"variants": [one.name for one in catalog.list_variants(choices.service)], **told(refusal)}
    if request.GET.get("look") or refusal:
        context |= foresee(request, choices, ask, typed)
    return TemplateResponse(request, "access/traffic_new.html", context, status=422 if refusal else 200)


def whom_for(request: PageRequest, slug: str) -> tuple[Choices, bool]:
    """For whom a rule may be asked: like access, and for any team and everybody by people of the owning team."""
    choices = choices_for(request.subject, slug)
    owning = choices.service.team
    if not any(one.pk == owning.pk for one in choices.subjects):
        return choices, False
    known = {one.pk for one in choices.subjects}
    others = [one for one in identity.list_subjects(kind="team")[:MOST_TEAMS] if one.pk not in known]
    return replace(choices, subjects=[*choices.subjects, *others]), True


def send(request: PageRequest, choices: Choices, ask: Ask, typed: Typed) -> str:
    require_a_door(ask, choices)
    opened = services.open_request(reason=ask.reason, ticket=ask.ticket, **asked_of(request, choices, ask, typed))
    return opened.public_id


def asked_of(request: PageRequest, choices: Choices, ask: Ask, typed: Typed) -> dict[str, Any]:
    return {
        "actor": request.subject,
        "subject_key": ask.subject,
        "service_slug": choices.service.slug,
        "route_keys": ask.routes,
        "points": ask.points,
        "duration": ask.duration,
        "treatment": typed.treatment(),
        "at": timezone.now(),
    }


def told(refusal: Refusal | None) -> dict[str, object]:
    """What was refused: beside its field, as two rules that contradict each other, or as a sentence above all."""
    errors: Errors = {} if refusal is None else refusal.fields
    conflict = refusal.extra if isinstance(refusal, refusals.TrafficConflict) else None
    whole = [refusal.message] if refusal is not None and not errors and conflict is None else []
    return {"errors": errors, "conflict": conflict, "whole": whole}


def foresee(request: PageRequest, choices: Choices, ask: Ask, typed: Typed) -> dict[str, object]:
    if not ask.routes or not ask.points:
        return {"foresight": None, "refusal": ""}
    try:
        foresight = selectors.preview(**asked_of(request, choices, ask, typed))
    except Refusal as refusal:
        return {"foresight": None, "refusal": refusal.message}
    return {"foresight": foresight, "refusal": "", "causes": [cause.sentence for cause in foresight.risk.causes]}
