"""The policy of one service as rows of the mesh's map: exact keys, JSON values.

The expiry of a grant is part of its value, so that it ends on time with nobody there to take it away. Methods are
upper-case by definition (NGINX refuses others) and appear in lower case, as NGINX compares keys.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from apps.compiler import denials
from apps.compiler.decide import stands
from apps.compiler.emitters.nginx_text import policy_key
from apps.compiler.graph import AccessGraph, Guardrail, Point, Service
from apps.compiler.paths import METHODS, ranked
from apps.compiler.slices import guarded, holders, members

Row = tuple[str, str]


def route_rows(service: Service) -> Iterator[Row]:
    """``routes <service> <method> <segments>`` -> ``[[route, [literal or null, ...]], ...]``, most specific first."""
    lanes: dict[tuple[str, int], list[object]] = defaultdict(list)
    for template, route in ranked(service.routes):
        for method in route.methods.intersection(METHODS):
            lanes[method, len(template)].append([route.id, template])
    for (method, length), lane in lanes.items():
        yield policy_key("routes", service.id, method.lower(), str(length)), _json(lane)


def grant_rows(graph: AccessGraph, service: Service) -> Iterator[Row]:
    """``grants <service> <route> <subject>`` -> ``[[grant, starts, ends or null], ...]`` in order of id."""
    teams = members(graph.subjects)
    routes = {route.id for route in service.routes}
    held: dict[tuple[str, str], list[object]] = defaultdict(list)
    for grant in sorted(graph.grants, key=lambda grant: grant.id):
        if grant.service == service.id and Point.MESH in grant.points:
            for holder in holders(grant, graph.subjects, teams):
                for route in grant.routes & routes:
                    held[route, holder].append([grant.id, grant.starts_at, grant.ends_at])
    for (route, holder), grants in held.items():
        yield policy_key("grants", service.id, route, holder), _json(grants)


def limit_rows(graph: AccessGraph, service: Service) -> Iterator[Row]:
    """``limit <service> <subject>`` -> ``[calls a minute]`` for the agents that have one."""
    for subject in graph.subjects.values():
        if subject.calls_per_minute is not None:
            yield policy_key("limit", service.id, subject.id), _json([subject.calls_per_minute])


def denied_rows(graph: AccessGraph, service: Service) -> Iterator[Row]:
    """``denied <service> <subject>`` -> ``[[reason, until, issued until or null], ...]``, the strongest first."""
    for subject, found in denials.by_subject(graph.denials, service.id).items():
        yield policy_key("denied", service.id, subject), _json(denials.rows(found))


def guard_rows(graph: AccessGraph, service: Service) -> Iterator[Row]:
    """Two kinds of rows, by lane and by subject.

    ``guards <service> <method> <route>`` -> ``[[guardrail, kinds or null for everybody], ...]`` in order of id, and
    ``guarded <service> <subject>`` -> ``[guardrail, ...]``.
    """
    concerned = (g for g in graph.guardrails if not g.services or service.id in g.services)
    standing = sorted(concerned, key=lambda guardrail: guardrail.id)
    yield from _lane_rows(standing, service)
    yield from _subject_rows(graph, standing, service)


def _lane_rows(standing: list[Guardrail], service: Service) -> Iterator[Row]:
    for route in {route.id: route for route in service.routes}.values():
        for method in route.methods.intersection(METHODS):
            across = [[g.id, _kinds(g)] for g in standing if stands(g, route, method, Point.MESH)]
            if across:
                yield policy_key("guards", service.id, method.lower(), route.id), _json(across)


def _subject_rows(graph: AccessGraph, standing: list[Guardrail], service: Service) -> Iterator[Row]:
    teams = members(graph.subjects)
    named: dict[str, list[str]] = defaultdict(list)
    for guardrail in standing:
        for subject in guarded(guardrail, teams):
            named[subject].append(guardrail.id)
    for subject, guardrails in named.items():
        yield policy_key("guarded", service.id, subject), _json(guardrails)


def _kinds(guardrail: Guardrail) -> list[str] | None:
    return sorted(guardrail.kinds) if guardrail.kinds or guardrail.subjects else None


def _json(value: object) -> str:
    """Compact ASCII without dollar signs, which NGINX would take for variables."""
    return json.dumps(value, separators=(",", ":")).replace("$", "\\u0024")
