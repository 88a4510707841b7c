"""The decision table that freshly compiled edge policy must reproduce, in its own engine, before it may be activated.

The table is made of what the policy is about: every grant at the seconds where it changes its mind, on each of its
routes, by one who holds it; every traffic rule at its own turns, by somebody it is about and by somebody it is not; and
for every service a stranger, a missing token, and paths that must not be understood.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from apps.compiler.decide import kind_of
from apps.compiler.denials import by_subject
from apps.compiler.doors import EdgeCall, EdgeDoor
from apps.compiler.graph import NO_CALLERS, AccessGraph, EdgeExposure, Grant, Point, Service
from apps.compiler.paths import example_path
from apps.compiler.reasons import Reason
from apps.compiler.slices import holders, members
from apps.compiler.traffic import MOST_TOLD, Traffic, Treatment
from apps.compiler.traffic_trials import turns_of

STRANGER = "person:nobody-we-know"
MOST_DENIED = 3
SENT = "as it was sent"
BELOW_NOTHING = ("/..", "/%2e%2e/x", "//", "/x%2Fy", "/x;y")


class Treated(NamedTuple):
    """What becomes of a call that is let in, as the edge can show it. ``headers`` are those it does not leave as
    ``SENT``: with what they say, or None when they are gone. A door tells of no more than ``MOST_TOLD`` rules.
    """

    variant: str = ""
    origin: str = ""
    headers: tuple[tuple[str, str | None], ...] = ()
    rules: tuple[str, ...] = ()

    @classmethod
    def of(cls, treatment: Treatment) -> Treated:
        told = treatment.rules[:MOST_TOLD]
        return cls(treatment.variant, treatment.origin, tuple(sorted(treatment.headers.items())), told)

    @property
    def words(self) -> str:
        headers = ", ".join(f"{name} {'gone' if value is None else f'= {value}'}" for name, value in self.headers)
        where = " at ".join(filter(None, (self.variant, self.origin))) or "the usual version"
        return f"{where} with {headers or 'its own headers'} by {', '.join(self.rules) or 'no rule'}"


UNTOUCHED = Treated()


@dataclass(frozen=True, slots=True)
class Trial:
    """A call at ``at`` and the answer it must get. ``subject`` None: without a token; else with one made out at
    ``issued``. It is sent with every header that a traffic rule may speak of, each with the value ``SENT``.
    """

    call: EdgeCall
    subject: str | None
    at: int
    allowed: bool
    reason: Reason
    issued: int
    treated: Treated = UNTOUCHED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the engine answered; ``reason`` is its own word, which may be none of ours."""

    allowed: bool
    reason: str
    treated: Treated = UNTOUCHED


@dataclass(frozen=True, slots=True)
class Disagreement:
    trial: Trial
    outcome: Outcome

    @property
    def sentence(self) -> str:
        trial, outcome = self.trial, self.outcome
        call = f"{trial.call.method} {trial.call.host}{trial.call.path} by {trial.subject or 'nobody'} at {trial.at}"
        if (outcome.allowed, outcome.reason) != (trial.allowed, trial.reason.value):
            return f"{call}: the engine says {outcome.reason}, the policy says {trial.reason.value}."
        return f"{call}: the engine makes of it {outcome.treated.words}; the policy wants {trial.treated.words}."


class Engine(Protocol):
    """Runs the compiled artifacts and answers the trials in order."""

    def run(self, trials: Sequence[Trial]) -> Sequence[Outcome]: ...


def rehearse(engine: Engine, trials: Sequence[Trial]) -> tuple[Disagreement, ...]:
    """Where the engine's answers differ from the table. None may be activated unless this is empty."""
    outcomes = engine.run(trials)
    pairs = zip(trials, outcomes, strict=True)
    return tuple(
        Disagreement(trial, outcome)
        for trial, outcome in pairs
        if (outcome.allowed, outcome.reason, outcome.treated) != (trial.allowed, trial.reason.value, trial.treated)
    )


def decision_table(
    graph: AccessGraph, at: int, *, most_per_service: int = 200, first: Collection[str] = frozenset()
) -> tuple[Trial, ...]:
    """Trials for every service of the graph that the edge exposes, at most so many for each; the order is stable.

    ``first`` names the grants that must not be left out where there are more than can be tried: those that changed.
    """
    door, traffic = EdgeDoor(graph), Traffic(graph)
    rows: list[_Row] = []
    for service_id in sorted(graph.services):
        service = graph.services[service_id]
        if service.edge is not None:
            found = [*_denied_rows(graph, service, service.edge), *_rows(graph, service, service.edge, at, first)]
            rows += list(dict.fromkeys(found))[:most_per_service]
    earliest = min((row[2] for row in rows), default=at)
    return tuple(_expected(door, traffic, *row[:3], earliest if row[3] is None else row[3]) for row in rows)


_Row = tuple[EdgeCall, str | None, int, int | None]
"""Call, subject, when, and when the token was made out; None: before anything else in the table."""


def _expected(door: EdgeDoor, traffic: Traffic, call: EdgeCall, subject: str | None, at: int, issued: int) -> Trial:
    fault, place = Reason.NO_TOKEN if subject is None else None, door.locate(call.host, call.path)
    decision = door.judge(call, fault, subject or "", at, issued=issued)
    treated = UNTOUCHED
    if place is not None and decision.allowed:
        treated = Treated.of(traffic.treat(decision, subject or "", place.service, Point.EDGE, at))
    return Trial(call, subject, at, decision.allowed, decision.reason, issued, treated)


def _denied_rows(graph: AccessGraph, service: Service, edge: EdgeExposure) -> Iterator[_Row]:
    """A few of those who are turned away: until the last second and after it, and with a token just young enough."""
    calls = list(_calls(service, edge).values())
    if not calls:
        return
    for subject, found in islice(by_subject(graph.denials, service.id).items(), MOST_DENIED):
        for denial in found if kind_of(subject) not in NO_CALLERS else ():
            until = denial.until - 1
            last = until if denial.issued_until is None else min(denial.issued_until, until)
            yield calls[0], subject, until, last
            yield calls[0], subject, until, min(last + 1, until)
            yield calls[0], subject, denial.until, last


def _rows(graph: AccessGraph, service: Service, edge: EdgeExposure, at: int, first: Collection[str]) -> Iterator[_Row]:
    held = [grant for grant in graph.grants if grant.service == service.id and Point.EDGE in grant.points]
    held.sort(key=lambda grant: grant.id)
    calls = _calls(service, edge)
    yield from _held_rows(graph, [grant for grant in held if grant.id in first], calls, at)
    for subject, route, moment in turns_of(graph, service, Point.EDGE, first):
        if route in calls:
            yield calls[route], subject, moment, None
    yield from _odd_rows(service, edge, at)
    yield from _held_rows(graph, held, calls, at)


def _held_rows(graph: AccessGraph, grants: Sequence[Grant], calls: Mapping[str, EdgeCall], at: int) -> Iterator[_Row]:
    teams = members(graph.subjects)
    for grant in grants:
        for holder in holders(grant, graph.subjects, teams)[:1]:
            yield from _grant_rows(grant, holder, calls, at)


def _odd_rows(service: Service, edge: EdgeExposure, at: int) -> Iterator[_Row]:
    for below in BELOW_NOTHING:
        yield EdgeCall(edge.host, "GET", edge.base_path + below), STRANGER, at, None
    for call in _calls(service, edge).values():
        yield call, None, at, None
        yield call, STRANGER, at, None
        yield EdgeCall(call.host, "TRACE", call.path), STRANGER, at, None


def _grant_rows(grant: Grant, holder: str, calls: Mapping[str, EdgeCall], at: int) -> Iterator[_Row]:
    turns = (
        grant.starts_at - 1,
        grant.starts_at,
        *(() if grant.ends_at is None else (grant.ends_at - 1, grant.ends_at)),
    )
    for route in sorted(grant.routes):
        if route in calls:
            for moment in (at, *turns):
                yield calls[route], holder, moment, None


def _calls(service: Service, edge: EdgeExposure) -> dict[str, EdgeCall]:
    """One concrete call for each route."""
    return {
        route.id: EdgeCall(edge.host, min(route.methods), edge.base_path + example_path(route.template))
        for route in service.routes
        if route.methods
    }
