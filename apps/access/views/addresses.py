"""Asking that an outside party's addresses may reach a host, and guarding hosts by lists. Works without script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.access import selectors, services
from apps.access.addresses import MEANING
from apps.access.policies import GOVERNORS
from apps.access.views.asking import DURATIONS, SENT, sent_before
from apps.audit.errors import Refusal
from apps.catalog import selectors as catalog
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, complaints_on, require_role

if TYPE_CHECKING:
    from apps.access.models import GuardedHost
    from apps.catalog.models import Service
    from apps.identity.models import Subject

Errors = Mapping[str, list[str]]
NEW = "new"
USUAL = 30 * 86400
TEXTS = ("addresses", "reason", "ticket", "name", "contact", "purpose", "team")


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen by whoever asks. ``host`` is empty for a service without one; ``guarded`` is about it."""

    service: Service
    host: str
    guarded: bool
    parties: list[Subject]
    teams: list[Subject]

    @property
    def durations(self) -> list[int]:
        longest = self.service.max_duration
        return sorted({*(one for one in DURATIONS if one <= longest), min(longest, USUAL)})

    @property
    def meaning(self) -> str:
        return MEANING.format(host=self.host)


@dataclass(frozen=True, slots=True)
class Ask:
    """What was typed; nothing of it is lost. ``party`` is a key, or NEW with the fields that describe one."""

    party: str
    duration: int
    addresses: str = ""
    reason: str = ""
    ticket: str = ""
    name: str = ""
    contact: str = ""
    purpose: str = ""
    team: str = ""

    @property
    def is_new(self) -> bool:
        return self.party == NEW


@require_http_methods(["GET", "POST"])
def request_addresses(request: PageRequest) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    if not given.get("service"):
        return redirect("request_new")
    choices = choices_for(request.subject, given["service"])
    ask, errors = read_ask(given, choices), {}
    if request.method == "POST":
        try:
            opened = send(request, choices, ask)
        except Refusal as refusal:
            errors = refusal.fields or {"": [refusal.message]}
            opened = sent_before(request, refusal, ask.reason)
        if opened:
            messages.success(request, SENT)
            return redirect("request", opened)
    return show_form(request, choices, ask, errors)


def choices_for(asker: Subject, slug: str) -> Choices:
    service = catalog.get_service(slug)
    exposures = [one for one in catalog.list_exposures(service) if one.environment.is_default and one.point == "edge"]
    host = exposures[0].host if exposures else ""
    guarded = bool(host) and selectors.list_guarded_hosts(exposures[0].environment.slug).filter(host=host).exists()
    return Choices(
        service=service,
        host=host,
        guarded=guarded,
        parties=list(identity.list_parties_of(asker)) if asker.kind == "person" else [],
        teams=identity.teams_of(asker),
    )


def read_ask(given: QueryDict, choices: Choices) -> Ask:
    known = [one.key for one in choices.parties]
    party = given.get("party", "")
    usual = min(USUAL, choices.service.max_duration)
    text = given.get("duration", "")
    return Ask(
        party=party if party in known else NEW if party == NEW or not known else known[0],
        duration=int(text) if text.isascii() and text.isdigit() and len(text) < 10 else usual,
        **{name: given.get(name, "")[:5000] for name in TEXTS},
    )


def send(request: PageRequest, choices: Choices, ask: Ask) -> str:
    described = services.NewParty(name=ask.name, contact=ask.contact, purpose=ask.purpose, team=ask.team)
    opened = services.open_address_request(
        actor=request.subject,
        party=described if ask.is_new else ask.party,
        service_slug=choices.service.slug,
        addresses=ask.addresses,
        duration=ask.duration,
        reason=ask.reason,
        ticket=ask.ticket,
        at=timezone.now(),
    )
    return opened.public_id


def show_form(request: PageRequest, choices: Choices, ask: Ask, errors: Errors) -> HttpResponse:
    look = bool(request.GET.get("look"))
    context = {
        "choices": choices,
        "ask": ask,
        "errors": errors,
        "whole": errors.get("", []),
        **(foresee(request.subject, choices, ask) if look and not errors else {}),
    }
    return TemplateResponse(request, "access/request_addresses.html", context, status=422 if errors else 200)


def foresee(asker: Subject, choices: Choices, ask: Ask) -> dict[str, object]:
    """What sending would do, for a party that is known; a new one is described first."""
    if ask.is_new or not ask.addresses.strip():
        return {"refusal": "" if ask.addresses.strip() else "Write the addresses first.", "new_party": ask.is_new}
    try:
        foresight = selectors.preview_addresses(
            actor=asker,
            party_key=ask.party,
            service_slug=choices.service.slug,
            addresses=ask.addresses,
            duration=ask.duration,
            at=timezone.now(),
        )
    except Refusal as refusal:
        return {"refusal": " ".join(one for many in refusal.fields.values() for one in many) or refusal.message}
    return {"foresight": foresight, "causes": [cause.sentence for cause in foresight.risk.causes]}


class HostForm(forms.Form):
    host = forms.CharField(label="Host", max_length=253, help_text="As it stands in the catalogue.")
    always = forms.CharField(
        label="Who always may reach it",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Addresses and blocks that need no grant: your offices, and the address this console calls from.",
    )
    why = forms.CharField(label="Why", max_length=300)


@require_http_methods(["GET", "POST"])
def hosts(request: PageRequest) -> HttpResponse:
    """Which hosts only listed addresses reach. Everybody may read it; security and administrators change it."""
    may_change = identity.has_role(request.subject, *GOVERNORS)
    form = HostForm(request.POST or None)
    if request.method == "POST":
        require_role(request, *GOVERNORS)
        if form.is_valid() and _guard(request, form):
            return redirect("hosts")
    context = {"hosts": list(selectors.list_guarded_hosts()[:200]), "form": form, "may_change": may_change}
    return TemplateResponse(request, "access/hosts.html", context, status=422 if form.errors else 200)


class StopForm(forms.Form):
    detached = forms.BooleanField(
        label="The edge's security policy asks the list no longer",
        required=False,
        help_text="Whoever keeps that policy has to take the list out first: an empty list lets nobody in.",
    )


@require_http_methods(["GET", "POST"])
def stop(request: PageRequest, host_id: int) -> HttpResponse:
    """Before a host is guarded no longer: what that means, and what has to be done before."""
    require_role(request, *GOVERNORS)
    row = selectors.get_guarded_host(host_id)
    form = StopForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and _stop(request, row, form):
        return redirect("hosts")
    uses = selectors.count_address_uses(environment=row.environment, host=row.host)
    context = {"row": row, "form": form, "uses": uses}
    return TemplateResponse(request, "access/host_stop.html", context, status=422 if form.errors else 200)


def _stop(request: PageRequest, row: GuardedHost, form: StopForm) -> bool:
    with complaints_on(form):
        services.stop_guarding(
            host=row.host,
            environment=row.environment.slug,
            detached=form.cleaned_data["detached"],
            actor=request.subject.actor,
            at=timezone.now(),
        )
        messages.success(request, f"{row.host} is guarded no longer. Its list is emptied at the edge.")
    return form.is_valid()


def _guard(request: PageRequest, form: HostForm) -> bool:
    given = form.cleaned_data
    with complaints_on(form):
        services.guard_host(
            host=given["host"],
            always=given["always"],
            why=given["why"],
            actor=request.subject.actor,
            at=timezone.now(),
        )
        messages.success(request, "Noted. The list is made and filled at the edge; see it at the target.")
    return form.is_valid()
