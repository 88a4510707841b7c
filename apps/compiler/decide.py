"""The reference Policy Decision Point: may this subject do this, here, now, and why (not)?

Every enforcer is compiled from the same graph and must agree with this module. Deny by default; guardrails beat grants,
and a denial beats everything but a path nobody understands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from apps.compiler.denials import by_subject, reason_of, standing
from apps.compiler.graph import (
    NO_CALLERS,
    AccessGraph,
    Denial,
    Grant,
    Guardrail,
    Point,
    Route,
    Service,
    Subject,
    SubjectKind,
)
from apps.compiler.paths import Template, matches, ranked, segments
from apps.compiler.reasons import Reason


@dataclass(frozen=True, slots=True)
class Action:
    method: str


@dataclass(frozen=True, slots=True)
class Resource:
    """``path`` is the path of the request target as received, below the exposure's base path, without query."""

    service: str
    path: str


@dataclass(frozen=True, slots=True)
class Context:
    """``issued`` is when the caller's token was made out; None where it shows none, as a workload in the mesh."""

    point: Point
    issued: float | None = None


class Decision(NamedTuple):
    """``grant_ids`` are the grants the reason speaks of: those that allow, have not started, or have ended.

    ``limits`` is what the door owes when it lets the call in: to count it for these subjects, each with the calls it
    may make in a minute, and to refuse it as ``rate_limited`` beyond that. A door that cannot count leaves it.

    A tuple because a ``Pdp`` makes one for every question.
    """

    allowed: bool
    reason: Reason
    grant_ids: tuple[str, ...] = ()
    route: str | None = None
    guardrail: str | None = None
    limits: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Entitlement:
    """``subject`` may call ``methods`` of ``route`` through ``point`` by ``grant_ids``, the last until ``ends_at``."""

    subject: str
    route: str
    methods: frozenset[str]
    point: Point
    grant_ids: tuple[str, ...]
    ends_at: int | None


def decide(graph: AccessGraph, subject: str, action: Action, resource: Resource, context: Context, at: int) -> Decision:
    """One decision. To take many on the same graph build a ``Pdp`` once."""
    return Pdp(graph).decide(subject, action, resource, context, at)


def stands(guardrail: Guardrail, route: Route, method: str, point: Point) -> bool:
    """Whether the guardrail stands across this method of a route at this point, for whomever it concerns."""
    return (
        _selected(guardrail.routes, route.id)
        and _selected(guardrail.methods, method)
        and _selected(guardrail.points, point)
    )


def guards(guardrail: Guardrail, who: Subject) -> bool:
    """Whether the guardrail concerns ``who``."""
    if not guardrail.kinds and not guardrail.subjects:
        return True
    return who.kind in guardrail.kinds or who.id in guardrail.subjects or not guardrail.subjects.isdisjoint(who.teams)


def open_methods(
    guardrails: Iterable[Guardrail], who: Subject, service: str, route: Route, point: Point
) -> frozenset[str]:
    """The methods of a route that no guardrail takes from ``who`` at a door, whatever was granted."""
    mine = [g for g in guardrails if guards(g, who) and _selected(g.services, service)]
    return frozenset(method for method in route.methods if not any(stands(g, route, method, point) for g in mine))


def _selected(selector: frozenset[str] | frozenset[Point], value: str) -> bool:
    return not selector or value in selector


def weigh(grants: Sequence[Grant], at: int) -> tuple[Reason, tuple[str, ...]]:
    """What a set of matching grants amounts to at a moment: the best of running, coming, ended, none."""
    if not grants:
        return Reason.NO_GRANT, ()
    running = [one.id for one in grants if one.starts_at <= at and (one.ends_at is None or at < one.ends_at)]
    if running:
        return Reason.GRANTED, tuple(sorted(running))
    coming = [one.id for one in grants if at < one.starts_at]
    if coming:
        return Reason.GRANT_NOT_STARTED, tuple(sorted(coming))
    return Reason.GRANT_EXPIRED, tuple(sorted(one.id for one in grants))


def meet(subject: Decision, actor: Decision) -> Decision:
    """Somebody acts for somebody else: both must be let in, and the grants of both are what it rests on.

    The subject's refusal is told before the actor's.
    """
    if not subject.allowed or not actor.allowed:
        return actor if subject.allowed else subject
    grants = tuple(sorted({*subject.grant_ids, *actor.grant_ids}))
    return Decision(True, Reason.GRANTED, grants, subject.route, limits=(*subject.limits, *actor.limits))


class Pdp:
    """A graph indexed for many decisions: one pass over the grants, after which a decision does not slow with them."""

    def __init__(self, graph: AccessGraph) -> None:
        self._graph = graph
        self._grants: dict[str, list[Grant]] = defaultdict(list)
        for grant in graph.grants:
            self._grants[grant.service].append(grant)
        self._holders: dict[str, tuple[str, ...]] = {}
        # By point and then by service: an enum is slow to hash, so it must not be part of a key.
        self._edge: dict[str, _Desk] = {}
        self._mesh: dict[str, _Desk] = {}

    def decide(self, subject: str, action: Action, resource: Resource, context: Context, at: int) -> Decision:
        """A team calls nobody itself, and a party has no token: as callers they are nobody."""
        who = self._graph.subjects.get(subject)
        desk = self._desk(resource.service, context.point)
        if who is None or not who.active or who.kind in NO_CALLERS:
            denial = None if desk is None else desk.denial(subject, at, context.issued)
            return Decision(False, Reason.UNKNOWN_SUBJECT if denial is None else reason_of(denial))
        if desk is None:
            return Decision(False, Reason.NO_SERVICE)
        return desk.decide(who, self._holders_of(who), action.method, resource.path, at, context.issued)

    def decide_at_door(
        self, subject: str, action: Action, resource: Resource, point: Point, at: int, issued: float | None = None
    ) -> Decision:
        """The same question as a door can answer it: it knows who holds what, not who exists.

        A subject that is unknown or suspended is therefore one without grants; guardrails still see its kind and id.
        """
        who = self._graph.subjects.get(subject) or Subject(subject, kind_of(subject))
        if who.kind in NO_CALLERS:
            return Decision(False, Reason.UNKNOWN_SUBJECT)
        desk = self._desk(resource.service, point)
        if desk is None:
            return Decision(False, Reason.NO_SERVICE)
        holders = self._holders_of(who) if who.active else ()
        return desk.decide(who, holders, action.method, resource.path, at, issued)

    def entitlements(self, service: str, at: int) -> tuple[Entitlement, ...]:
        """Who may call which route of the service at a moment, teams expanded, guardrails and denials applied."""
        desks = [desk for point in Point if (desk := self._desk(service, point)) is not None]
        actors = [who for who in self._graph.subjects.values() if who.active and who.kind not in NO_CALLERS]
        pairs = product(actors, desks)
        found = [row for who, desk in pairs for row in desk.entitlements(who, self._holders_of(who), at)]
        return tuple(sorted(found, key=lambda row: (row.subject, row.route, row.point)))

    def _holders_of(self, who: Subject) -> tuple[str, ...]:
        """The ids whose grants ``who`` may use: its own and its active teams'."""
        holders = self._holders.get(who.id)
        if holders is None:
            holders = (who.id, *(team for team in sorted(who.teams) if self._is_active_team(team)))
            self._holders[who.id] = holders
        return holders

    def _is_active_team(self, team: str) -> bool:
        found = self._graph.subjects.get(team)
        return found is not None and found.active and found.kind is SubjectKind.TEAM

    def _desk(self, service: str, point: Point) -> _Desk | None:
        desks = self._edge if point is Point.EDGE else self._mesh
        desk = desks.get(service)
        if desk is None and service in self._graph.services:
            grants = [grant for grant in self._grants.get(service, ()) if point in grant.points]
            denied = by_subject(self._graph.denials, service)
            desk = _Desk(self._graph.services[service], point, grants, self._graph.guardrails, denied)
            desks[service] = desk
        return desk


def kind_of(subject: str) -> SubjectKind:
    """The kind that a subject id speaks of. An id that speaks of none is taken for a team, which never acts."""
    kind, colon, _ = subject.partition(":")
    return _KINDS.get(kind + colon, SubjectKind.TEAM)


_KINDS = {f"{kind.value}:": kind for kind in SubjectKind}


class _Lane(NamedTuple):
    """One method of one route, with the guardrails that stand across it and the grants of the route by holder."""

    template: Template
    route: str
    guardrails: tuple[Guardrail, ...]
    held: dict[str, list[Grant]]


def _held_by(holders: tuple[str, ...], held: dict[str, list[Grant]]) -> list[Grant]:
    return [grant for holder in holders if holder in held for grant in held[holder]]


class _Desk:
    """Everything needed to decide about one service at one point."""

    def __init__(
        self,
        service: Service,
        point: Point,
        grants: Iterable[Grant],
        guardrails: Iterable[Guardrail],
        denied: Mapping[str, tuple[Denial, ...]],
    ) -> None:
        self._point = point
        self._denied = denied
        standing = sorted((g for g in guardrails if _selected(g.services, service.id)), key=lambda g: g.id)
        self._held: dict[str, dict[str, list[Grant]]] = defaultdict(lambda: defaultdict(list))
        for grant in grants:
            for route_id in grant.routes:
                self._held[route_id][grant.subject].append(grant)
        self._lanes: dict[tuple[str, int], list[_Lane]] = defaultdict(list)
        for template, route in ranked(service.routes):
            for method in sorted(route.methods):
                across = tuple(g for g in standing if stands(g, route, method, point))
                self._lanes[method, len(template)].append(_Lane(template, route.id, across, self._held[route.id]))

    def denial(self, subject: str, at: int, issued: float | None) -> Denial | None:
        return standing(self._denied.get(subject, ()), at, issued)

    def decide(
        self, who: Subject, holders: tuple[str, ...], method: str, path: str, at: int, issued: float | None
    ) -> Decision:
        parts = segments(path)
        if parts is None:
            return Decision(False, Reason.BAD_PATH)
        denial = self.denial(who.id, at, issued)
        if denial is not None:
            return Decision(False, reason_of(denial))
        lane = self._lane(method, parts)
        if lane is None:
            return Decision(False, Reason.NO_ROUTE)
        for guardrail in lane.guardrails:
            if guards(guardrail, who):
                return Decision(False, Reason.GUARDRAIL, (), lane.route, guardrail.id)
        reason, grant_ids = weigh(_held_by(holders, lane.held), at)
        if reason is not Reason.GRANTED:
            return Decision(False, reason, grant_ids, lane.route)
        limits = () if who.calls_per_minute is None else ((who.id, who.calls_per_minute),)
        return Decision(True, reason, grant_ids, lane.route, limits=limits)

    def entitlements(self, who: Subject, holders: tuple[str, ...], at: int) -> Iterator[Entitlement]:
        if self.denial(who.id, at, None) is not None:
            return
        methods: dict[str, set[str]] = defaultdict(set)
        for (method, _), lanes in self._lanes.items():
            for lane in lanes:
                if not any(guards(guardrail, who) for guardrail in lane.guardrails):
                    methods[lane.route].add(method)
        for route, open_methods in methods.items():
            grants = _held_by(holders, self._held[route])
            reason, grant_ids = weigh(grants, at)
            if reason is Reason.GRANTED:
                until = _latest_end(grant for grant in grants if grant.id in grant_ids)
                yield Entitlement(who.id, route, frozenset(open_methods), self._point, grant_ids, until)

    def _lane(self, method: str, parts: tuple[str, ...]) -> _Lane | None:
        for lane in self._lanes.get((method, len(parts)), ()):
            if matches(lane.template, parts):
                return lane
        return None


def _latest_end(grants: Iterable[Grant]) -> int | None:
    ends = [grant.ends_at for grant in grants]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def entitlements(graph: AccessGraph, service: str, at: int) -> tuple[Entitlement, ...]:
    """Who may call what of a service at a moment, and through which grants."""
    return Pdp(graph).entitlements(service, at)
