"""A door that several targets keep, as the mesh of nodes and each cluster do: it is where its slowest keeper is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from apps.rollout.models import Delivery, Probe, Target
from apps.rollout.services.cluster.driving import held_of
from apps.rollout.states import ProbeState

Door = tuple[str, str]
"""A grant's id, and the point."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Names of the keepers that have not shown what the others did: ``behind``. Of these, ``without`` do not even hold
    it, and ``failing`` answered otherwise."""

    behind: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        return f"Still to be shown at {', '.join(self.behind)}."


@dataclass(frozen=True, slots=True)
class _Shown:
    expect: str
    state: str
    attempts: int


def lags(probes: Collection[Probe], patience: int) -> Mapping[Door, Lag]:
    """The doors of these grants that have more keepers than one, where one of them is behind.

    The probes bear their activations. Costs one statement where no door has more than one keeper.
    """
    wanted = {(probe.grant_id, point): probe for probe in probes for point in probe.call.get("points", [probe.point])}
    keepers = _keepers(probes)
    several = {door: probe for door, probe in wanted.items() if len(keepers[_place(probe, door[1])]) > 1}
    if not several:
        return {}
    holding = _holding(several.values(), keepers)
    shown = _shown({grant for grant, _ in several})
    found = {
        door: _lag(
            [one for one in keepers[_place(probe, door[1])] if (one.pk, probe.service) in holding],
            {one: said for (grant, point, one), said in shown.items() if (grant, point) == door},
            probe.expect,
            patience,
        )
        for door, probe in several.items()
    }
    return {door: lag for door, lag in found.items() if lag.behind}


def _place(probe: Probe, point: str) -> tuple[int, str]:
    return probe.activation.target.environment_id, point


def _keepers(probes: Collection[Probe]) -> Mapping[tuple[int, str], list[Target]]:
    environments = {probe.activation.target.environment_id for probe in probes}
    rows = Target.objects.filter(environment__in=environments).exclude(delivery=Delivery.REMOVED)
    found: defaultdict[tuple[int, str], list[Target]] = defaultdict(list)
    for row in (row for row in rows.select_related("environment").order_by("slug") if row.is_kept):
        found[row.environment_id, row.point].append(row)
    return found


def _holding(probes: Collection[Probe], keepers: Mapping[tuple[int, str], list[Target]]) -> set[tuple[int, str]]:
    """Which keeper has which service as its business."""
    services = {probe.service for probe in probes}
    everyone = {one.pk: one for rows in keepers.values() for one in rows}
    return {(one.pk, service) for one in everyone.values() for service in held_of(one, services)}


def _shown(grants: Collection[str]) -> Mapping[tuple[str, str, int], _Shown]:
    """The last question about each grant's door at each target, and what came of it."""
    rows = (
        Probe.objects.filter(grant_id__in=grants, stranger="")
        .exclude(state=ProbeState.DROPPED)
        .order_by("grant_id", "point", "activation__target", "-pk")
        .distinct("grant_id", "point", "activation__target")
    )
    columns = rows.values_list("grant_id", "point", "activation__target", "expect", "state", "attempts")
    return {
        (grant, point, target): _Shown(expect, state, attempts)
        for grant, point, target, expect, state, attempts in columns
    }


def _lag(keepers: Collection[Target], shown: Mapping[int, _Shown], expect: str, patience: int) -> Lag:
    behind, without, failing = [], [], []
    for one in keepers:
        said = shown.get(one.pk)
        if said is not None and said.expect == expect and said.state == ProbeState.PASSED:
            continue
        behind.append(one.name)
        if said is None or said.expect != expect or said.state == ProbeState.WAITING:
            without.append(one.name)
        elif said.state == ProbeState.FAILING and said.attempts >= patience:
            failing.append(one.name)
    return Lag(tuple(behind), tuple(without), tuple(failing))
