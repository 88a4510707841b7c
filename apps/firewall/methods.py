"""Which method a path is meant with, where a line names none: readings with a confidence and why. Pure.

What only reads is taken until a person says otherwise; what changes something is never taken without being said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from apps.access.risk import READS
from apps.compiler.graph import Route, Service
from apps.compiler.words import listed, routes_words
from apps.firewall.matching import LIKELY, MAYBE, Candidate

READ, EVERY = "read", "every"
SIDE = "method"
"""What is chosen about a line besides its source and its destination."""


def readings_of(routes: Collection[str], shape: Service) -> list[Candidate]:
    """What these routes of one path may mean, the narrowest first; nothing where they all read, or are only one."""
    known = _known(routes, shape)
    methods = _methods(known)
    if len(known) < 2 or len(methods) < 2 or methods <= READS:
        return []
    return list(_readings(known, shape))


def _readings(known: Sequence[Route], shape: Service) -> Iterator[Candidate]:
    reading = _picked(READ, known)
    if reading:
        why = f"It changes nothing, so it is taken until you say otherwise: {_words(reading, shape)}."
        yield Candidate(READ, listed(sorted(_methods(reading))), LIKELY, why)
    for method in sorted(_methods(known) - _methods(reading)):
        yield Candidate(method, method, MAYBE, f"That is {_words(_picked(method, known), shape)}.")
    yield Candidate(EVERY, "Every method", MAYBE / 2, f"That is {_words(known, shape)}.")


def taken(readings: Sequence[Candidate], chosen: str) -> str:
    """What a person chose, as long as it is there; else what only reads; empty where everything there changes."""
    keys = [one.key for one in readings]
    return chosen if chosen in keys else READ if READ in keys else ""


def routes_for(key: str, routes: Collection[str], shape: Service) -> list[str]:
    """Those a reading means."""
    return [route.id for route in _picked(key, _known(routes, shape))]


def _known(routes: Collection[str], shape: Service) -> list[Route]:
    return [route for route in shape.routes if route.id in routes]


def _picked(key: str, known: Sequence[Route]) -> list[Route]:
    if key == EVERY:
        return list(known)
    if key == READ:
        return [route for route in known if route.methods <= READS]
    return [route for route in known if key in route.methods]


def _methods(routes: Sequence[Route]) -> frozenset[str]:
    return frozenset[str]().union(*(route.methods for route in routes))


def _words(routes: Sequence[Route], shape: Service) -> str:
    return routes_words(shape, frozenset(route.id for route in routes))
