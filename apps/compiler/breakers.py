"""What a node remembers of a service's failures, as the reference does it; and what a breaker would have done."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from apps.compiler.decide import Action, Pdp, Resource
from apps.compiler.graph import AccessGraph, Breaker, Point
from apps.compiler.impact import Call
from apps.compiler.traffic import Traffic, Treatment

LEAST_FAILURE = 500
"""An answer with this status or a higher one is a failure; 502 and 504 also stand for no answer at all."""

Name = tuple[str, str]
"""Which rule, and which version of the service."""


class Breakers:
    """The memory of one node. Times are seconds; what is asked about never lies before what was told."""

    def __init__(self) -> None:
        self._failures: dict[Name, deque[float]] = {}
        self._until: dict[Name, float] = defaultdict(float)

    def rest(self, name: Name, at: float) -> float:
        """Seconds until calls are let through again; 0 when they are."""
        return max(self._until[name] - at, 0)

    def failed(self, name: Name, breaker: Breaker, at: float) -> bool:
        """A call was answered by a failure; whether that trips the breaker.

        What was under way when it tripped is not held against the service.
        """
        if self.rest(name, at) > 0:
            return False
        last = self._failures.setdefault(name, deque(maxlen=breaker.errors))
        last.append(at)
        trips = len(last) == breaker.errors and at - last[0] < breaker.seconds
        if trips:
            self._until[name] = at + breaker.seconds
        return trips


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call that was let in inside the mesh was answered, and when, in seconds; ``call.at`` is when to ask."""

    call: Call
    status: int
    at: float


@dataclass(frozen=True, slots=True)
class Breaking:
    """What the breakers of some rules would have made of answers: how many ``failed``, how often one ``tripped``, and
    how many calls would have been ``turned_away``.
    """

    failed: int = 0
    tripped: int = 0
    turned_away: int = 0


def breaking(answers: Iterable[Answer], old: AccessGraph, new: AccessGraph) -> Breaking:
    """``answers`` in order of time, held against the breakers that only ``new`` has."""
    known = {rule.id for rule in old.traffic}
    memory, pdp, traffic = Breakers(), Pdp(new), Traffic(new)
    failed = tripped = turned_away = 0
    for one in answers:
        treatment = _treatment(pdp, traffic, one.call)
        names = {
            (rule, treatment.variant): Breaker(errors, seconds)
            for rule, errors, seconds in treatment.breakers
            if rule not in known
        }
        if any(memory.rest(name, one.at) > 0 for name in names):
            turned_away += 1
        elif names and one.status >= LEAST_FAILURE:
            failed += 1
            tripped += sum(memory.failed(name, breaker, one.at) for name, breaker in names.items())
    return Breaking(failed, tripped, turned_away)


def _treatment(pdp: Pdp, traffic: Traffic, call: Call) -> Treatment:
    decision = pdp.decide_at_door(
        call.subject, Action(call.method), Resource(call.service, call.path), Point.MESH, call.at
    )
    return traffic.treat(decision, call.subject, call.service, Point.MESH, call.at)
