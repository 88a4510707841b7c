"""The access graph: everything the decision depends on, frozen, with no database behind it.

Times are whole seconds since the Unix epoch (UTC). Ids are opaque, stable strings. Collections are tuples or
frozensets so that a graph can be hashed, compared and compiled twice to the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

WHOLE = 100
"""Percent: a traffic rule is about all of its callers."""


class SubjectKind(StrEnum):
    PERSON = "person"
    TEAM = "team"
    WORKLOAD = "workload"
    AGENT = "agent"
    PARTY = "party"


NO_CALLERS = frozenset({SubjectKind.TEAM, SubjectKind.PARTY})
"""A team acts through its members; an outside party is known by its addresses only, and has no token."""


class Point(StrEnum):
    """A door: where a Policy Enforcement Point stands."""

    EDGE = "edge"
    MESH = "mesh"


@dataclass(frozen=True, slots=True)
class Variant:
    """Another version of a service, beside the usual one: the port where it answers behind the same sidecar.

    ``origin``, where there is one, is the id of a conditional origin of the edge's property: the edge sends calls for
    this version there, rather than to the property's usual origin.
    """

    name: str
    upstream_port: int
    origin: str = ""


class Breaker(NamedTuple):
    """After ``errors`` answers of 500 and above within ``seconds`` no call is let through for ``seconds``."""

    errors: int
    seconds: int

    @property
    def words(self) -> str:
        """``for 30 s after 5 errors within 30 s``."""
        return f"for {self.seconds} s after {self.errors} error{'s' * (self.errors != 1)} within {self.seconds} s"


@dataclass(frozen=True, slots=True)
class TrafficRule:
    """How calls of ``subject`` (a team: of each active member) to ``routes`` are treated from ``starts_at`` on.

    ``percent`` of those concerned are meant, always the same ones. What a rule does not speak of it leaves alone: an
    empty ``variant`` routes nowhere else, ``calls_per_minute`` None limits nothing. A limit counts each caller apart;
    a ``breaker`` counts the failures of all callers that the rule is about together, and of each version apart.
    """

    id: str
    subject: str
    service: str
    routes: frozenset[str]
    points: frozenset[Point]
    starts_at: int
    ends_at: int | None = None
    percent: int = WHOLE
    variant: str = ""
    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    calls_per_minute: int | None = None
    breaker: Breaker | None = None

    @property
    def headers(self) -> dict[str, str | None]:
        """By name the value it gets; None for one that is taken away."""
        return {**dict.fromkeys(self.remove_headers), **dict(self.set_headers)}


@dataclass(frozen=True, slots=True)
class Subject:
    """Who acts. ``id`` is ``<kind>:<name>``, e.g. ``person:ada`` or ``workload:spiffe://shop.test/ns/shop/sa/cart``.

    ``active`` is false for a suspended subject, and for an agent whose owner is suspended.
    ``teams`` holds the ids of the teams it belongs to (empty for a team).
    ``calls_per_minute`` None is no limit.
    """

    id: str
    kind: SubjectKind
    name: str = ""
    active: bool = True
    teams: frozenset[str] = frozenset()
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One thing a service does: a set of methods on one path template.

    ``template`` starts with ``/``; a segment is a literal or a whole ``{parameter}``. See ``paths`` for its meaning.
    """

    id: str
    methods: frozenset[str]
    template: str


@dataclass(frozen=True, slots=True)
class EdgeExposure:
    """Reachable from outside as ``https://<host><base_path>``; ``base_path`` is ``""`` or ``/x``, no trailing slash."""

    host: str
    base_path: str = ""


class Protocol(StrEnum):
    """What is spoken at a port in the mesh: HTTP, or plain TCP, of which nothing is known but that one connects."""

    HTTP = "http"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class MeshExposure:
    """Reachable inside: the workload identity (SPIFFE id) that answers, and the port its sidecar listens on.

    Plain TCP has no sidecar of ours: both ports are the application's.
    """

    namespace: str
    workload: str
    port: int
    upstream_port: int
    protocol: Protocol = Protocol.HTTP


@dataclass(frozen=True, slots=True)
class Service:
    id: str
    name: str
    routes: tuple[Route, ...] = ()
    edge: EdgeExposure | None = None
    mesh: MeshExposure | None = None
    variants: tuple[Variant, ...] = ()

    @property
    def is_tcp(self) -> bool:
        return self.mesh is not None and self.mesh.protocol is Protocol.TCP


@dataclass(frozen=True, slots=True)
class Grant:
    """``subject`` may call ``routes`` of ``service`` through ``points`` from ``starts_at`` to before ``ends_at``.

    ``ends_at`` None means standing access. A grant to a team is a grant to each of its active members.
    """

    id: str
    subject: str
    service: str
    routes: frozenset[str]
    points: frozenset[Point]
    starts_at: int
    ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A hard denial that no grant overrides. An empty selector set matches everything.

    ``kinds`` and ``subjects`` are alternatives (either match is a match); both empty means every subject.
    ``subjects`` may name a team: its members are meant.
    """

    id: str
    sentence: str
    kinds: frozenset[SubjectKind] = frozenset()
    subjects: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    points: frozenset[Point] = frozenset()


class Cause(StrEnum):
    """Why a subject is turned away whatever it holds, the strongest first."""

    SUSPENDED = "suspended"
    REVOKED = "revoked"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Denial:
    """``subject`` is turned away until before ``until``, whether it calls itself or acts for somebody.

    ``issued_until`` None means whatever it shows; else only tokens made out at or before that second. It ends by
    itself, because by then no token is left that was given out before it. ``services`` are those that may hear a
    token of the subject at all; empty means every one.
    """

    subject: str
    cause: Cause
    until: int
    issued_until: int | None = None
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccessGraph:
    """The whole policy at one moment. Mappings are keyed by id."""

    subjects: Mapping[str, Subject] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    denials: tuple[Denial, ...] = ()
    traffic: tuple[TrafficRule, ...] = ()
