"""The one thing there is to do with a service of plain TCP: to connect to its port.

It is a route like any other, so that a grant names it, a guardrail may stand across it and decide() knows it: the
method CONNECT, which no HTTP service has, on a path that is exactly the port. Who enforces HTTP never sees one.
"""

from __future__ import annotations

from apps.compiler.graph import Route

CONNECT = "connect"
"""The id of the route."""

METHOD = "CONNECT"


def connect_route(port: int) -> Route:
    """The one route of a service of plain TCP: to connect at ``port``."""
    return Route(CONNECT, frozenset({METHOD}), f"/{port}")


def port_words(route: Route) -> str:
    """``TCP port 5432``; nothing for a route of HTTP."""
    return f"TCP port {route.template[1:]}" if METHOD in route.methods else ""
