"""What written lines mean: callers, services, routes and doors, each with how sure that is and why.

A handful of queries for all lines together. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apps.access import carriers
from apps.access import selectors as access
from apps.access.addresses import limits
from apps.access.asks import CONNECTING, default_points
from apps.catalog import selectors as catalog
from apps.catalog.selectors import Placed
from apps.compiler.address_lists import blocks_of
from apps.compiler.addresses import complaint, write
from apps.compiler.connections import CONNECT
from apps.compiler.graph import Point, Service, SubjectKind
from apps.compiler.paths import matches, parse_template, segments
from apps.firewall import methods
from apps.firewall.lines import Direction
from apps.firewall.live import Asked, load_live, wanted_until
from apps.firewall.matching import EXACT, Caller, Candidate, callers_for, services_for, settled
from apps.firewall.selectors.zones import get_matrix, place_of_caller, place_of_service
from apps.firewall.terms import Term, read_term
from apps.firewall.zoning import Cell, Matrix, ZoneView, members_words
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.firewall.models import FirewallLine, FirewallRequest
    from apps.identity.models import Subject

SPOKEN = frozenset({"", "any", "tcp", "6", "http", "https", "http2", "grpc", "tls"})
"""Protocols that a door of ours could let through: HTTP in the end, or a connection to a service of plain TCP."""
CONNECTIONS = frozenset({"", "any", "tcp", "6"})
ANYBODY = "Anybody is nobody: write who calls, because it is opened to somebody and for a time."
OUTBOUND = "It is marked outbound and comes from outside. Turn it round, or mark it inbound."
LEAVING = (
    "{0} is no service of the catalogue; what leaves for an address passes no door here. Guard it where it leaves."
)
ANYTHING = "Everything is too much: write which service is called."


@dataclass(frozen=True, slots=True)
class Book:
    """What lines are read against."""

    asker: Caller
    callers: tuple[Caller, ...]
    placed: tuple[Placed, ...]
    matrix: Matrix

    def place(self, slug: str) -> Placed:
        return next(one for one in self.placed if one.slug == slug)


@dataclass(slots=True)
class Reading:
    """A line while it is read. ``source`` and ``destination`` are the candidates, the likeliest first; ``method`` what
    its path may mean where it names none. ``all_routes`` are those of every method then.
    """

    line: FirewallLine
    terms: tuple[Term, Term]
    source: list[Candidate] = field(default_factory=list)
    destination: list[Candidate] = field(default_factory=list)
    method: list[Candidate] = field(default_factory=list)
    chosen: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    all_routes: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    opened: str = ""
    allowed_by: list[str] = field(default_factory=list)
    cell: Cell | None = None

    @property
    def caller(self) -> Candidate | None:
        return _taken(self.source, self.chosen.get("source", ""))

    @property
    def service(self) -> Candidate | None:
        return _taken(self.destination, self.chosen.get("destination", ""))

    @property
    def confidence(self) -> float:
        best = [found[0].confidence if found else 0.0 for found in (self.source, self.destination)]
        known = [one.confidence if one else rest for one, rest in zip((self.caller, self.service), best, strict=True)]
        return round(min(known), 3)

    @property
    def is_exact(self) -> bool:
        sides = all(one is not None and one.confidence >= EXACT for one in (self.caller, self.service))
        return sides and not self.asks_method

    @property
    def asks_method(self) -> bool:
        """No person said which method is meant."""
        return bool(self.method) and self.chosen.get(methods.SIDE, "") not in {one.key for one in self.method}

    def found(self) -> dict[str, object]:
        return {
            "source": [one.as_json() for one in self.source],
            "destination": [one.as_json() for one in self.destination],
            "method": [one.as_json() for one in self.method],
            "asks_method": self.asks_method,
            "reading": methods.taken(self.method, self.chosen.get(methods.SIDE, "")),
            "chosen": self.chosen,
            "open": self.opened,
        }


def _taken(candidates: Sequence[Candidate], chosen: str) -> Candidate | None:
    """What a person chose stands, as long as it is one of them; else what is sure."""
    picked = next((one for one in candidates if one.key == chosen), None)
    return picked or settled(candidates)


def interpret(request: FirewallRequest, lines: Sequence[FirewallLine], *, at: datetime) -> list[Reading]:
    """What each line means now."""
    matrix = get_matrix()
    readings = [_begun(line, matrix) for line in lines]
    book = _book(request, readings, matrix)
    for reading in readings:
        _name(reading, book)
    shapes = catalog.graph_services({one.key for r in readings if (one := r.service)}, request.environment.slug)
    carried = _carried(shapes.values(), request.environment.slug)
    for reading in readings:
        _route(reading, shapes, book, carried)
    _settle_open(request, readings, at)
    return readings


def _begun(line: FirewallLine, matrix: Matrix) -> Reading:
    meaning = getattr(line, "meaning", None)
    chosen: dict[str, str] = dict(meaning.found.get("chosen", {})) if meaning is not None else {}
    terms = (_network(read_term(line.source), matrix), read_term(line.destination))
    return Reading(line, terms, chosen=chosen)


def _network(term: Term, matrix: Matrix) -> Term:
    """The name of a zone of nothing but networks, such as ``office``, stands for their addresses."""
    if term.blocks or term.anybody:
        return term
    names = {term.plain, term.name.removesuffix(" network").removeprefix("the ")}
    found = (zone for zone in matrix.zones if names & {zone.slug, zone.name.lower()} and _only_networks(zone))
    zone = next(found, None)
    return term if zone is None else replace(term, blocks=zone.networks)


def _only_networks(zone: ZoneView) -> bool:
    return bool(zone.networks) and not (zone.services or zone.namespaces or zone.sensitivities or zone.kinds)


def _book(request: FirewallRequest, readings: Iterable[Reading], matrix: Matrix) -> Book:
    sources = [reading.terms[0] for reading in readings]
    words = {word for term in sources if not term.blocks for word in (term.name, term.plain, term.text.strip())}
    called = list(identity.list_called(words)) if words else []
    parties = _parties(request.asker) if any(term.blocks for term in sources) else []
    return Book(
        asker=_caller(request.asker),
        callers=(*(_caller(one) for one in called), *parties),
        placed=catalog.list_placed(request.environment.slug),
        matrix=matrix,
    )


def _caller(subject: Subject, blocks: Iterable[str] = ()) -> Caller:
    return Caller(subject.key, subject.kind, subject.name, subject.email, blocks_of(blocks))


def _parties(asker: Subject) -> list[Caller]:
    """The outside parties it answers for, with the addresses they asked for before."""
    mine = list(identity.list_parties_of(asker)) if asker.kind == SubjectKind.PERSON else []
    asked = access.list_addresses_asked([one.key for one in mine]) if mine else {}
    return [_caller(one, asked.get(one.key, ())) for one in mine]


def _name(reading: Reading, book: Book) -> None:
    """Candidates of both sides, and what is wrong with the line whatever they are."""
    line, (source, destination) = reading.line, reading.terms
    reading.source = callers_for(source, book.asker, book.callers, book.placed)
    reading.destination = services_for(destination, line.ports, book.placed)
    if source.blocks:
        reading.source = _with_parties(reading.source, book)
        reading.problems += _address_problems(source, book)
    reading.problems += _direction_problems(reading)
    if source.anybody:
        reading.problems.append(ANYBODY)
    elif not reading.source and not source.blocks:
        reading.problems.append(f"Nobody here is called {source.text[:80]!r}.")
    if destination.anybody:
        reading.problems.append(ANYTHING)
    elif not reading.destination:
        leaves = destination.blocks and line.direction == Direction.OUT
        said = LEAVING if leaves else "No service of the catalogue answers to {0!r}."
        reading.problems.append(said.format(destination.text[:80]))
    if line.protocol.lower() not in SPOKEN:
        reading.problems.append(f"The doors let HTTP calls and TCP through, and this asks for {line.protocol}.")


def _direction_problems(reading: Reading) -> list[str]:
    """Inbound from inside is the destination's way to say it, outbound the source's; from outside it is never outbound.

    Private addresses have a complaint of their own.
    """
    source, caller = reading.terms[0], reading.caller
    outside = caller is not None and caller.key.startswith(f"{SubjectKind.PARTY}:")
    outside |= bool(source.blocks) and not any(complaint(block, limits()) for block in source.blocks)
    return [OUTBOUND] if outside and reading.line.direction == Direction.OUT else []


def _with_parties(found: list[Candidate], book: Book) -> list[Candidate]:
    """Addresses may be anybody's: every party the asker answers for is offered, none of them as sure."""
    known = {one.key for one in found}
    more = [one for one in book.callers if one.kind == SubjectKind.PARTY and one.key not in known]
    return [*found, *(Candidate(one.key, one.name, 0.3, f"Your team answers for {one.name}.") for one in more[:20])]


def _address_problems(source: Term, book: Book) -> list[str]:
    problems = [said for block in source.blocks if (said := complaint(block, limits()))]
    zones = [zone for zone in book.matrix.zones if zone.networks and _within_zone(source, zone.networks)]
    if problems and zones:
        problems.append(f"It lies in the zone {zones[0].name} ({members_words(zones[0])}): name who calls from there.")
    return problems


def _within_zone(source: Term, networks: Collection[Any]) -> bool:
    return all(
        any(block.version == one.version and block.subnet_of(one) for one in networks) for block in source.blocks
    )


def _carried(shapes: Iterable[Service], environment: str) -> frozenset[str]:
    """Namespaces whose plain TCP something carries, of those that have any."""
    wanted = {shape.mesh.namespace for shape in shapes if shape.is_tcp and shape.mesh is not None}
    return frozenset(one for one in wanted if carriers.carries_tcp(environment, one))


def _route(reading: Reading, shapes: Mapping[str, Service], book: Book, carried: Collection[str]) -> None:
    """Doors and routes, once the service is known; and the cell of the matrix."""
    caller, service = reading.caller, reading.service
    shape = shapes.get(service.key) if service is not None else None
    if caller is None or shape is None:
        return
    kind = SubjectKind(caller.key.partition(":")[0])
    reading.points = [Point.EDGE.value] if kind is SubjectKind.PARTY else list(default_points(shape, kind))
    reading.problems += [*_door_problems(shape, kind), *_connection_problems(reading.line, shape, kind, carried)]
    path = reading.line.path or _path_of(reading, shape)
    routes, problem = ([CONNECT], "") if shape.is_tcp else routes_of(reading.line.method, path, shape)
    reading.routes = [route.id for route in shape.routes] if kind is SubjectKind.PARTY else routes
    reading.problems += [problem] if problem and kind is not SubjectKind.PARTY else []
    if path and not reading.line.method and kind is not SubjectKind.PARTY:
        _read_method(reading, shape)
    one = book.place(shape.id)
    source = place_of_caller(caller.key, kind.value, reading.terms[0].blocks, book.placed)
    reading.cell = book.matrix.judge(source, place_of_service(one))


def _read_method(reading: Reading, shape: Service) -> None:
    """A path without its method is narrowed to what only reads there, and asked about."""
    reading.method = methods.readings_of(reading.routes, shape)
    if reading.method:
        reading.all_routes = reading.routes
        key = methods.taken(reading.method, reading.chosen.get(methods.SIDE, ""))
        reading.routes = methods.routes_for(key, reading.all_routes, shape)


def _door_problems(shape: Service, kind: SubjectKind) -> list[str]:
    if kind is SubjectKind.PARTY and shape.edge is None:
        return [f"{shape.name} has no host at the edge, so there is no list that could let an address in."]
    if shape.edge is None and shape.mesh is None:
        return [f"{shape.name} has no door here, so nothing can be opened."]
    return []


def _connection_problems(line: FirewallLine, shape: Service, kind: SubjectKind, carried: Collection[str]) -> list[str]:
    """Of a service of plain TCP, whatever would be refused when it is asked for."""
    mesh = shape.mesh
    if mesh is None or not shape.is_tcp:
        return []
    if line.protocol.lower() not in CONNECTIONS:
        return [f"{shape.name} is plain TCP, and this asks for {line.protocol}."]
    if line.ports and not any(low <= mesh.upstream_port <= high for low, high in line.ports):
        return [f"{shape.name} is plain TCP on port {mesh.upstream_port}, which is none of the ports asked for."]
    if kind.value not in CONNECTING:
        return [f"{shape.name} is plain TCP, which shows which workload connects and never which {kind.value}."]
    if mesh.namespace not in carried:
        return [f"Nothing carries plain TCP to {shape.name} here: connect the cluster it runs in."]
    return []


def _path_of(reading: Reading, shape: Service) -> str:
    """A path that came with the destination, below the base path of the service."""
    path = reading.terms[1].path
    base = shape.edge.base_path if shape.edge is not None else ""
    return path.removeprefix(base) if base and (path == base or path.startswith(f"{base}/")) else path


def routes_of(method: str, path: str, shape: Service) -> tuple[list[str], str]:
    """The routes a method and a path name, and what is wrong with them; no route where neither is written."""
    if not method and path in ("", "/") and not any(route.template == path for route in shape.routes):
        return [], ""
    wanted = [route for route in shape.routes if not method or method.upper() in route.methods]
    if path:
        exact = [route for route in wanted if route.template == path]
        parts = segments(path)
        wanted = exact or [r for r in wanted if parts is not None and matches(parse_template(r.template), parts)]
    if wanted:
        return [route.id for route in wanted], ""
    return [], f"{shape.name} has no route {' '.join(part for part in (method.upper(), path) if part)}."


def _settle_open(request: FirewallRequest, readings: Sequence[Reading], at: datetime) -> None:
    """By which grants a line is open already, as decide() says on the live graph."""
    clear = [one for one in readings if one.caller is not None and one.service is not None and one.points]
    if not clear:
        return
    live = load_live(
        environment_slug=request.environment.slug,
        service_slugs={one.service.key for one in clear if one.service},
        subject_keys={one.caller.key for one in clear if one.caller},
        at=at,
    )
    for reading in clear:
        found = live.opened(asked_of(reading, request, live.shape(reading.service.key if reading.service else ""), at))
        if found is None or reading.line.action == "deny":
            continue
        if found.until >= wanted_until(reading.line, request, at):
            reading.allowed_by = list(found.grants)
            reading.opened = "" if found.grants else "No list guards this host: any address comes as far as its token."


def asked_of(reading: Reading, request: FirewallRequest, shape: Service | None, at: datetime) -> Asked:
    """Without routes of its own a line asks for all of the service; as long as nobody said which method is meant, for
    every method there."""
    caller, service = reading.caller, reading.service
    every = [route.id for route in shape.routes] if shape is not None else []
    routes = reading.all_routes if reading.asks_method else reading.routes
    return Asked(
        subject=caller.key if caller else "",
        kind=caller.key.partition(":")[0] if caller else "",
        service=service.key if service else "",
        routes=frozenset(routes or every),
        points=frozenset(reading.points),
        blocks=reading.terms[0].blocks,
        until=wanted_until(reading.line, request, at),
    )


def blocks_text(term: Term) -> list[str]:
    return [write(block) for block in term.blocks]
