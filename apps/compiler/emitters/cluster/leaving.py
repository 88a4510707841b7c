"""From NGINX Service Mesh to a door of ours beside each service: what is equal, what is gained, what has to be seen to.

What the mesh does today is told from what is compiled for it; what a door does is decide(). Recorded calls are asked of
both, so that nobody is shut out by surprise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.compiler.decide import Action, Context, Decision, Pdp, Resource
from apps.compiler.emitters.cluster.objects import (
    asked_at_ingress,
    caller_account,
    has_doors,
    ingress_account,
    opened,
    openings,
    server_account,
    unseen,
)
from apps.compiler.emitters.cluster.treatments import running
from apps.compiler.graph import AccessGraph, Point, Service, SubjectKind
from apps.compiler.impact import Call
from apps.compiler.paths import matches, ranked, segments
from apps.compiler.reasons import TEXTS
from apps.compiler.surroundings import ClusterSurroundings
from apps.compiler.words import listed


class Verdict(StrEnum):
    EQUAL = "equal"
    GAINED = "gained"
    TO_DO = "to_do"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing the mesh does for a service today, and what becomes of it."""

    name: str
    today: str
    after: str
    verdict: Verdict


def aspects(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Aspect, ...]:
    """In the order in which somebody would ask. ``graph`` may be the service's slice."""
    if service.is_tcp:
        return (_connections(graph, service, surroundings), _other_ports(surroundings), _ends())
    return (
        _access(graph, service, surroundings),
        _reasons(),
        _callers(graph, service, surroundings),
        *_protocols(graph, service, surroundings),
        *_outsiders(graph, service, surroundings),
        *_treatments(graph, service, surroundings),
        _other_ports(surroundings),
        _ends(),
    )


def _connections(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Aspect:
    accounts = {opening.account for opening in openings(graph, service, surroundings)}
    today = f"A TCPRoute, and a TrafficTarget for each of {len(accounts)} accounts, which prove who they are."
    if "networkpolicy" in surroundings.emitters:
        after = "A door speaks HTTP only. The NetworkPolicy stays: it knows pods by their label, not by a certificate."
        return Aspect("Who may connect", today, after, Verdict.LOST)
    after = "A door speaks HTTP only, and nothing else here says who may connect: choose NetworkPolicy first."
    return Aspect("Who may connect", today, after, Verdict.LOST)


def _access(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Aspect:
    after = "The same grants, checked by the door beside the service."
    if server_account(service, surroundings) is None:
        open_today = surroundings.access_control == "allow"
        today = "No targets: the mesh cannot see who answers, so " + (
            "anybody in it calls." if open_today else "nobody calls."
        )
        return Aspect("Who may call which route", today, after, Verdict.GAINED)
    accounts = {opening.account for opening in openings(graph, service, surroundings)}
    each = "one account" if len(accounts) == 1 else f"each of {len(accounts)} accounts"
    today = f"A TrafficTarget for {each}." if accounts else "A target that lets nobody in."
    kept_out = unseen(graph, service, surroundings)
    if kept_out:
        after = f"The same grants, and those of {listed(kept_out)}, which the mesh cannot see."
        return Aspect("Who may call which route", today, after, Verdict.GAINED)
    return Aspect("Who may call which route", today, after, Verdict.EQUAL)


def _reasons() -> Aspect:
    today = "403 and nothing else, for a person as for a log."
    return Aspect("Why a call was refused", today, "A reason, a way to ask, and a line under Live.", Verdict.GAINED)


def _callers(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Aspect:
    """What a pod sends is secured by the NGINX beside it, so callers need one too."""
    accounts = sorted({opening.account for opening in openings(graph, service, surroundings)})
    names = listed(f"{one.namespace}/{one.name}" for one in accounts[:5])
    more = f" and {len(accounts) - 5} more" if len(accounts) > 5 else ""
    today = f"The mesh encrypts by itself ({surroundings.mtls}); callers speak plain HTTP."
    if not accounts:
        return Aspect("How callers prove who they are", today, "Nobody calls, so nobody has to.", Verdict.EQUAL)
    after = f"The sidecar beside a caller does, for the services it is told of: {names}{more}."
    return Aspect("How callers prove who they are", today, after, Verdict.TO_DO)


def _protocols(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Aspect]:
    if any(openings(graph, service, surroundings)):
        after = "A door and the sidecar of a caller speak HTTP/1.1 only: leave such ports to a NetworkPolicy."
        yield Aspect("gRPC and plain TCP between pods", "The mesh carries them.", after, Verdict.LOST)


def _outsiders(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Aspect]:
    if service.edge is None:
        return
    asks = asked_at_ingress(surroundings)
    today = "The ingress asks our verifier." if asks else "The ingress passes for all of them; nobody asks who it is."
    name = "People and agents from outside"
    if "gateway" in surroundings.emitters:
        after = "Gateway Fabric shows a door no certificate and is turned away: keep NGINX Ingress Controller."
        yield Aspect(name, today, after, Verdict.LOST)
    elif has_doors(surroundings):
        yield Aspect(name, today, "The door asks as well, with the token the edge sent.", Verdict.GAINED)
    else:
        after = "The door turns the ingress away until it shows a certificate: set the cluster's upstream TLS secret."
        yield Aspect(name, today, after, Verdict.TO_DO)


def _treatments(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Aspect]:
    rules = running(graph, service, surroundings)
    if any(rule.variant for rule in rules):
        after = "Drawn by caller: the same one always meets the same version."
        yield Aspect("Versions", "Drawn anew at each call.", after, Verdict.GAINED)
    if any(rule.calls_per_minute is not None for rule in rules):
        today = "Counted by each pod of the service."
        yield Aspect("Calls a minute", today, "Counted by each door, for each caller.", Verdict.EQUAL)
    if any(rule.breaker is not None for rule in rules):
        today = "A CircuitBreaker, for a rule about everybody and the whole service: each caller's sidecar counts."
        after = "The door beside the service counts every answer of 500 and above, of all callers."
        yield Aspect("Leaving a failing service alone", today, after, Verdict.GAINED)


def _other_ports(surroundings: ClusterSurroundings) -> Aspect:
    today = "The mesh's sidecar takes every connection to the pod."
    if "networkpolicy" in surroundings.emitters:
        after = "The door takes the application's port; the service's NetworkPolicy shuts the others."
        return Aspect("Other ports of the pod", today, after, Verdict.EQUAL)
    after = "The door takes the application's port only: choose NetworkPolicy for this cluster to shut the others."
    return Aspect("Other ports of the pod", today, after, Verdict.TO_DO)


def _ends() -> Aspect:
    today = "When the console takes the object back."
    return Aspect("When access ends", today, "On the second, with the console down as well.", Verdict.GAINED)


class Mesh:
    """What is decided today about calls to one service: by account and route, and at the ingress if that asks."""

    def __init__(self, graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> None:
        self._service, self._surroundings, self._pdp = service, surroundings, Pdp(graph)
        self._routes = ranked(service.routes)
        self._held = opened(graph, service, surroundings)

    def allows(self, call: Call) -> bool:
        if server_account(self._service, self._surroundings) is None:
            return self._surroundings.access_control == "allow"
        route = self._route(call.method, call.path)
        if call.subject.startswith(f"{SubjectKind.WORKLOAD}:"):
            account = caller_account(call.subject, self._surroundings)
            return account is not None and (route, call.method) in self._held.get(account, ())
        through = (route, call.method) in self._held.get(ingress_account(self._surroundings), ())
        return through and (not asked_at_ingress(self._surroundings) or at_door(self._pdp, call).allowed)

    def _route(self, method: str, path: str) -> str:
        parts = segments(path)
        found = (
            route.id
            for template, route in self._routes
            if parts is not None and method in route.methods and matches(template, parts)
        )
        return next(found, "")


def at_door(pdp: Pdp, call: Call) -> Decision:
    """What is decided at the service itself, whoever let the call through before."""
    resource = Resource(call.service, call.path)
    return pdp.decide(call.subject, Action(call.method), resource, Context(Point.MESH), call.at)


@dataclass(frozen=True, slots=True)
class Difference:
    """A call that fares otherwise behind a door. Similar ones are only counted."""

    call: Call
    after: Decision
    times: int

    @property
    def why(self) -> str:
        return TEXTS[self.after.reason].sentence


@dataclass(frozen=True, slots=True)
class Replay:
    """``denied``: let in today and refused behind the door; ``allowed``: the reverse."""

    calls: int
    denied: tuple[Difference, ...]
    allowed: tuple[Difference, ...]

    @property
    def newly_denied(self) -> int:
        return sum(one.times for one in self.denied)

    @property
    def newly_allowed(self) -> int:
        return sum(one.times for one in self.allowed)


def replay(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings, calls: Iterable[Call]) -> Replay:
    """Recorded calls to the service, asked of the mesh and of the door, both at the moment compiled for."""
    mesh, pdp, count = Mesh(graph, service, surroundings), Pdp(graph), 0
    found: dict[bool, dict[tuple[str, str, str], Difference]] = {True: {}, False: {}}
    for call in calls:
        count += 1
        after = at_door(pdp, call)
        if mesh.allows(call) != after.allowed:
            alike, among = (call.subject, call.method, after.route or call.path), found[after.allowed]
            seen = among.get(alike)
            among[alike] = Difference(call, after, 1) if seen is None else Difference(seen.call, after, seen.times + 1)
    return Replay(count, _commonest(found[False]), _commonest(found[True]))


def _commonest(found: Mapping[tuple[str, str, str], Difference]) -> tuple[Difference, ...]:
    return tuple(sorted(found.values(), key=lambda one: (-one.times, one.call.subject, one.call.path)))
