"""Generated situations against real NGINX: how a case becomes a call, and what the reference says of it.

NGINX reads the real clock. So each moment of a situation becomes services of its own, whose grants keep their order
around now as they had it around that moment, only further apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from apps.compiler.decide import Action, Context, Decision, Pdp, Resource, kind_of, meet
from apps.compiler.graph import AccessGraph, Denial, Grant, MeshExposure, Point, Service, Subject, SubjectKind
from apps.compiler.paths import segments
from apps.compiler.reasons import Reason
from apps.compiler.surroundings import MeshSurroundings
from apps.compiler.tokens import CONTEXT_TOKEN_TYPE, Expected, check
from tests.agreement.forge import Claims, Forge, KeyPair, acted
from tests.agreement.strategies import TRUST_DOMAIN, Case, TokenFault

DOMAIN = f"spiffe://{TRUST_DOMAIN}/ns/shop/sa"
INGRESS, EDGE, SERVER = f"{DOMAIN}/ingress", f"{DOMAIN}/edge", f"{DOMAIN}/server"
CALLERS = (f"{DOMAIN}/cart", f"{DOMAIN}/front")
ISSUER, AUDIENCE = "edge:test", "mesh:test"
FORGE = Forge(KeyPair.of("context-1", 0x3333), KeyPair.of("context-1", 0x4444), CONTEXT_TOKEN_TYPE)
EXPECTED = Expected(CONTEXT_TOKEN_TYPE, ISSUER, AUDIENCE)
STRETCH = 1000
ANCIENT = 1_000_000_000
"""The second that stands for every moment where only the ages of tokens are compared."""

MOST_SERVICES = 6

_ROOM = {TokenFault.JUST_NOT_EXPIRED: 3, TokenFault.FROM_THE_FUTURE: 3, TokenFault.NOT_BEFORE_LATER: 3}
"""Seconds by which a token that sits on an edge is moved off it: the clock goes on between forging and reading."""


def surroundings(ingress_port: int, identities: Mapping[str, str]) -> MeshSurroundings:
    return MeshSurroundings(
        mesh_id="test",
        console_url="https://console.shop.test",
        ingress_port=ingress_port,
        ingress_workload=INGRESS,
        edge_workload=EDGE,
        context_keys=(FORGE.key.verifying,),
        context_issuer=ISSUER,
        context_audience=AUDIENCE,
        identities=identities,
    )


@dataclass(frozen=True)
class Layout:
    """Where the services of a situation are: one set of them per moment."""

    moments: tuple[int, ...]
    services: tuple[str, ...]
    ports: tuple[int, ...]

    def name(self, service: str, at: int) -> str:
        return f"{service}-t{self.moments.index(at)}"

    def host(self, host: str, at: int) -> str:
        return f"t{self.moments.index(at)}.{host}"

    def port(self, service: str, at: int) -> int:
        return self.ports[self.moments.index(at) * len(self.services) + self.services.index(service)]


def lay_out(graph: AccessGraph, cases: Iterable[Case], ports: tuple[int, ...]) -> Layout:
    return Layout(tuple(sorted({case.at for case in cases})), tuple(graph.services), ports)


def as_of_now(graph: AccessGraph, layout: Layout, upstream_port: int, now: int) -> AccessGraph:
    """One graph that means today what ``graph`` means at each of the moments."""
    services = [
        _moved(service, layout, at, upstream_port) for at in layout.moments for service in graph.services.values()
    ]
    guardrails = tuple(
        replace(g, services=frozenset(layout.name(s, at) for s in g.services for at in layout.moments))
        for g in graph.guardrails
    )
    grants = tuple(_shifted(grant, layout, at, now) for at in layout.moments for grant in graph.grants)
    denials = tuple(_denied_as_of(denial, layout, at, now) for at in layout.moments for denial in graph.denials)
    return AccessGraph(graph.subjects, {service.id: service for service in services}, grants, guardrails, denials)


def _moved(service: Service, layout: Layout, at: int, upstream_port: int) -> Service:
    assert service.edge is not None
    return replace(
        service,
        id=layout.name(service.id, at),
        edge=replace(service.edge, host=layout.host(service.edge.host, at)),
        mesh=MeshExposure("shop", SERVER, layout.port(service.id, at), upstream_port),
    )


def _shifted(grant: Grant, layout: Layout, at: int, now: int) -> Grant:
    return replace(
        grant,
        service=layout.name(grant.service, at),
        starts_at=_apart(grant.starts_at - at, now),
        ends_at=None if grant.ends_at is None else _apart(grant.ends_at - at, now),
    )


def _denied_as_of(denial: Denial, layout: Layout, at: int, now: int) -> Denial:
    issued = denial.issued_until
    return replace(
        denial,
        services=frozenset(layout.name(service, at) for service in denial.services or layout.services),
        until=_apart(denial.until - at, now),
        issued_until=None if issued is None else ANCIENT + (issued - at) * STRETCH,
    )


def _apart(distance: int, now: int) -> int:
    """Before or at the moment becomes long ago, after it becomes long from now, in the same order."""
    return now + distance * STRETCH + (STRETCH if distance > 0 else -STRETCH)


class Reference:
    """What the mesh must answer. Like the edge it knows who holds what, not who exists."""

    def __init__(self, graph: AccessGraph) -> None:
        self._graph = graph
        self._pdps: dict[str, Pdp] = {}

    def at_sidecar(self, case: Case, fault: Reason | None, *, shown: bool = True) -> Decision:
        """``shown``: with a token, not by the certificate alone."""
        if fault is not None:
            return Decision(False, fault)
        issued = case.at - case.age if shown else None
        decision = self._of(case, case.subject, issued)
        return decision if case.actor is None else meet(decision, self._of(case, case.actor, issued))

    def _of(self, case: Case, subject: str, issued: int | None) -> Decision:
        who = self._who(subject)
        if who.kind is SubjectKind.TEAM:
            return Decision(False, Reason.UNKNOWN_SUBJECT)
        assert case.service is not None
        resource = Resource(case.service, case.path)
        return self._pdp(who).decide(who.id, Action(case.method), resource, Context(Point.MESH, issued), case.at)

    def at_ingress(self, case: Case, fault: Reason | None) -> Decision:
        """The ingress and, behind it, the sidecar. NGINX forwards no TRACE, so the ingress has the last word on it."""
        if case.service is None:
            return Decision(False, Reason.NO_SERVICE)
        if segments(case.path) is None:
            return Decision(False, Reason.BAD_PATH)
        if case.method == "TRACE":
            return Decision(False, fault or Reason.NO_ROUTE)
        return self.at_sidecar(case, fault)

    def _who(self, subject: str) -> Subject:
        return self._graph.subjects.get(subject) or Subject(subject, kind_of(subject), active=False)

    def _pdp(self, who: Subject) -> Pdp:
        if who.id not in self._pdps:
            subjects = {**self._graph.subjects, who.id: replace(who, active=True)}
            grants = self._graph.grants if who.active else ()
            self._pdps[who.id] = Pdp(replace(self._graph, subjects=subjects, grants=grants))
        return self._pdps[who.id]


@dataclass(frozen=True)
class Tokens:
    """The values of the Txn-Token headers of a call, and what is wrong with them."""

    values: tuple[str, ...]
    fault: Reason | None


def tokens(case: Case, service: str) -> Tokens:
    at = int(time.time()) + _ROOM.get(case.fault, 0)
    context: Claims = {"svc": service, "gr": ["g0"], "iat": ANCIENT - case.age * STRETCH}
    claims: Claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": case.subject, "iat": at, "exp": at + 60, "tctx": context}
    made = FORGE.make(acted(claims, case.actor), case.fault, at)
    values = tuple(value.partition(" ")[2] for value in made.values)
    if made.presented is None:
        return Tokens(values, Reason.EDGE_TOKEN_ABSENT)
    if len(values) > 1:
        return Tokens(values, Reason.DUPLICATE_TOKEN)
    return Tokens(values, check(made.presented, EXPECTED, time.time()))
