"""Grants that do not do what somebody hoped: doing nothing, doing it twice, doing too much, or at one door only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, product

from apps.compiler.decide import guards, open_methods
from apps.compiler.graph import AccessGraph, Grant, Guardrail, Point, Route, Service, Subject, SubjectKind
from apps.compiler.words import grant_words, listed, routes_words, service_name, subject_name

LONG_SECONDS = 30 * 24 * 3600
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Code(StrEnum):
    """``lint`` gives all but the four after ``SHADOWED``, which ``hygiene`` adds."""

    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"
    REDUNDANT = "redundant"
    EXPIRED = "expired"
    NEVER_HIT = "never_hit"
    WIDER_THAN_USED = "wider_than_used"
    TOO_WIDE = "too_wide"
    NEVER_EFFECTIVE = "never_effective"
    ORPHANED = "orphaned"
    EDGE_WITHOUT_MESH = "edge_without_mesh"
    MESH_WITHOUT_EDGE = "mesh_without_edge"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    code: Code
    severity: Severity
    sentence: str
    grant_ids: tuple[str, ...]
    service: str


def lint(graph: AccessGraph, at: int) -> tuple[Finding, ...]:
    """Findings about the grants that run at ``at`` or later, in a stable order. ``graph`` may be a slice."""
    standing = [grant for grant in graph.grants if grant.ends_at is None or grant.ends_at > at]
    orphans = {grant.id: finding for grant in standing for finding in _orphaned(graph, grant)}
    whole = [grant for grant in standing if grant.id not in orphans]
    found = [*orphans.values(), *_alone(graph, whole, at), *_overlapping(graph, whole), *_one_door(graph, whole)]
    return tuple(sorted(found, key=lambda finding: (finding.service, finding.code, finding.grant_ids)))


def _finding(code: Code, severity: Severity, sentence: str, *grants: Grant) -> Finding:
    return Finding(code, severity, sentence, tuple(sorted(grant.id for grant in grants)), grants[0].service)


def _orphaned(graph: AccessGraph, grant: Grant) -> Iterator[Finding]:
    service = graph.services.get(grant.service)
    known = {route.id for route in service.routes} if service is not None else set()
    gone = [
        *([] if grant.subject in graph.subjects else [grant.subject]),
        *([] if service is not None else [grant.service]),
        *(sorted(grant.routes - known) if service is not None else []),
    ]
    if gone:
        verb = "is" if len(gone) == 1 else "are"
        yield _finding(Code.ORPHANED, Severity.ERROR, f"{listed(gone)} {verb} gone, but a grant still names it.", grant)


def _alone(graph: AccessGraph, grants: Iterable[Grant], at: int) -> Iterator[Finding]:
    for grant in grants:
        yield from _never_effective(graph, grant)
        yield from _too_wide(graph, grant, at)


def _never_effective(graph: AccessGraph, grant: Grant) -> Iterator[Finding]:
    cause = _obstacle(graph, grant)
    if cause is not None:
        holder = subject_name(graph, grant.subject)
        sentence = f"{holder} may {grant_words(graph, grant)}, but never can: {cause}."
        yield _finding(Code.NEVER_EFFECTIVE, Severity.WARNING, sentence, grant)


def _obstacle(graph: AccessGraph, grant: Grant) -> str | None:
    service, subject = graph.services[grant.service], graph.subjects[grant.subject]
    if not grant.routes or not grant.points:
        return "it names no route" if not grant.routes else "it names no door"
    if grant.ends_at is not None and grant.ends_at <= grant.starts_at:
        return "it ends before it starts"
    if not subject.active:
        return f"{subject_name(graph, subject.id)} is suspended"
    if not _exposed(service) & grant.points:
        return f"{service_name(graph, service.id)} does not stand behind that door"
    if _all_barred(graph.guardrails, subject, service, grant):
        return "guardrails forbid all of it"
    return None


def _exposed(service: Service) -> frozenset[Point]:
    doors = {Point.EDGE: service.edge, Point.MESH: service.mesh}
    return frozenset(point for point, exposure in doors.items() if exposure is not None)


def _all_barred(guardrails: Iterable[Guardrail], subject: Subject, service: Service, grant: Grant) -> bool:
    walls, routes = tuple(guardrails), [route for route in service.routes if route.id in grant.routes]
    return not any(
        open_methods(walls, subject, service.id, route, point) for route, point in product(routes, grant.points)
    )


def _too_wide(graph: AccessGraph, grant: Grant, at: int) -> Iterator[Finding]:
    service, subject = graph.services[grant.service], graph.subjects[grant.subject]
    long = grant.ends_at is None or grant.ends_at - max(grant.starts_at, at) > LONG_SECONDS
    everything = len(service.routes) > 1 and all(route.id in grant.routes for route in service.routes)
    if long and everything and subject.kind is not SubjectKind.WORKLOAD and any(map(_writes, service.routes)):
        sentence = f"{subject_name(graph, subject.id)} may {grant_words(graph, grant)}: all routes, writing ones too."
        yield _finding(Code.TOO_WIDE, Severity.WARNING, sentence, grant)


def _writes(route: Route) -> bool:
    return not route.methods <= READING


def _overlapping(graph: AccessGraph, grants: Iterable[Grant]) -> Iterator[Finding]:
    """Pairs of which one says nothing new. Only grants of one service can overlap, and only of related subjects."""
    by_service: dict[str, list[Grant]] = defaultdict(list)
    for grant in grants:
        by_service[grant.service].append(grant)
    for among in by_service.values():
        by_subject: dict[str, list[Grant]] = defaultdict(list)
        for grant in sorted(among, key=lambda grant: grant.id):
            by_subject[grant.subject].append(grant)
        for subject, own in by_subject.items():
            yield from _among_own(graph, own)
            yield from _under_teams(graph, own, _of_teams(graph, subject, by_subject))


def _of_teams(graph: AccessGraph, subject: str, by_subject: dict[str, list[Grant]]) -> list[Grant]:
    teams = sorted(graph.subjects[subject].teams)
    return [grant for team in teams if _is_active(graph, team) for grant in by_subject.get(team, ())]


def _is_active(graph: AccessGraph, team: str) -> bool:
    return team in graph.subjects and graph.subjects[team].active


def _among_own(graph: AccessGraph, own: list[Grant]) -> Iterator[Finding]:
    for first, second in combinations(own, 2):
        holder = subject_name(graph, first.subject)
        if _covers(first, second) and _covers(second, first):
            sentence = f"{holder} may {grant_words(graph, first)} twice over."
            yield _finding(Code.DUPLICATE, Severity.NOTE, sentence, first, second)
        elif _covers(first, second) or _covers(second, first):
            wide, narrow = (first, second) if _covers(first, second) else (second, first)
            yield _shadow(graph, narrow, wide)


def _under_teams(graph: AccessGraph, own: list[Grant], teams: list[Grant]) -> Iterator[Finding]:
    for narrow, wide in product(own, teams):
        if _covers(wide, narrow):
            yield _shadow(graph, narrow, wide)


def _shadow(graph: AccessGraph, narrow: Grant, wide: Grant) -> Finding:
    via = f", by {subject_name(graph, wide.subject)}" if wide.subject != narrow.subject else ""
    holder = subject_name(graph, narrow.subject)
    sentence = f"{holder} may {grant_words(graph, narrow)}, and may already {grant_words(graph, wide)}{via}."
    return _finding(Code.SHADOWED, Severity.NOTE, sentence, narrow, wide)


def _covers(wide: Grant, narrow: Grant) -> bool:
    later = wide.ends_at is None or (narrow.ends_at is not None and narrow.ends_at <= wide.ends_at)
    return (
        later and wide.starts_at <= narrow.starts_at and wide.routes >= narrow.routes and wide.points >= narrow.points
    )


def _one_door(graph: AccessGraph, grants: Iterable[Grant]) -> Iterator[Finding]:
    """Whoever comes from outside passes both doors; a workload calls inside and needs the mesh only.

    A door at which guardrails leave nothing of a route is shut for it.
    """
    held: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for grant in grants:
        held[grant.service, grant.subject].append(grant)
    for (service, subject), own in held.items():
        if _exposed(graph.services[service]) == frozenset(Point):
            company = [
                grant for team in sorted(graph.subjects[subject].teams) for grant in held.get((service, team), ())
            ]
            yield from _missing_door(graph, own, [*own, *company])


def _missing_door(graph: AccessGraph, own: list[Grant], usable: list[Grant]) -> Iterator[Finding]:
    who, service = graph.subjects[own[0].subject], graph.services[own[0].service]
    held = frozenset[str]().union(*(grant.routes for grant in usable))
    left = {point: _left_open(graph.guardrails, who, service, held, point) for point in Point}
    reach = {
        point: frozenset(r for g in usable if point in g.points for r in g.routes) & left[point] for point in Point
    }
    for grant in own:
        edge_only = (grant.routes & left[Point.EDGE]) - reach[Point.MESH]
        if Point.EDGE in grant.points and edge_only:
            yield _half_open(graph, grant, Code.EDGE_WITHOUT_MESH, edge_only, "mesh")
        mesh_only = (grant.routes & left[Point.MESH]) - reach[Point.EDGE]
        if who.kind is not SubjectKind.WORKLOAD and Point.MESH in grant.points and mesh_only:
            yield _half_open(graph, grant, Code.MESH_WITHOUT_EDGE, mesh_only, "edge")


def _left_open(
    guardrails: Iterable[Guardrail], who: Subject, service: Service, held: frozenset[str], point: Point
) -> frozenset[str]:
    """Those of the routes held of which guardrails leave something at a door. Most holders have none in their way."""
    walls = [g for g in guardrails if guards(g, who) and (not g.services or service.id in g.services)]
    if not walls:
        return held
    mine = (route for route in service.routes if route.id in held)
    return frozenset(route.id for route in mine if open_methods(walls, who, service.id, route, point))


def _half_open(graph: AccessGraph, grant: Grant, code: Code, routes: frozenset[str], missing: str) -> Finding:
    holder, where = subject_name(graph, grant.subject), service_name(graph, grant.service)
    what = routes_words(graph.services[grant.service], routes)
    sentence = f"{holder} may pass one door on the way to {what} on {where}, but the {missing} stays closed."
    return _finding(code, Severity.WARNING, sentence, grant)
