"""Parts of a graph in the words of a reviewer. English, plain, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from apps.compiler.connections import port_words
from apps.compiler.graph import AccessGraph, Grant, Point, Route, Service

_POINTS = {
    frozenset({Point.EDGE}): "from the edge",
    frozenset({Point.MESH}): "inside the mesh",
    frozenset({Point.EDGE, Point.MESH}): "from the edge and inside the mesh",
}


def moment(at: int) -> str:
    """``Fri 27 Nov 2026 18:00 UTC``."""
    return datetime.fromtimestamp(at, UTC).strftime("%a %d %b %Y %H:%M UTC")


def listed(items: Iterable[str]) -> str:
    """``a, b and c``."""
    words = list(items)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def subject_name(graph: AccessGraph, subject: str) -> str:
    found = graph.subjects.get(subject)
    return found.name if found is not None and found.name else subject


def service_name(graph: AccessGraph, service: str) -> str:
    found = graph.services.get(service)
    return found.name if found is not None and found.name else service


def route_words(route: Route) -> str:
    """``GET or POST /orders/{id}``, or ``TCP port 5432``."""
    return port_words(route) or f"{' or '.join(sorted(route.methods))} {route.template}".strip()


def routes_words(service: Service | None, routes: frozenset[str]) -> str:
    """The routes as methods and templates; those that the service no longer has, by id."""
    known = {route.id: route_words(route) for route in service.routes} if service is not None else {}
    if service is not None and known and routes == known.keys() and not service.is_tcp:
        return "everything"
    return listed(sorted(known.get(route, f"the former route {route}") for route in routes)) or "nothing"


def points_words(points: frozenset[Point]) -> str:
    return _POINTS.get(points, "through no door")


def grant_words(graph: AccessGraph, grant: Grant) -> str:
    """``call POST /refunds on Payments from the edge until Fri 27 Nov 2026 18:00 UTC``, without subject and verb."""
    routes = routes_words(graph.services.get(grant.service), grant.routes)
    end = "without an end" if grant.ends_at is None else f"until {moment(grant.ends_at)}"
    return f"call {routes} on {service_name(graph, grant.service)} {points_words(grant.points)} {end}"
