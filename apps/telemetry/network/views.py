"""The picture of the map: who calls whom, with a table that says the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.identity.pages import PageRequest, asked_text
from apps.telemetry.network.composing import Line, Node, Picture, compose
from apps.telemetry.network.drawing import draw
from apps.telemetry.network.reading import (
    Found,
    find_around_service,
    find_around_subject,
    find_busiest,
)
from apps.telemetry.network.telling import left_out, looks_of


@dataclass(frozen=True, slots=True)
class Row:
    """A line as the table tells it."""

    line: Line
    source: Node
    target: Node


@require_GET
def show(request: PageRequest) -> HttpResponse:
    asked = {name: asked_text(request, name) for name in ("service", "subject", "q")}
    found = find(request, asked, timezone.now())
    picked = picked_node(found, asked)
    picture = compose(found, picked=picked)
    drawing = draw(picture)
    context = {
        "asked": asked,
        "picked": picture.nodes.get(picked),
        "picture": picture,
        "drawing": drawing,
        "rows": rows_of(picture),
        "incoming": len({line.subject for line in found.open_lines if line.service == picked}),
        "outgoing": len({line.service for line in found.open_lines if line.service != picked}),
        "refused": sum(bool(line.denied) for line in picture.lines),
        "is_all": not (asked["service"] or asked["subject"]),
        "looks": looks_of({curve.look for curve in drawing.curves}),
        "left_out": left_out(found, picture),
    }
    return TemplateResponse(request, "telemetry/network.html", context)


def find(request: PageRequest, asked: dict[str, str], at: datetime) -> Found:
    if asked["service"]:
        return find_around_service(request.subject, at, asked["service"])
    if asked["subject"]:
        return find_around_subject(request.subject, at, asked["subject"])
    return find_busiest(request.subject, at, query=asked["q"])


def picked_node(found: Found, asked: dict[str, str]) -> str:
    """A workload that is a service is drawn as that."""
    services = (stop.slug for stop in found.stops.values() if stop.workload and stop.workload == asked["subject"])
    return asked["service"] or next(services, asked["subject"])


def rows_of(picture: Picture) -> list[Row]:
    """What was refused first, then what moves, then what is used most."""
    ranked = sorted(picture.lines, key=lambda one: (-one.denied, not one.moves, -one.calls, one.target, one.source))
    return [Row(one, picture.nodes[one.source], picture.nodes[one.target]) for one in ranked]
