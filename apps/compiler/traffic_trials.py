"""Which calls show that the traffic rules of a service do what they should: the rows they add to a decision table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from apps.compiler.decide import Action, Pdp, Resource
from apps.compiler.graph import AccessGraph, Grant, Point, Service, TrafficRule
from apps.compiler.paths import example_path
from apps.compiler.slices import holders, members
from apps.compiler.traffic import EVERYBODY, is_inside

MOST_TURNS = 18
"""Rows of one service."""
MOST_LOOKED_AT = 200
"""Callers that are looked at to find one inside a share and one outside it."""

Turn = tuple[str, str, int]
"""Who calls which route at which second."""


def turns_of(
    graph: AccessGraph, service: Service, point: Point, first: Collection[str] = frozenset()
) -> Iterator[Turn]:
    """Each rule, ``first`` those named and then the newest, on a route of its own, by callers who are let in.

    One is inside its share, at the seconds where it changes its mind; one is outside; and one it is not about.
    """
    rules = [rule for rule in graph.traffic if rule.service == service.id and point in rule.points]
    rules.sort(key=lambda rule: (rule.id not in first, -rule.starts_at, rule.id))
    grants = [grant for grant in graph.grants if grant.service == service.id and point in grant.points]
    trying = _Trying(graph, service, point, grants)
    yield from islice((turn for rule in rules for turn in trying.turns(rule)), MOST_TURNS)


class _Trying:
    def __init__(self, graph: AccessGraph, service: Service, point: Point, grants: Iterable[Grant]) -> None:
        self._graph, self._service, self._point, self._grants = graph, service, point, tuple(grants)
        self._pdp = Pdp(graph)
        self._teams = members(graph.subjects)
        self._routes = {route.id: route for route in service.routes if route.methods}

    def turns(self, rule: TrafficRule) -> Iterator[Turn]:
        for route in sorted(rule.routes & self._routes.keys())[:1]:
            callers = self._callers(rule, route)
            yield from ((who, route, rule.starts_at) for _, who in sorted(callers.items()))
            yield from ((callers["in"], route, at) for at in _turns(rule) if "in" in callers)

    def _callers(self, rule: TrafficRule, route: str) -> dict[str, str]:
        """By ``in``, ``out`` or ``other``: on which side of the rule they stand."""
        whom = None if rule.subject == EVERYBODY else frozenset(holders(rule, self._graph.subjects, self._teams))
        found: dict[str, str] = {}
        for who in islice(self._let_in(route, rule.starts_at), MOST_LOOKED_AT):
            side = "other" if whom is not None and who not in whom else "in" if is_inside(rule, who) else "out"
            found.setdefault(side, who)
        return found

    def _let_in(self, route: str, at: int) -> Iterator[str]:
        asked = self._routes[route]
        action, resource = Action(min(asked.methods)), Resource(self._service.id, example_path(asked.template))
        granted = (grant for grant in self._grants if route in grant.routes)
        found = dict.fromkeys(who for grant in granted for who in holders(grant, self._graph.subjects, self._teams))
        for who in found:
            if self._pdp.decide_at_door(who, action, resource, self._point, at).allowed:
                yield who


def _turns(rule: TrafficRule) -> tuple[int, ...]:
    return (rule.starts_at - 1, *(() if rule.ends_at is None else (rule.ends_at - 1, rule.ends_at)))
