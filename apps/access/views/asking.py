"""Asking for access: choose a service, say what and why, see what would happen, send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.access import refusals, selectors, services
from apps.access.asks import CONNECTING, DEFAULT_DURATION
from apps.access.risk import READS
from apps.audit.errors import Refusal
from apps.catalog import selectors as catalog
from apps.compiler.graph import Protocol, SubjectKind
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text

if TYPE_CHECKING:
    from apps.catalog.models import Route, Service
    from apps.identity.models import Subject

DURATIONS = (900, 3600, 4 * 3600, 8 * 3600, 24 * 3600, 3 * 86400, 7 * 86400, 30 * 86400, 90 * 86400)
SENT = "Sent. What people answer is told here."
NO_DOOR = "Choose at least one door."
Errors = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen for one service by whoever asks."""

    service: Service
    routes: list[Route]
    subjects: list[Subject]
    points: tuple[str, ...]

    @property
    def durations(self) -> list[int]:
        longest = self.service.max_duration
        return sorted({*(one for one in DURATIONS if one <= longest), min(longest, DEFAULT_DURATION)})


@dataclass(frozen=True, slots=True)
class Ask:
    """What was typed or linked, made sense of: what cannot be chosen is left out, nothing else is lost.

    A link may name no doors and means the usual ones; the form always names them, so none ticked is none.
    """

    subject: str
    routes: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    duration: int = DEFAULT_DURATION
    reason: str = ""
    ticket: str = ""
    denied: str = ""


@require_http_methods(["GET", "POST"])
def request_new(request: PageRequest) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    if not given.get("service"):
        return choose_service(request)
    choices = choices_for(request.subject, given["service"])
    ask = read_ask(given, choices)
    refused = None
    if request.method == "POST":
        try:
            opened = send(request, choices, ask)
        except Refusal as refusal:
            refused = refusal
            opened = sent_before(request, refusal, ask.reason)
        if opened:
            messages.success(request, SENT)
            return redirect("request", opened)
    return show_form(request, choices, ask, refused)


def sent_before(request: PageRequest, refusal: Refusal, reason: str) -> str:
    """The request that this very form made already, where somebody pressed twice or went back; or nothing."""
    twin = refusal.extra.get("request") if isinstance(refusal, refusals.AlreadyAsked) else None
    if not twin:
        return ""
    found = selectors.visible_requests(request.subject).filter(public_id=twin, requester=request.subject)
    return next((one.public_id for one in found if one.reason == reason.strip()), "")


def choose_service(request: HttpRequest) -> HttpResponse:
    query = asked_text(request, "q")
    page = catalog.list_services(query=query, after=asked_text(request, "after"), limit=20)
    return TemplateResponse(request, "access/choose_service.html", {"page": page, "query": query})


def choices_for(asker: Subject, slug: str) -> Choices:
    service = catalog.get_service(slug)
    usual = [one for one in catalog.list_exposures(service) if one.environment.is_default]
    exposed = {one.point for one in usual}
    subjects = identity.acting_for(asker)
    if any(one.protocol == Protocol.TCP for one in usual):
        subjects = [one for one in subjects if one.kind in CONNECTING] or subjects
    return Choices(
        service=service,
        routes=list(catalog.list_routes(service)),
        subjects=subjects,
        points=tuple(point for point in ("edge", "mesh") if point in exposed),
    )


def read_ask(given: QueryDict, choices: Choices) -> Ask:
    subject = next((one for one in choices.subjects if one.key == given.get("subject")), choices.subjects[0])
    points = tuple(point for point in choices.points if point in given.getlist("points"))
    return Ask(
        subject=subject.key,
        routes=read_routes(given, choices),
        points=points if "points" in given else usual_points(subject, choices),
        duration=read_duration(given.get("duration", ""), choices),
        reason=given.get("reason", "")[:5000],
        ticket=given.get("ticket", "")[:500],
        denied=given.get("rid", "")[:64],
    )


def read_routes(given: QueryDict, choices: Choices) -> tuple[str, ...]:
    """The routes ticked, those of a link from a denied call, or everything that only reads."""
    wanted = {*given.getlist("routes"), *given.getlist("route")}
    if given.get("reads"):
        wanted |= {route.key for route in choices.routes if set(route.methods) <= READS}
    method, path = given.get("method", ""), given.get("path", "")
    if method and path:
        match = catalog.match_route(choices.service, method=method, path=path)
        wanted |= {match.key} if match else set()
    return tuple(route.key for route in choices.routes if route.key in wanted)


def read_duration(text: str, choices: Choices) -> int:
    """What is not a number becomes the usual; what is too long stays, for the service to refuse in its own words."""
    usual = min(DEFAULT_DURATION, choices.service.max_duration)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else usual


def usual_points(subject: Subject, choices: Choices) -> tuple[str, ...]:
    """A workload calls from inside; everybody else comes through both doors."""
    inside = subject.kind == SubjectKind.WORKLOAD and "mesh" in choices.points
    return ("mesh",) if inside else choices.points


def send(request: PageRequest, choices: Choices, ask: Ask) -> str:
    require_a_door(ask, choices)
    opened = services.open_request(
        actor=request.subject,
        subject_key=ask.subject,
        service_slug=choices.service.slug,
        route_keys=ask.routes,
        points=ask.points,
        duration=ask.duration,
        reason=ask.reason,
        ticket=ask.ticket,
        at=timezone.now(),
    )
    return opened.public_id


def require_a_door(ask: Ask, choices: Choices) -> None:
    """The service takes the usual doors where none is named; whoever unticked all of them does not mean those."""
    if choices.points and not ask.points:
        raise refusals.BadPoints(NO_DOOR, fields={"points": [NO_DOOR]})


def show_form(request: PageRequest, choices: Choices, ask: Ask, refused: Refusal | None) -> HttpResponse:
    errors: Errors = {} if refused is None else refused.fields or {"": [refused.message]}
    context = {
        "choices": choices,
        "ask": ask,
        "errors": errors,
        "whole": errors.get("", []),
        "twin": "" if refused is None else refused.extra.get("request"),
        "explore": not request.GET.get("look"),
        **(foresee(request.subject, choices, ask) if request.GET.get("look") or errors else {}),
    }
    return TemplateResponse(request, "access/request_new.html", context, status=422 if errors else 200)


def foresee(asker: Subject, choices: Choices, ask: Ask) -> dict[str, object]:
    """What sending would do; nothing while too little is chosen to say."""
    if not ask.routes or not ask.points:
        return {"foresight": None, "refusal": ""}
    try:
        foresight = selectors.preview(
            actor=asker,
            subject_key=ask.subject,
            service_slug=choices.service.slug,
            route_keys=ask.routes,
            points=ask.points,
            duration=ask.duration,
            at=timezone.now(),
        )
    except Refusal as refusal:
        return {"foresight": None, "refusal": refusal.message}
    return {"foresight": foresight, "refusal": "", "causes": [cause.sentence for cause in foresight.risk.causes]}
