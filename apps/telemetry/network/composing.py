"""Out of what was found the nodes and lines to draw: bounded, the busiest first, and what is left out counted. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from apps.catalog.stops import Stop
from apps.identity.known import Known
from apps.telemetry.network.reading import MOST_SERVICES, Found

MOST_CALLERS, MOST_LINES = 8, 30
NOBODY_KNOWN, NO_TEAM = "unknown:", "team:"
OUTSIDERS = ("person", "team", "agent")
TROUBLE = ("failing", "closing", "opening")
TELLING = ("failing", "closing", "opening", "proven", "open", "closed")
"""Of several states of a door the one that is told: first what goes wrong or moves, then the best."""


@dataclass(frozen=True, slots=True)
class Node:
    """A caller by its key, or a service by its slug. ``team`` is the name of the one a service belongs to.

    ``edge`` and ``mesh`` say of a service how its doors are with those who hold access; both empty where only a part of
    them is known.
    """

    id: str
    kind: str
    name: str
    team: str = ""
    edge: str = ""
    mesh: str = ""

    @property
    def is_service(self) -> bool:
        return self.kind == "service"

    @property
    def is_known(self) -> bool:
        """Somebody with a page, or a service."""
        return self.id not in (NOBODY_KNOWN, NO_TEAM)


@dataclass(frozen=True, slots=True)
class Line:
    """``source`` and ``target`` are ids of nodes. Without ``is_open`` it is there for what was refused alone.

    ``caller`` is the key of whoever was refused, empty where that is not one. ``rid`` is a call to ask about.
    """

    source: str
    target: str
    edge: str = ""
    mesh: str = ""
    calls: int = 0
    denied: int = 0
    caller: str = ""
    rid: str = ""
    is_open: bool = True
    has_gap: bool = False

    @property
    def denied_query(self) -> str:
        """Finds on Live what was refused."""
        return found_by(self.target, self.caller)

    @property
    def moves(self) -> bool:
        return self.is_open and not {self.edge, self.mesh}.isdisjoint(TROUBLE)


def found_by(service: str, caller: str) -> str:
    asked = {"service": service, "subject": caller, "verdict": "deny"}
    return urlencode({name: value for name, value in asked.items() if value})


@dataclass(frozen=True, slots=True)
class Picture:
    """``nodes`` by id: first the callers, then the services. The other three count what is not drawn."""

    nodes: Mapping[str, Node]
    lines: tuple[Line, ...]
    services_left: int = 0
    callers_left: int = 0
    lines_left: int = 0
    is_folded: bool = False

    @property
    def callers(self) -> list[Node]:
        return [node for node in self.nodes.values() if not node.is_service]

    @property
    def services(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_service]

    @property
    def unreached(self) -> list[Node]:
        """Services without any line."""
        tied = {end for line in self.lines for end in (line.source, line.target)}
        return [node for node in self.services if node.id not in tied]


def compose(found: Found, *, picked: str = "") -> Picture:
    """``picked`` is the slug or the key that stays whatever else is left out."""
    lines = list(_merged(_lines(found)))
    is_folded = len(_callers(lines, found)) > MOST_CALLERS
    usable = list(_merged(_folded(lines, found.known))) if is_folded else lines
    services = set(found.whole) | ({picked} & found.stops.keys())
    shown = _chosen(usable, found, services)
    callers = _callers(shown, found)
    drawn = services | callers
    return Picture(
        _nodes(found, services, _states(lines), callers, picked),
        tuple(sorted(shown, key=lambda one: (one.target, one.source))),
        max(found.many, len(found.stops)) - len(services),
        len(_callers(usable, found)) - len(callers),
        sum(one.source in drawn and one.target in drawn for one in usable) - len(shown),
        is_folded,
    )


def _callers(lines: Iterable[Line], found: Found) -> set[str]:
    return {line.source for line in lines} - found.stops.keys()


def _chosen(lines: Iterable[Line], found: Found, services: set[str]) -> list[Line]:
    """As many as find room for their ends: first what was refused, then what moves, then what is used most.

    The services among the ends are added to ``services``.
    """
    chosen: list[Line] = []
    callers: set[str] = set()
    for line in sorted(lines, key=lambda one: (not one.denied, not one.moves, -one.calls, one.source, one.target)):
        tied = services | ({line.source, line.target} & found.stops.keys())
        calling = callers | ({line.source} - found.stops.keys())
        if len(tied) <= MOST_SERVICES and len(calling) <= MOST_CALLERS and len(chosen) < MOST_LINES:
            services |= tied
            callers |= calling
            chosen.append(line)
    return chosen


def _lines(found: Found) -> Iterator[Line]:
    """A workload is its service. A call counts for the caller's own access, else for that of its team."""
    of_workload = {stop.workload: stop.slug for stop in found.stops.values() if stop.workload}
    held = set()
    for one in found.open_lines:
        source = of_workload.get(one.subject, one.subject)
        held.add((source, one.service))
        stop = found.stops.get(one.service)
        if stop is not None and source != one.service:
            yield Line(source, one.service, one.edge, one.mesh, has_gap=_differ(source, stop, one.edge, one.mesh))
    for seen in found.seen:
        source = of_workload.get(seen.subject, seen.subject or NOBODY_KNOWN)
        if seen.service not in found.stops or source == seen.service:
            continue
        holder = _holder(source, seen.service, held, found.known)
        if holder:
            yield Line(holder, seen.service, calls=seen.calls - seen.denied)
        if seen.denied:
            is_open = (source, seen.service) in held
            yield Line(source, seen.service, denied=seen.denied, caller=seen.subject, rid=seen.rid, is_open=is_open)


def _holder(source: str, service: str, held: Collection[tuple[str, str]], known: Mapping[str, Known]) -> str:
    teams = known[source].teams if source in known else ()
    return next((one for one in (source, *(key for key, _ in teams)) if (one, service) in held), "")


def _differ(source: str, stop: Stop, edge: str, mesh: str) -> bool:
    """Whoever comes from outside needs both doors of a service that has two."""
    return source.startswith(OUTSIDERS) and stop.has_edge and bool(stop.workload) and bool(edge) != bool(mesh)


def _merged(lines: Iterable[Line]) -> Iterator[Line]:
    """One for each pair of ends."""
    together: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        together[line.source, line.target].append(line)
    for (source, target), many in together.items():
        yield Line(
            source,
            target,
            telling(one.edge for one in many),
            telling(one.mesh for one in many),
            sum(one.calls for one in many),
            sum(one.denied for one in many),
            max(one.caller for one in many),
            max(one.rid for one in many),
            any(one.is_open for one in many),
            any(one.has_gap for one in many),
        )


def telling(states: Iterable[str]) -> str:
    there = set(states)
    return next((state for state in TELLING if state in there), "")


def _folded(lines: Iterable[Line], known: Mapping[str, Known]) -> Iterator[Line]:
    """Each caller as every team it is counted to; whoever called without being known stays so."""
    for line in lines:
        one = known.get(line.source)
        if one is None:
            yield line
            continue
        for team in [key for key, _ in one.teams] or [NO_TEAM]:
            yield replace(line, source=team, caller="", rid="")


def _states(lines: Iterable[Line]) -> dict[str, tuple[str, str]]:
    """How the doors of each service are with all who hold access."""
    edges: dict[str, set[str]] = defaultdict(set)
    meshes: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        edges[line.target].add(line.edge)
        meshes[line.target].add(line.mesh)
    return {slug: (telling(edges[slug]), telling(meshes[slug])) for slug in edges}


def _nodes(
    found: Found,
    services: Collection[str],
    states: Mapping[str, tuple[str, str]],
    callers: Collection[str],
    picked: str,
) -> dict[str, Node]:
    """Callers by name, then services by slug. Who is picked is there without any line too."""
    is_drawn = any(picked in (slug, found.stops[slug].workload) for slug in services)
    named = {*callers, *({picked} & found.side.keys() if not is_drawn else ())}
    shown = sorted((_caller(one, found.known) for one in named), key=lambda one: (one.name, one.id))
    stops = (found.stops[slug] for slug in sorted(services))
    drawn = [_service(stop, states.get(stop.slug, ("", "")), stop.slug in found.whole) for stop in stops]
    return {node.id: node for node in (*shown, *drawn)}


def _caller(key: str, known: Mapping[str, Known]) -> Node:
    if key == NOBODY_KNOWN:
        return Node(key, "system", "Nobody known")
    if key == NO_TEAM:
        return Node(key, "team", "No team")
    one = known.get(key)
    if one is not None:
        return Node(key, one.kind, one.name)
    names = {team: name for each in known.values() for team, name in each.teams}
    kind, _, name = key.partition(":")
    return Node(key, kind, names.get(key, name))


def _service(stop: Stop, states: tuple[str, str], is_whole: bool) -> Node:
    if not is_whole:
        return Node(stop.slug, "service", stop.title, stop.team_name)
    edge, mesh = states
    return Node(
        stop.slug,
        "service",
        stop.title,
        stop.team_name,
        edge or ("closed" if stop.has_edge else ""),
        mesh or ("closed" if stop.workload else ""),
    )
