"""Leaving NGINX Service Mesh for an ingress that is still made and sidecars of ours: what is kept, and what is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from apps.compiler.decide import kind_of
from apps.compiler.emitters.cluster.objects import Account, Object
from apps.compiler.graph import AccessGraph, Grant, Subject
from apps.compiler.impact import Call, Impact, impact


class Fate(StrEnum):
    KEPT = "kept"
    LOST = "lost"


class Moved(NamedTuple):
    """One thing that objects of the mesh say. ``what`` is for people, ``now`` is who says it from then on."""

    what: str
    fate: Fate
    now: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Who may call whom, as targets of the mesh say it."""

    source: Account
    destination: Account


def pairs(objects: Iterable[Object]) -> frozenset[Pair]:
    """The pairs of accounts that TrafficTargets let through."""
    specs = [one["spec"] for one in objects if one["kind"] == "TrafficTarget"]
    return frozenset(
        Pair(_account(source), _account(spec["destination"])) for spec in specs for source in spec.get("sources", ())
    )


def _account(party: Any) -> Account:
    return Account(party["namespace"], party["name"])


def compare(
    before: Iterable[Object], after: Iterable[Object], *, ingress: Account, sidecars: bool
) -> tuple[Moved, ...]:
    """What becomes of all that the mesh's objects say. ``after`` are an ingress' objects; ``sidecars``: ours stand
    before the pods, compiled from the same policy.
    """
    old, new = tuple(before), tuple(after)
    return (*_callers(old, new, ingress, sidecars), *_treatments(old, new, sidecars))


def _callers(old: tuple[Object, ...], new: tuple[Object, ...], ingress: Account, sidecars: bool) -> Iterator[Moved]:
    asks = any(one["kind"] in {"VirtualServerRoute", "HTTPRoute"} for one in new)
    for pair in sorted(pairs(old), key=lambda pair: (pair.destination, pair.source)):
        from_outside = pair.source == ingress
        kept = asks if from_outside else sidecars
        who = "people and agents" if from_outside else f"{pair.source.namespace}/{pair.source.name}"
        what = f"{who} may call {pair.destination.namespace}/{pair.destination.name}"
        now = "the ingress, which asks the verifier" if from_outside else "a sidecar of ours"
        yield Moved(what, Fate.KEPT if kept else Fate.LOST, now if kept else "nobody")


def _treatments(old: tuple[Object, ...], new: tuple[Object, ...], sidecars: bool) -> Iterator[Moved]:
    splits = any("splits" in route for one in new for route in one.get("spec", {}).get("subroutes", ()))
    weights = any(
        "weight" in backend
        for one in new
        if one["kind"] == "HTTPRoute"
        for rule in one["spec"]["rules"]
        for backend in rule["backendRefs"]
    )
    for one in old:
        name = one["metadata"]["name"]
        if one["kind"] == "TrafficSplit":
            kept = splits or weights or sidecars
            yield Moved(
                f"the share of {one['spec']['service']}", _fate(kept), "the ingress or a sidecar" if kept else "nobody"
            )
        if one["kind"] == "RateLimit":
            yield Moved(f"the limit {name}", _fate(sidecars), "a sidecar of ours" if sidecars else "nobody")


def _fate(kept: bool) -> Fate:
    return Fate.KEPT if kept else Fate.LOST


def shut_out(passed: Iterable[Call], graph: AccessGraph) -> Impact:
    """Recorded calls that a mesh let pass, asked of the policy: ``newly_denied`` are those it would no longer let in.

    A mesh in ``allow`` mode lets everything pass that no target speaks of, so the policy is held against one in which
    every caller of these calls may do everything.
    """
    calls = tuple(passed)
    return impact(calls, _open_to(graph, calls), graph)


def _open_to(graph: AccessGraph, calls: tuple[Call, ...]) -> AccessGraph:
    callers = {call.subject for call in calls}
    subjects = {
        name: replace(graph.subjects.get(name) or Subject(name, kind_of(name)), active=True) for name in callers
    }
    grants = [
        Grant(
            f"open {subject} {call.service}",
            subject,
            call.service,
            _everything(graph, call.service),
            frozenset({call.point}),
            0,
        )
        for call in calls
        for subject in (call.subject,)
    ]
    return AccessGraph(
        subjects={**graph.subjects, **subjects}, services=graph.services, grants=tuple(dict.fromkeys(grants))
    )


def _everything(graph: AccessGraph, service: str) -> frozenset[str]:
    found = graph.services.get(service)
    return frozenset(route.id for route in found.routes) if found is not None else frozenset()
