"""Grants that could go: those that say nothing new, those nobody uses, and those about something that is gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from apps.compiler.equivalence import Difference
from apps.compiler.graph import AccessGraph, Grant, Point, Service, SubjectKind
from apps.compiler.lint import Code, Finding, Severity, lint
from apps.compiler.words import grant_words, listed, moment, points_words, routes_words, service_name, subject_name

DAY = 24 * 3600
OVERLAPS = frozenset({Code.DUPLICATE, Code.SHADOWED, Code.REDUNDANT})
"""What can go without a change for anybody: the first grant of such a finding, and all of those together."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Which calls were seen since ``since`` (seconds, as all times). ``last`` and ``routes`` are by grant.

    ``routes`` are those on which it was used at all. ``idle`` is after how long without a call a grant is unused.
    """

    since: int
    idle: int
    last: Mapping[str, int] = field(default_factory=dict)
    routes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def is_idle(self, grant: Grant, at: int) -> bool:
        """No call in ``idle`` seconds in which the grant ran and calls were watched for."""
        watched_from = max(grant.starts_at, self.since, self.last.get(grant.id, 0))
        return watched_from <= at - self.idle


@dataclass(frozen=True, slots=True)
class Removal:
    """``grant`` opens nothing that ``by`` do not open already."""

    grant: Grant
    by: tuple[Grant, ...]


def examine(graph: AccessGraph, at: int, usage: Usage | None = None) -> tuple[Finding, ...]:
    """Everything to say about the grants, in a stable order: what lint says, and what could go.

    Of grants that overlap each one that could go is told once, whatever number of others it overlaps with.
    """
    found = [finding for finding in lint(graph, at) if finding.code not in OVERLAPS]
    found += [_overlap(graph, one) for one in removable(graph, at)]
    found += [_expired(graph, grant) for grant in graph.grants if grant.ends_at is not None and grant.ends_at <= at]
    if usage is not None:
        found += _by_use(graph, at, usage)
    return tuple(sorted(found, key=lambda finding: (finding.service, finding.code, finding.grant_ids)))


def _finding(code: Code, severity: Severity, sentence: str, *grants: Grant) -> Finding:
    """The grant it is about comes first."""
    return Finding(code, severity, sentence, tuple(grant.id for grant in grants), grants[0].service)


def _says(graph: AccessGraph, grant: Grant) -> str:
    return f"{subject_name(graph, grant.subject)} may {grant_words(graph, grant)}"


def _overlap(graph: AccessGraph, one: Removal) -> Finding:
    teams = {subject_name(graph, other.subject) for other in one.by if other.subject != one.grant.subject}
    via = f" by {listed(sorted(teams))}" if teams else ""
    says = _says(graph, one.grant)
    if len(one.by) > 1:
        sentence = f"{says}. {len(one.by)} other grants together open all of it already{via}."
        return _finding(Code.REDUNDANT, Severity.NOTE, sentence, one.grant, *one.by)
    other = one.by[0]
    if not via and _window(other) == _window(one.grant):
        return _finding(Code.DUPLICATE, Severity.NOTE, f"{says} twice over.", one.grant, other)
    sentence = f"{says}, and may already {grant_words(graph, other)}{via and ',' + via}."
    return _finding(Code.SHADOWED, Severity.NOTE, sentence, one.grant, other)


def _window(grant: Grant) -> tuple[object, ...]:
    return grant.routes, grant.points, grant.ends_at


def _expired(graph: AccessGraph, grant: Grant) -> Finding:
    when = (
        "" if grant.ends_at is None else f" It ended {moment(grant.ends_at)} and is still on the list of what is open."
    )
    return _finding(Code.EXPIRED, Severity.ERROR, f"{_says(graph, grant)}.{when}", grant)


def _by_use(graph: AccessGraph, at: int, usage: Usage) -> Iterator[Finding]:
    days = usage.idle // DAY
    for grant in graph.grants:
        service = graph.services.get(grant.service)
        if service is None or (grant.ends_at is not None and grant.ends_at <= at):
            continue
        if usage.is_idle(grant, at):
            last = usage.last.get(grant.id)
            said = f"no call used it for {days} days" if last is None else f"the last call by it was {moment(last)}"
            yield _finding(Code.NEVER_HIT, Severity.WARNING, f"{_says(graph, grant)}; {said}.", grant)
        elif _is_old(grant, usage, at):
            yield from _wider_than_used(graph, service, grant, usage)


def _is_old(grant: Grant, usage: Usage, at: int) -> bool:
    return max(grant.starts_at, usage.since) <= at - usage.idle


def _wider_than_used(graph: AccessGraph, service: Service, grant: Grant, usage: Usage) -> Iterator[Finding]:
    open_routes = grant.routes & {route.id for route in service.routes}
    used = usage.routes.get(grant.id, frozenset()) & open_routes
    if used and len(used) * 2 <= len(open_routes):
        what, where = routes_words(service, used), service_name(graph, service.id)
        how = points_words(grant.points)
        holder = subject_name(graph, grant.subject)
        sentence = f"{holder} may call {len(open_routes)} routes of {where} {how}, and was seen on {len(used)}: {what}."
        yield _finding(Code.WIDER_THAN_USED, Severity.NOTE, sentence, grant)


def removable(graph: AccessGraph, at: int) -> tuple[Removal, ...]:
    """A largest set of grants that can go together, none of which opens a call from ``at`` on that the rest do not.

    A team's grant goes only for others of the same team, so that whoever joins it later loses nothing. Of two that
    stand for one another the narrower goes, then the one that started later.
    """
    by_service: dict[str, dict[str, list[Grant]]] = defaultdict(lambda: defaultdict(list))
    for grant in sorted(graph.grants, key=lambda grant: grant.id):
        if grant.service in graph.services and grant.subject in graph.subjects:
            by_service[grant.service][grant.subject].append(grant)
    found: list[Removal] = []
    for service, held in sorted(by_service.items()):
        gone: set[str] = set()
        for subject in sorted(held, key=lambda key: (graph.subjects[key].kind is not SubjectKind.TEAM, key)):
            company = [grant for grant in _of_teams(graph, subject, held) if grant.id not in gone]
            removals = _among(graph.services[service], held[subject], company, at)
            gone.update(one.grant.id for one in removals)
            found += removals
    return tuple(found)


def _of_teams(graph: AccessGraph, subject: str, held: Mapping[str, list[Grant]]) -> Iterator[Grant]:
    for team in sorted(graph.subjects[subject].teams):
        if team in graph.subjects and graph.subjects[team].active:
            yield from held.get(team, ())


def _among(service: Service, own: list[Grant], company: list[Grant], at: int) -> list[Removal]:
    if len(own) + len(company) < 2:
        return []
    cells = _cells(service, [*own, *company], at)
    kept = [grant for grant in own if cells[grant.id]]
    going: list[Grant] = []
    last_first = sorted(kept, key=lambda one: one.id, reverse=True)
    for grant in sorted(last_first, key=lambda one: (cells[one.id].bit_count(), -one.starts_at)):
        rest = [other for other in (*kept, *company) if other is not grant]
        if not _uncovered(cells, grant, rest):
            kept.remove(grant)
            going.append(grant)
    return [Removal(grant, tuple(_cover(cells, grant, kept, company))) for grant in going]


def _cells(service: Service, grants: Iterable[Grant], at: int) -> dict[str, int]:
    """What each grant opens from ``at`` on, as bits: one for each route, point and stretch between two turns."""
    grants = list(grants)
    turns = {turn for grant in grants for turn in (grant.starts_at, grant.ends_at) if turn is not None and turn > at}
    starts = [at, *sorted(turns)]
    ways = [(route.id, point) for route in service.routes for point in Point]
    found = {}
    for grant in grants:
        open_ways = sum(
            1 << n for n, (route, point) in enumerate(ways) if route in grant.routes and point in grant.points
        )
        stretches = [n for n, start in enumerate(starts) if _runs(grant, start)]
        found[grant.id] = sum(open_ways << n * len(ways) for n in stretches)
    return found


def _runs(grant: Grant, at: int) -> bool:
    return grant.starts_at <= at and (grant.ends_at is None or at < grant.ends_at)


def _uncovered(cells: Mapping[str, int], grant: Grant, others: Iterable[Grant]) -> int:
    left = cells[grant.id]
    for other in others:
        left &= ~cells[other.id]
    return left


def _cover(
    cells: Mapping[str, int], grant: Grant, own: Collection[Grant], company: Collection[Grant]
) -> Iterator[Grant]:
    """Few that cover it together, the holder's own before its teams'."""
    left = cells[grant.id]
    for among in (own, company):
        pool = list(among)
        while left and pool:
            best = max(pool, key=lambda other: (left & cells[other.id]).bit_count())
            pool.remove(best)
            if left & cells[best.id]:
                left &= ~cells[best.id]
                yield best


@dataclass(frozen=True, slots=True)
class Loss:
    """What ``subject`` can no longer call."""

    subject: str
    sentence: str


def losses(graph: AccessGraph, differences: Iterable[Difference]) -> tuple[Loss, ...]:
    """Whom a change takes from, and what, one line for each subject and service."""
    lost: dict[tuple[str, str], dict[str, set[Point]]] = defaultdict(lambda: defaultdict(set))
    for one in differences:
        if one.before.allowed:
            for subject in one.subjects:
                lost[subject, one.service][one.route].add(one.point)
    return tuple(_loss(graph, *key, ways) for key, ways in sorted(lost.items()))


def _loss(graph: AccessGraph, subject: str, service: str, ways: Mapping[str, Collection[Point]]) -> Loss:
    by_points: dict[frozenset[Point], set[str]] = defaultdict(set)
    for route, points in ways.items():
        by_points[frozenset(points)].add(route)
    shape = graph.services.get(service)
    parts = [
        f"{routes_words(shape, frozenset(routes))} {points_words(points)}"
        for points, routes in sorted(by_points.items(), key=lambda pair: sorted(pair[1]))
    ]
    name = subject_name(graph, subject)
    return Loss(subject, f"{name} could no longer call {listed(parts)} on {service_name(graph, service)}.")
