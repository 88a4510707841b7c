"""Whether two graphs that differ in their grants only let in the same calls: by decide(), over every case there is.

There are endlessly many calls, but finitely many that decide() can tell apart. It looks at a caller's kind, whether it
is active, which named teams it is in and whether it is named itself; at the route that a path leads to; and at a moment
only by what starts or ends there. So one caller of each sort, one path for each route and one moment for each stretch
of time stand for all of them.

Two things need no cases. Whoever holds none of the grants that differ is asked with the same grants before and after.
And the age of a token: a denial may turn away those with an older token, whatever they hold, so two graphs that differ
for any token differ for a call that shows none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from apps.compiler.decide import Action, Context, Decision, Pdp, Resource
from apps.compiler.graph import NO_CALLERS, AccessGraph, Grant, Point, Service, Subject, SubjectKind
from apps.compiler.paths import Template, ranked


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one call at ``at`` and for a while after. ``subjects`` are told apart by nothing in the graph."""

    subjects: tuple[str, ...]
    service: str
    route: str
    method: str
    point: Point
    at: int
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True)
class Comparison:
    """``cases`` calls were put to both graphs; they stand for every call of ``subjects`` callers from then on."""

    subjects: int = 0
    cases: int = 0
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """``as_it_is`` is about the graph as it stands.

    ``ever`` is about the same grants with nothing in front of them: no guardrail, nobody turned away or suspended, and
    somebody new in each team that holds one of those that go. What is equal there stays equal whatever is lifted later.
    """

    as_it_is: Comparison
    ever: Comparison

    @property
    def is_safe(self) -> bool:
        return not self.as_it_is.differences and not self.ever.differences


@dataclass(frozen=True, slots=True)
class _Lane:
    method: str
    route: str
    path: str


def without(graph: AccessGraph, grant_ids: Collection[str]) -> AccessGraph:
    return replace(graph, grants=tuple(grant for grant in graph.grants if grant.id not in grant_ids))


def narrowed(graph: AccessGraph, grant_ids: Collection[str], keep: Mapping[str, Collection[str]]) -> AccessGraph:
    """Without these grants, but for the routes ``keep`` leaves of some: those are a grant of their own then."""
    left = without(graph, grant_ids)
    fresh = [
        replace(grant, id=f"{grant.id} (narrower)", routes=grant.routes.intersection(keep[grant.id]))
        for grant in graph.grants
        if grant.id in keep
    ]
    return replace(left, grants=(*left.grants, *fresh))


def prove(before: AccessGraph, after: AccessGraph, at: int) -> Proof:
    """What ``after`` changes from ``at`` on. Raises ValueError when the graphs differ in more than their grants."""
    changed = _changed(before, after)
    teams = {grant.subject for grant in changed}
    return Proof(compare(before, after, at), compare(_bare(before, teams), _bare(after, teams), at))


def _bare(graph: AccessGraph, holders: Collection[str]) -> AccessGraph:
    subjects = {key: replace(who, active=_counts(who, holders)) for key, who in graph.subjects.items()}
    for team in sorted(holders):
        if team in subjects and subjects[team].kind is SubjectKind.TEAM:
            new = Subject(f"person:new in {team}", SubjectKind.PERSON, teams=frozenset({team}))
            subjects[new.id] = new
    return replace(graph, subjects=subjects, guardrails=(), denials=())


def _counts(who: Subject, holders: Collection[str]) -> bool:
    """A suspended team still gives nothing to lean on; what it holds itself is looked at as if it were active."""
    return who.active or who.kind is not SubjectKind.TEAM or who.id in holders


def compare(before: AccessGraph, after: AccessGraph, at: int) -> Comparison:
    """Every case from ``at`` on. Raises ValueError when the graphs differ in more than their grants."""
    changed = _changed(before, after)
    old, new = Pdp(before), Pdp(after)
    subjects: set[str] = set()
    cases, found = 0, list[Difference]()
    for service in sorted({grant.service for grant in changed} & before.services.keys()):
        held = [grant for grant in {*before.grants, *after.grants} if grant.service == service]
        concerned = [grant for grant in changed if grant.service == service]
        lanes = _lanes(before.services[service], concerned)
        points = sorted({point for grant in concerned for point in grant.points})
        for alike in _alike(before, held, concerned):
            subjects.update(alike)
            who = before.subjects[alike[0]]
            for case in _cases(who, lanes, points, _moments(before, who, held, at)):
                cases += 1
                difference = _put(case, service, alike, old, new)
                if difference is not None:
                    found.append(difference)
    return Comparison(len(subjects), cases, tuple(found))


def _changed(before: AccessGraph, after: AccessGraph) -> frozenset[Grant]:
    if replace(before, grants=()) != replace(after, grants=()):
        raise ValueError("The graphs differ in more than their grants.")
    return frozenset(before.grants) ^ frozenset(after.grants)


def _lanes(service: Service, concerned: Iterable[Grant]) -> list[_Lane]:
    """A path for each method of each route that a call can take. A parameter is filled with what is no literal.

    Such a path fits only templates with a parameter wherever its own has one, and those come after it in rank.
    """
    wanted = frozenset[str]().union(*(grant.routes for grant in concerned))
    order = ranked(service.routes)
    filler = "x" * (1 + max((len(part or "") for template, _ in order for part in template), default=0))
    taken: set[tuple[str, Template]] = set()
    found = []
    for template, route in order:
        for method in sorted(route.methods):
            if (method, template) not in taken and route.id in wanted:
                path = "/" + "/".join(filler if part is None else part for part in template)
                found.append(_Lane(method, route.id, path))
            taken.add((method, template))
    return found


def _alike(graph: AccessGraph, held: Iterable[Grant], concerned: Iterable[Grant]) -> Iterator[tuple[str, ...]]:
    """The callers who hold something that changed, those together whom nothing tells apart."""
    changing = {grant.subject for grant in concerned}
    named = {grant.subject for grant in held} | {denial.subject for denial in graph.denials}
    named = named.union(*(guardrail.subjects for guardrail in graph.guardrails))
    together: dict[object, list[str]] = defaultdict(list)
    for key, who in sorted(graph.subjects.items()):
        if who.kind not in NO_CALLERS and not changing.isdisjoint({key, *who.teams}):
            together[who.kind, who.active, who.teams & named, key if key in named else ""].append(key)
    return (tuple(keys) for keys in together.values())


def _moments(graph: AccessGraph, who: Subject, held: Iterable[Grant], at: int) -> list[int]:
    """``at``, and each second at which something starts or ends for ``who`` after it."""
    own = [grant for grant in held if grant.subject == who.id or grant.subject in who.teams]
    turns = {turn for grant in own for turn in (grant.starts_at, grant.ends_at) if turn is not None}
    turns.update(denial.until for denial in graph.denials if denial.subject == who.id)
    return [at, *sorted(turn for turn in turns if turn > at)]


_Case = tuple[str, _Lane, Point, int]


def _cases(who: Subject, lanes: list[_Lane], points: list[Point], moments: list[int]) -> Iterator[_Case]:
    return ((who.id, lane, point, moment) for lane in lanes for point in points for moment in moments)


def _put(case: _Case, service: str, alike: tuple[str, ...], old: Pdp, new: Pdp) -> Difference | None:
    subject, lane, point, moment = case
    asked = (subject, Action(lane.method), Resource(service, lane.path), Context(point), moment)
    before, after = old.decide(*asked), new.decide(*asked)
    if before.allowed == after.allowed:
        return None
    return Difference(alike, service, lane.route, lane.method, point, moment, before, after)
