"""The risk of a request in words: every cause says itself, and the level is the sum of what the causes weigh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.compiler.connections import METHOD
from apps.compiler.graph import Point, Route, SubjectKind

READS = frozenset({"GET", "HEAD", "OPTIONS"})
WIDE_ROUTES = 5
LONG_SECONDS = 24 * 3600
BIG_TEAM = 5
MEDIUM_FROM, HIGH_FROM = 3, 6


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the risk is judged by. ``people`` counts those who get access: a team's active members, otherwise one."""

    service_title: str
    sensitivity: str
    danger_note: str
    routes: tuple[Route, ...]
    routes_in_all: int
    points: frozenset[Point]
    duration: int
    subject_kind: SubjectKind
    people: int


@dataclass(frozen=True, slots=True)
class Cause:
    weight: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Risk:
    level: str
    causes: tuple[Cause, ...]

    def as_json(self) -> dict[str, object]:
        return {"level": self.level, "causes": [cause.sentence for cause in self.causes]}


def assess(what: Exposure) -> Risk:
    return summed((*from_service(what), *_from_routes(what), *_from_reach(what)))


def summed(found: Iterable[Cause]) -> Risk:
    causes = tuple(sorted(found, key=lambda cause: -cause.weight))
    return Risk(_level(sum(cause.weight for cause in causes)), causes)


def _level(weight: int) -> str:
    if weight >= HIGH_FROM:
        return "high"
    return "medium" if weight >= MEDIUM_FROM else "low"


def from_service(what: Exposure) -> Iterator[Cause]:
    if what.sensitivity == "critical":
        yield Cause(3, f"{what.service_title} is critical.")
    elif what.sensitivity == "sensitive":
        yield Cause(2, f"{what.service_title} holds sensitive data.")
    if what.danger_note:
        yield Cause(1, what.danger_note)


def _from_routes(what: Exposure) -> Iterator[Cause]:
    methods = frozenset[str]().union(*(route.methods for route in what.routes))
    if "DELETE" in methods:
        yield Cause(2, "It can delete.")
    if METHOD in methods:
        yield Cause(2, "Whoever connects may do all that a connection can: plain TCP shows no calls.")
    writes = sorted(methods - READS - {"DELETE", METHOD})
    if writes:
        yield Cause(1, f"It can change things ({', '.join(writes)}).")
    if len(what.routes) >= WIDE_ROUTES or (len(what.routes) > 1 and len(what.routes) == what.routes_in_all):
        yield Cause(1, f"It is wide: {len(what.routes)} of {what.routes_in_all} routes.")


def _from_reach(what: Exposure) -> Iterator[Cause]:
    if Point.EDGE in what.points:
        yield Cause(1, "It can be used from outside, through the edge.")
    if what.duration > LONG_SECONDS:
        yield Cause(1, f"It lasts {what.duration // LONG_SECONDS} days or more.")
    if what.subject_kind is SubjectKind.AGENT:
        yield Cause(1, "An agent will use it, without a person watching each call.")
    if what.subject_kind is SubjectKind.PARTY:
        yield Cause(1, "An address proves nobody: whoever calls from it comes as far as the token check.")
    if what.subject_kind is SubjectKind.TEAM:
        weight = 2 if what.people > BIG_TEAM else 1
        yield Cause(weight, f"It opens to a whole team: {what.people} {'person' if what.people == 1 else 'people'}.")
