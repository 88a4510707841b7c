"""Live: every call with what both doors said, and one call at length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.compiler.reasons import TEXTS, Reason, ReasonText
from apps.identity import selectors as identity
from apps.identity.pages import PAGE_SIZE, PageRequest, asked_text
from apps.telemetry import edge_gaps, selectors
from apps.telemetry.selectors import ASKING_HELPS, CallFilter, CallRow

FILTERS = ("subject", "service", "reason", "verdict", "q")
MOST_GAPS = 5


@dataclass(frozen=True, slots=True)
class Who:
    """A caller by kind and name, where the directory does not know it any more too."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """A call as the page shows it: ``edge`` and ``mesh`` are allow, deny or empty where the call never came.

    ``is_gap``: it came through the edge, as the mesh knows, and the edge's line is not here.
    """

    call: CallRow
    who: Who | None
    edge: str
    mesh: str
    text: ReasonText
    may_ask: bool
    is_gap: bool


@require_GET
def live(request: PageRequest) -> HttpResponse:
    asked = {name: asked_text(request, name) for name in FILTERS}
    filters = CallFilter(
        subject=asked["subject"],
        service=asked["service"],
        reason=asked["reason"],
        verdict=asked["verdict"],
        text=asked_text(request, "rid") or asked["q"],
        probes=bool(request.GET.get("probes")),
    )
    page = selectors.list_calls(
        viewer=request.subject, filters=filters, after=asked_text(request, "after"), limit=PAGE_SIZE
    )
    context = {
        "lines": lines_of(page.items),
        "after": page.after,
        "asked": asked,
        "probes": filters.probes,
        "is_first": not request.GET.get("after"),
        "is_filtered": any(asked.values()),
        "gaps": edge_gaps.list_gaps(at=timezone.now())[:MOST_GAPS],
    }
    return TemplateResponse(request, "telemetry/live.html", context)


@require_GET
def call(request: PageRequest, rid: str) -> HttpResponse:
    found = selectors.get_call(viewer=request.subject, rid=rid)
    points = [("Edge", found.edge), ("Ingress", found.ingress), ("Sidecar", found.mesh)]
    context = {
        "line": lines_of([found])[0],
        "points": [(name, door, text_of(door.reason)) for name, door in points if door is not None],
    }
    return TemplateResponse(request, "telemetry/call.html", context)


def lines_of(calls: Sequence[CallRow]) -> list[Line]:
    names = {key: one.name for key, one in identity.list_by_keys({call.subject for call in calls} - {""}).items()}
    return [_line(call, names) for call in calls]


def _line(call: CallRow, names: dict[str, str]) -> Line:
    kind, found, name = call.subject.partition(":")
    inside = call.mesh or call.ingress
    return Line(
        call=call,
        who=Who(kind, names.get(call.subject, name)) if found else None,
        edge=call.edge.verdict if call.edge else "",
        mesh=inside.verdict if inside else "",
        text=text_of(call.reason),
        may_ask=asking_helps(call),
        is_gap=_is_gap(call),
    )


def _is_gap(call: CallRow) -> bool:
    passed = call.edge is None and call.ingress is not None and bool(call.subject) and not call.probe
    return passed and call.first_at < timezone.now() - edge_gaps.GRACE


def text_of(reason: str) -> ReasonText:
    """The words of a reason; a newer door may give one this console does not know yet."""
    try:
        return TEXTS[Reason(reason)]
    except ValueError:
        return ReasonText(0, reason.replace("_", " ").capitalize() + ".", "")


def asking_helps(call: CallRow) -> bool:
    return call.reason in ASKING_HELPS and bool(call.service)


@require_GET
def ask(request: PageRequest, rid: str) -> HttpResponse:
    """To a request already filled in with what was refused."""
    found = selectors.get_call(viewer=request.subject, rid=rid)
    if not asking_helps(found):
        return redirect("call", rid)
    filled = {
        "service": found.service,
        "method": found.method,
        "path": found.path,
        "subject": found.subject,
        "rid": found.rid,
    }
    return redirect(f"{reverse('request_new')}?{urlencode(filled)}")


def recent_denials(request: PageRequest, *, limit: int = 5) -> list[Line]:
    """What was lately refused to whoever looks, for their home page."""
    me = request.subject
    calls = selectors.list_denied_to(me.key, since=timezone.now() - timedelta(days=7), limit=limit)
    return [_line(call, {me.key: me.name}) for call in calls]
