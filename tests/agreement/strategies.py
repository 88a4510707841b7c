"""Small adversarial estates, and calls against them, for the agreement tests of every enforcer.

A ``Situation`` is one graph and the product of a handful of callers, addresses, methods and moments: hypothesis draws
and shrinks the handful, the product makes the many cases. Pools are small on purpose, so that things collide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

from hypothesis import strategies as st

from apps.compiler.graph import (
    AccessGraph,
    Cause,
    Denial,
    EdgeExposure,
    Grant,
    Guardrail,
    MeshExposure,
    Point,
    Route,
    Service,
    Subject,
    SubjectKind,
)
from apps.compiler.paths import METHODS
from tests.agreement.targets import HOSTILE_PATHS, PLAIN_PATHS

T0 = 1_800_000_000
"""The moment around which every grant starts, runs or ends."""

TRUST_DOMAIN = "shop.test"
TEAMS = ("team:red", "team:blue")
ACTORS = (
    "person:ada",
    "person:ben",
    "agent:bot",
    f"workload:spiffe://{TRUST_DOMAIN}/ns/shop/sa/cart",
    f"workload:spiffe://{TRUST_DOMAIN}/ns/shop/sa/front",
)
AGES = (0, 0, 1, 30, 31)
STRANGERS = ("person:eve", "agent:ada", "team:red", "nobody", "person:", "PERSON:ada")
SERVICE_IDS = ("payments", "cart", "odd.id")
EXPOSURES = (
    ("shop.test", ""),
    ("shop.test", "/pay"),
    ("shop.test", "/payments"),
    ("shop.test", "/payments/v1"),
    ("api.shop.test", "/payments"),
    ("api.shop.test", "/a"),
)
TEMPLATES = (
    "/",
    "/a",
    "/A",
    "/a/",
    "/a/b",
    "/a/{id}",
    "/{x}",
    "/{x}/",
    "/{x}/b",
    "/{x}/{y}",
    "/a/{id}/refunds",
    "/a/{id}/{what}",
    "/a.b",
    "/~a_b-c",
)
ODD_METHODS = ("get", "Post", "TRACE", "PROPFIND", "PURGE")


class TokenFault(StrEnum):
    """What is wrong with the token of a call, if anything. Each test signs or spoils its tokens accordingly."""

    NONE = "none"
    ABSENT = "absent"
    OTHER_SCHEME = "other_scheme"
    DUPLICATE = "duplicate"
    GARBAGE = "garbage"
    TWO_PARTS = "two_parts"
    EMPTY_SIGNATURE = "empty_signature"
    HEADER_NOT_AN_OBJECT = "header_not_an_object"
    OTHER_TYPE = "other_type"
    NO_TYPE = "no_type"
    ALG_NONE = "alg_none"
    ALG_HS256 = "alg_hs256"
    UNKNOWN_KID = "unknown_kid"
    NO_KID = "no_kid"
    OTHER_KEY = "other_key"
    TAMPERED = "tampered"
    DER_SIGNATURE = "der_signature"
    NO_SUBJECT = "no_subject"
    EMPTY_SUBJECT = "empty_subject"
    SUBJECT_NOT_TEXT = "subject_not_text"
    ACTOR_WITHOUT_A_NAME = "actor_without_a_name"
    ACTOR_NOT_AN_OBJECT = "actor_not_an_object"
    ACTOR_IS_NULL = "actor_is_null"
    NO_EXPIRY = "no_expiry"
    EXPIRY_IS_TEXT = "expiry_is_text"
    NO_ISSUED_AT = "no_issued_at"
    NO_AUDIENCE = "no_audience"
    WRONG_ISSUER = "wrong_issuer"
    FROM_THE_FUTURE = "from_the_future"
    NOT_BEFORE_LATER = "not_before_later"
    JUST_NOT_TOO_EARLY = "just_not_too_early"
    EXPIRED = "expired"
    JUST_EXPIRED = "just_expired"
    JUST_NOT_EXPIRED = "just_not_expired"
    WRONG_AUDIENCE = "wrong_audience"
    AUDIENCE_LIST = "audience_list"


class Carrier(StrEnum):
    """How a token comes to the edge: in a header, or as a browser's session, rightly or not.

    The last three are what a browser does not get from the console: a session that another one began, one that is bound
    to nobody, and one for another host.
    """

    HEADER = "header"
    SESSION = "session"
    BOTH = "both"
    OTHER_BROWSER = "other_browser"
    UNBOUND = "unbound"
    OTHER_HOST = "other_host"


class Page(StrEnum):
    """Whose page made the call, as the browser tells it."""

    SAME = "same"
    HIDDEN = "hidden"
    SIBLING = "sibling"
    STRANGER = "stranger"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Case:
    """One call. ``service`` answers at ``host`` + ``base`` (None: nobody does); ``path`` is what follows, as sent.

    ``bare``: what was sent is the base alone, which means the path ``/`` below it. ``actor`` acts for the subject.
    """

    subject: str
    method: str
    service: str | None
    host: str
    base: str
    path: str
    at: int
    fault: TokenFault = TokenFault.NONE
    bare: bool = False
    actor: str | None = None
    age: int = 0
    """Seconds since the token was made out."""
    carrier: Carrier = Carrier.HEADER
    page: Page = Page.SILENT

    @property
    def target(self) -> str:
        return self.base if self.bare else self.base + self.path


CARRIERS = (*[Carrier.HEADER] * 12, *[Carrier.SESSION] * 7, *Carrier)
PAGES = (*[Page.SAME] * 5, *Page)
"""Most say what lets them reach the decision."""


@dataclass(frozen=True, slots=True)
class Situation:
    graph: AccessGraph
    cases: tuple[Case, ...]


def actors() -> st.SearchStrategy[tuple[Subject, ...]]:
    return st.tuples(*(_actor(subject) for subject in ACTORS))


def _actor(subject: str) -> st.SearchStrategy[Subject]:
    return st.builds(
        Subject,
        id=st.just(subject),
        kind=st.just(SubjectKind(subject.partition(":")[0])),
        active=st.sampled_from((True, True, True, False)),
        teams=st.frozensets(st.sampled_from(TEAMS)),
    )


def teams() -> st.SearchStrategy[tuple[Subject, ...]]:
    active = st.sampled_from((True, True, True, False))
    return st.tuples(*(st.builds(Subject, id=st.just(t), kind=st.just(SubjectKind.TEAM), active=active) for t in TEAMS))


def methods() -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(METHODS), min_size=1, max_size=3)


@st.composite
def services(draw: st.DrawFn, first_port: int = 9101) -> tuple[Service, ...]:
    ids = draw(st.lists(st.sampled_from(SERVICE_IDS), min_size=1, max_size=3, unique=True))
    addresses = draw(st.permutations(EXPOSURES))
    return tuple(
        Service(
            id=service,
            name=service.title(),
            routes=draw(routes()),
            edge=EdgeExposure(*addresses[place]),
            mesh=MeshExposure(
                namespace="shop",
                workload=f"spiffe://{TRUST_DOMAIN}/ns/shop/sa/{service.replace('.', '-')}-server",
                port=first_port + place,
                upstream_port=first_port + 100 + place,
            ),
        )
        for place, service in enumerate(ids)
    )


@st.composite
def routes(draw: st.DrawFn) -> tuple[Route, ...]:
    templates = draw(st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=5))
    return tuple(Route(f"r{place}", draw(methods()), template) for place, template in enumerate(templates))


@st.composite
def grants(draw: st.DrawFn, place: int, among: Sequence[Service]) -> Grant:
    service = draw(st.sampled_from(among))
    names = [route.id for route in service.routes]
    return Grant(
        id=f"g{place}",
        subject=draw(st.sampled_from(ACTORS + TEAMS)),
        service=service.id,
        routes=draw(st.frozensets(st.sampled_from(names), min_size=1)),
        points=draw(st.frozensets(st.sampled_from(Point), min_size=1)),
        starts_at=T0 + draw(st.sampled_from((-1000, -10, 0, 10))),
        ends_at=draw(st.sampled_from((None, T0 - 5, T0, T0 + 5, T0 + 1000))),
    )


@st.composite
def guardrails(draw: st.DrawFn, place: int, among: Sequence[Service]) -> Guardrail:
    names = sorted({route.id for service in among for route in service.routes})
    return Guardrail(
        id=f"k{place}",
        sentence="Never.",
        kinds=draw(st.frozensets(st.sampled_from(SubjectKind), max_size=1)),
        subjects=draw(st.frozensets(st.sampled_from(ACTORS + TEAMS), max_size=2)),
        services=draw(st.frozensets(st.sampled_from([service.id for service in among]), max_size=1)),
        routes=draw(st.frozensets(st.sampled_from(names), max_size=1)),
        methods=draw(st.frozensets(st.sampled_from(METHODS), max_size=2)),
        points=draw(st.frozensets(st.sampled_from(Point), max_size=1)),
    )


@st.composite
def denials(draw: st.DrawFn, among: Sequence[Service]) -> Denial:
    """Over, running or just ending; of whatever is shown, or of tokens up to an age; known somewhere or everywhere."""
    issued = draw(st.sampled_from((None, T0 - 31, T0 - 30, T0 - 1, T0, T0 + 5)))
    return Denial(
        subject=draw(st.sampled_from(ACTORS)),
        cause=draw(st.sampled_from(Cause)),
        until=T0 + draw(st.sampled_from((-10, 0, 1, 10, 1000))),
        issued_until=issued,
        services=draw(st.frozensets(st.sampled_from([service.id for service in among]), max_size=2)),
    )


@st.composite
def graphs(draw: st.DrawFn, first_port: int = 9101) -> AccessGraph:
    people = draw(actors()) + draw(teams())
    estate = draw(services(first_port))
    return AccessGraph(
        subjects={subject.id: subject for subject in people},
        services={service.id: service for service in estate},
        grants=tuple(draw(grants(place, estate)) for place in range(draw(st.integers(0, 8)))),
        guardrails=tuple(draw(guardrails(place, estate)) for place in range(draw(st.integers(0, 2)))),
        denials=tuple(draw(denials(estate)) for _ in range(draw(st.integers(0, 3)))),
    )


def paths() -> st.SearchStrategy[str]:
    known = st.sampled_from(PLAIN_PATHS)
    return st.one_of(known, known, st.sampled_from(HOSTILE_PATHS), scrambled_paths())


def scrambled_paths() -> st.SearchStrategy[str]:
    """Paths put together from pieces that are harmless or not, in any order."""
    pieces = st.sampled_from(("/", "/", "a", "b", "7", ".", "..", "%2e", "%2F", "%61", "%25", ";", "%", "%C3%A9"))
    return st.lists(pieces, max_size=6).map(lambda chosen: "/" + "".join(chosen))


def paths_of(template: str) -> st.SearchStrategy[str]:
    """Paths that a template matches, some in disguise."""
    values = st.sampled_from(("7", "b", "refunds", "%61", "%C3%A9", "..."))
    parts = [values if part.startswith("{") else st.just(part) for part in template.split("/")]
    return st.tuples(*parts).map("/".join)


def moments(graph: AccessGraph) -> st.SearchStrategy[int]:
    """The seconds around which some grant of the graph starts or ends, and some others."""
    turns = {turn for grant in graph.grants for turn in (grant.starts_at, grant.ends_at) if turn is not None}
    turns |= {denial.until for denial in graph.denials}
    return st.sampled_from(sorted({T0 - 5000, T0, T0 + 5000} | turns | {turn - 1 for turn in turns}))


Address = tuple[str | None, str, str]
"""Service, host, base path."""


def addresses(graph: AccessGraph) -> list[Address]:
    return [(s.id, s.edge.host, s.edge.base_path) for s in graph.services.values() if s.edge is not None]


def case_at(graph: AccessGraph, case: Case) -> Case:
    """The same call, told in terms of the service that really answers there: the longest base of whole segments."""
    fitting = [
        (service, host, base)
        for service, host, base in addresses(graph)
        if host == case.host and f"{case.target}/".startswith(f"{base}/")
    ]
    if not fitting:
        return replace(case, service=None)
    service, _, base = max(fitting, key=lambda address: len(address[2]))
    below = case.target[len(base) :]
    return replace(case, service=service, base=base, path=below or "/", bare=below == "")


@st.composite
def tails(draw: st.DrawFn, graph: AccessGraph) -> list[str]:
    """Half of them lead somewhere."""
    templates = sorted({route.template for service in graph.services.values() for route in service.routes})
    known = st.sampled_from(templates).flatmap(paths_of)
    return draw(st.lists(known, min_size=4, max_size=4)) + draw(st.lists(paths(), min_size=5, max_size=5))


@st.composite
def situations(draw: st.DrawFn, first_port: int = 9101, *, faulty: int = 1) -> Situation:
    """One graph and some hundreds of cases; ``faulty`` token faults besides the good token (0 for none)."""
    graph = draw(graphs(first_port))
    doors = [*addresses(graph), (None, *draw(st.sampled_from(EXPOSURES)))]
    holders = [grant.subject for grant in graph.grants if grant.subject in ACTORS]
    callers = draw(st.lists(st.sampled_from((*holders, *ACTORS)), min_size=4, max_size=4))
    callers.append(draw(st.sampled_from(STRANGERS)))
    used = sorted(
        {method for service in graph.services.values() for route in service.routes for method in route.methods}
    )
    verbs = draw(st.lists(st.sampled_from((*used, *METHODS)), min_size=2, max_size=2))
    verbs.append(draw(st.sampled_from(METHODS + ODD_METHODS)))
    below = draw(tails(graph))
    times = draw(st.lists(moments(graph), min_size=2, max_size=2))
    found = [
        Case(caller, verb, service, host, base, tail, at)
        for caller, verb, (service, host, base), tail, at in product(callers, verbs, doors, below, times)
    ]
    acting = draw(st.lists(st.sampled_from((None, None, *holders, *ACTORS, *STRANGERS)), min_size=7, max_size=7))
    carried = draw(st.lists(st.sampled_from(CARRIERS), min_size=11, max_size=11))
    shown = draw(st.lists(st.sampled_from(PAGES), min_size=13, max_size=13))
    found = [
        replace(case, actor=acting[place % 7], age=AGES[place % 5], carrier=carried[place % 11], page=shown[place % 13])
        for place, case in enumerate(found)
    ]
    found.append(Case(callers[0], verbs[0], None, "nowhere.test", "", below[0], times[0]))
    faults = draw(st.lists(st.sampled_from(TokenFault), min_size=faulty, max_size=faulty, unique=True))
    service, host, base = doors[0]
    found += [replace(case, path="/", bare=True) for case in found[:: len(below)] if case.base]
    found += [
        Case(callers[0], verbs[0], service, host, base, tail, times[0], fault, carrier=carrier)
        for fault in faults
        for tail, carrier in zip(below[:3], (Carrier.HEADER, Carrier.SESSION, Carrier.HEADER), strict=True)
    ]
    return Situation(graph, tuple(dict.fromkeys(case_at(graph, case) for case in found)))
