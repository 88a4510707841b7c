"""Out of what was found the nodes and lines to draw: bounded, the busiest first, and what is left out counted. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from apps.catalog.stops import Stop
from apps.identity.known import Known
from apps.telemetry.network.reading import MOST_SERVICES, Found

MOST_CALLERS, MOST_LINES = 10, 40
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
    """``source`` and ``target`` are ids of nodes. Without ``is_open`` it is there for what was refused alone."""

    source: str
    target: str
    edge: str = ""
    mesh: str = ""
    calls: int = 0
    denied: int = 0
    rid: str = ""
    is_open: bool = True
    has_gap: bool = False

    @property
    def denied_query(self) -> str:
        """Finds on Live what was refused: to this caller, where the line stands for one that calls."""
        asked = {"service": self.target, "verdict": "deny"}
        if self.source.startswith(("person:", "agent:", "workload:")):
            asked["subject"] = self.source
        return urlencode(asked)

    @property
    def moves(self) -> bool:
        return self.is_open and not {self.edge, self.mesh}.isdisjoint(TROUBLE)


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
    stops = _busiest_stops(found, lines, picked)
    gone = len(found.stops) - len(stops)
    kept = [line for line in lines if line.target in stops and (line.source in stops or line.source not in found.stops)]
    callers = {line.source for line in kept} - stops.keys()
    is_folded = len(callers) > MOST_CALLERS
    if is_folded:
        kept = list(_merged(_folded(kept, found.known)))
    names = _busiest(kept, {line.source for line in kept} - stops.keys(), MOST_CALLERS, picked)
    drawn = [line for line in kept if line.source in names or line.source in stops]
    ranked = sorted(drawn, key=lambda one: (not one.denied, not one.moves, -one.calls, one.source, one.target))
    shown = tuple(sorted(ranked[:MOST_LINES], key=lambda one: (one.target, one.source)))
    callers_left = len({line.source for line in kept} - stops.keys()) - len(names)
    nodes = _nodes(found, shown, stops, _states(lines), names, picked)
    more = max(found.many - len(found.stops), 0)
    return Picture(nodes, shown, gone + more, callers_left, len(ranked) - len(shown), is_folded)


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
            yield Line(source, seen.service, denied=seen.denied, rid=seen.rid, is_open=(source, seen.service) in held)


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
            yield replace(line, source=team, rid="")


def _busiest(lines: Iterable[Line], among: Collection[str], most: int, picked: str) -> set[str]:
    """Those with most calls, refused ones first, then with most lines."""
    denied, calls, many = Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        for end in {line.source, line.target}:
            denied[end] += bool(line.denied)
            calls[end] += line.calls + line.denied
            many[end] += 1
    ranked = sorted(among, key=lambda one: (one != picked, -denied[one], -calls[one], -many[one], one))
    return set(ranked[:most])


def _busiest_stops(found: Found, lines: Collection[Line], picked: str) -> dict[str, Stop]:
    kept = _busiest(lines, found.stops, MOST_SERVICES, picked)
    return {slug: stop for slug, stop in found.stops.items() if slug in kept}


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
    lines: Iterable[Line],
    stops: Mapping[str, Stop],
    states: Mapping[str, tuple[str, str]],
    callers: Collection[str],
    picked: str,
) -> dict[str, Node]:
    """Callers that are left with no line are not drawn, unless it is them who are picked."""
    used = {line.source for line in lines} | {picked}
    shown = sorted((_caller(one, found.known) for one in callers if one in used), key=lambda one: (one.name, one.id))
    if picked in found.side and picked not in callers and not any(stop.workload == picked for stop in stops.values()):
        shown.append(_caller(picked, found.known))
    services = [_service(stop, states.get(slug, ("", "")), slug in found.whole) for slug, stop in stops.items()]
    return {node.id: node for node in (*shown, *services)}


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
