"""The decision table of one service's mesh policy: it travels with the policy, and a node asks it before it serves.

Each grant at the seconds where it changes its mind, newest first, on each of its routes, by one who holds it; traffic
rules at theirs; a stranger everywhere; and paths that must not be understood. It depends on the graph alone, so that it
is as stable as what it tries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from apps.compiler.acceptance import BELOW_NOTHING, MOST_DENIED, STRANGER
from apps.compiler.decide import Action, Pdp, Resource
from apps.compiler.denials import by_subject
from apps.compiler.graph import AccessGraph, Grant, Point, Service
from apps.compiler.paths import example_path
from apps.compiler.slices import holders, members
from apps.compiler.traffic import UNTREATED, Traffic, Treatment
from apps.compiler.traffic_trials import turns_of

MOST_TRIALS = 60

Call = tuple[str, str, str, int]
"""Subject, method, path below the base as sent, seconds since 1970: of the call and of its token."""


def trials(graph: AccessGraph, service: Service) -> str:
    """``[[service, subject, method, path, at, reason, [grant, ...]], ...]``, one trial a line.

    Of a call that a traffic rule speaks of the row goes on with ``[[rule, ...], variant, {header: value or null},
    [[counter, calls a minute], ...], [[breaker, errors, seconds], ...]]``.
    """
    pdp, traffic = Pdp(graph), Traffic(graph)
    rows = []
    for subject, method, path, at in islice(dict.fromkeys(_calls(graph, service)), MOST_TRIALS):
        decision = pdp.decide_at_door(subject, Action(method), Resource(service.id, path), Point.MESH, at, at)
        found = traffic.treat(decision, subject, service.id, Point.MESH, at)
        treated = [] if found == UNTREATED else [_told(found)]
        rows.append([service.id, subject, method, path, at, decision.reason.value, decision.grant_ids, *treated])
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n"


def _told(found: Treatment) -> list[object]:
    return [found.rules, found.variant, found.headers, found.limits, found.breakers]


def _calls(graph: AccessGraph, service: Service) -> Iterator[Call]:
    ways = {route.id: (min(route.methods), example_path(route.template)) for route in service.routes if route.methods}
    held = [grant for grant in graph.grants if grant.service == service.id and Point.MESH in grant.points]
    held.sort(key=lambda grant: (-grant.starts_at, grant.id))
    moment = held[0].starts_at if held else 0
    yield from _denied_calls(graph, service, ways)
    yield from _odd_calls(service, ways, moment)
    yield from ((who, *ways[route], at) for who, route, at in turns_of(graph, service, Point.MESH) if route in ways)
    teams = members(graph.subjects)
    for grant in held:
        for holder in holders(grant, graph.subjects, teams)[:1]:
            yield from _grant_calls(grant, holder, ways)


def _denied_calls(graph: AccessGraph, service: Service, ways: dict[str, tuple[str, str]]) -> Iterator[Call]:
    for subject, found in islice(by_subject(graph.denials, service.id).items(), MOST_DENIED):
        for denial in found if ways else ():
            method, path = next(iter(ways.values()))
            turn = denial.until if denial.issued_until is None else min(denial.until, denial.issued_until + 1)
            yield from ((subject, method, path, at) for at in (turn - 1, turn))


def _odd_calls(service: Service, ways: dict[str, tuple[str, str]], at: int) -> Iterator[Call]:
    yield from ((STRANGER, "GET", path, at) for path in BELOW_NOTHING)
    for route in sorted(ways)[:4]:
        method, path = ways[route]
        yield STRANGER, method, path, at
        yield STRANGER, "TRACE", path, at


def _grant_calls(grant: Grant, holder: str, ways: dict[str, tuple[str, str]]) -> Iterator[Call]:
    turns = [grant.starts_at - 1, grant.starts_at]
    if grant.ends_at is not None:
        turns += [grant.ends_at - 1, grant.ends_at]
    for route in sorted(grant.routes & ways.keys()):
        method, path = ways[route]
        yield from ((holder, method, path, at) for at in turns)
