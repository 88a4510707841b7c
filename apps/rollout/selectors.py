"""Reads for pages and the API: how a grant travelled to its doors, and how long that takes."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from apps.rollout.models import Expect, Probe
from apps.rollout.states import ProbeState


@dataclass(frozen=True, slots=True)
class Moment:
    """One step on the road. ``kind`` is compiled, applied, tried or proven; ``number`` is the revision's."""

    at: datetime
    kind: str
    point: str
    target: str
    number: int
    sentence: str


def road_of(grant_id: str) -> list[Moment]:
    """From compiled to proven, at each door, in order of time. Two queries at most, however long the road."""
    probes = (
        Probe.objects.filter(grant_id=grant_id)
        .exclude(state=ProbeState.DROPPED)
        .select_related("activation__revision", "activation__target")
        .order_by("pk")
    )
    return sorted((moment for probe in probes for moment in _moments(probe)), key=lambda moment: moment.at)


def _moments(probe: Probe) -> Iterator[Moment]:
    activation = probe.activation
    revision, target = activation.revision, activation.target
    opens = probe.expect == Expect.ALLOW

    def moment(at: datetime, kind: str, sentence: str) -> Moment:
        return Moment(at, kind, probe.point, target.slug, revision.number, sentence)

    compiled = f"Revision {revision.number} for {target.name} {'lets it in' if opens else 'leaves it out'}."
    yield moment(revision.created_at, "compiled", compiled)
    if probe.ready_at is not None:
        yield moment(probe.ready_at, "applied", f"{target.name} has it.")
    if probe.passed_at is not None:
        word = "open" if opens else "closed"
        yield moment(probe.passed_at, "proven", f"The {probe.point} door was seen {word}. {probe.detail}".strip())
    elif probe.tried_at is not None:
        yield moment(
            probe.tried_at, "tried", f"The {probe.point} door said: {probe.verdict} {probe.reason}. Trying on."
        )


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from compiled to seen at the door, over ``count`` probes that passed."""

    count: int
    p50: float
    p95: float


def latencies(*, since: datetime) -> dict[str, Latency]:
    """By what was expected, ``allow`` and ``deny``. Those of which there is none are left out."""
    rows = Probe.objects.filter(state=ProbeState.PASSED, passed_at__gte=since).values_list(
        "expect", "activation__revision__created_at", "passed_at"
    )
    found: dict[str, list[float]] = {}
    for expect, compiled_at, passed_at in rows:
        if passed_at is not None:
            found.setdefault(expect, []).append((passed_at - compiled_at).total_seconds())
    return {expect: _latency(values) for expect, values in found.items()}


def _latency(values: Iterable[float]) -> Latency:
    ordered = sorted(values)
    return Latency(len(ordered), statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))])
