"""Recorded calls, replayed against two graphs: whom would the change shut out, whom would it let in?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from apps.compiler.decide import Action, Context, Decision, Pdp, Resource
from apps.compiler.graph import AccessGraph, Point

MOST_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Call:
    subject: str
    method: str
    service: str
    path: str
    point: Point
    at: int


@dataclass(frozen=True, slots=True)
class Example:
    """One call that the change affects, with both decisions; similar calls are only counted."""

    call: Call
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True)
class Impact:
    newly_denied: int = 0
    newly_allowed: int = 0
    unchanged: int = 0
    denied_examples: tuple[Example, ...] = ()
    allowed_examples: tuple[Example, ...] = ()


@dataclass(slots=True)
class _Tally:
    count: int = 0
    examples: dict[tuple[str, str, str, str | None], Example] = field(default_factory=dict)

    def add(self, call: Call, before: Decision, after: Decision) -> None:
        self.count += 1
        alike = (call.subject, call.method, call.service, after.route)
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.setdefault(alike, Example(call, before, after))


def impact(calls: Iterable[Call], old: AccessGraph, new: AccessGraph) -> Impact:
    """Both graphs are asked about each call at its ``at``: give a moment after the change to see what it would do."""
    before_change, after_change = Pdp(old), Pdp(new)
    denied, allowed, unchanged = _Tally(), _Tally(), 0
    for call in calls:
        before, after = _decide(before_change, call), _decide(after_change, call)
        if before.allowed == after.allowed:
            unchanged += 1
        else:
            (allowed if after.allowed else denied).add(call, before, after)
    return Impact(
        denied.count, allowed.count, unchanged, tuple(denied.examples.values()), tuple(allowed.examples.values())
    )


def _decide(pdp: Pdp, call: Call) -> Decision:
    return pdp.decide(
        call.subject, Action(call.method), Resource(call.service, call.path), Context(call.point), call.at
    )
