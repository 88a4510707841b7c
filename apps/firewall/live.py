"""What is open now between some callers and some services: the live graph without what is only on its way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from apps.access import selectors as access
from apps.access.states import GrantState
from apps.compiler import address_lists
from apps.compiler.addresses import Block, within
from apps.compiler.decide import Action, Context, Decision, Pdp, Resource
from apps.compiler.graph import AccessGraph, Grant, Point, Route, Service, Subject, SubjectKind
from apps.compiler.paths import parse_template

if TYPE_CHECKING:
    from apps.access.models import Grant as GrantRow
    from apps.firewall.models import FirewallLine, FirewallRequest

FOR_EVER = address_lists.FOR_EVER


@dataclass(frozen=True, slots=True)
class Asked:
    """One line as the doors would see it. ``subject`` is a key; ``until`` is when it is to end, in whole seconds."""

    subject: str
    kind: str
    service: str
    routes: frozenset[str]
    points: frozenset[str]
    blocks: tuple[Block, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Opened:
    """``grants`` are those by which it is open, none where it is open to everybody; ``until`` is when that ends."""

    grants: tuple[str, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Live:
    """``coming`` are approved and not proven yet; ``held`` are all that the callers hold, by id."""

    graph: AccessGraph
    lists: address_lists.AddressGraph
    held: Mapping[str, GrantRow]
    at: int
    coming: frozenset[str] = field(default_factory=frozenset)

    def shape(self, service: str) -> Service | None:
        return self.graph.services.get(service)

    def opened(self, asked: Asked) -> Opened | None:
        """By what all of it is open already; None as soon as a part is not."""
        if asked.kind == SubjectKind.PARTY:
            return self._listed(asked)
        graph, who = acting_member(self.graph, asked.subject, asked.kind)
        shape = self.shape(asked.service)
        if shape is None or not asked.routes:
            return None
        decisions = list(decisions_of(graph, who, shape, asked.routes, asked.points, self.at))
        if not decisions or not all(one.allowed for one in decisions):
            return None
        ends = {grant.id: FOR_EVER if grant.ends_at is None else grant.ends_at for grant in graph.grants}
        until = min(max(ends[name] for name in one.grant_ids) for one in decisions)
        return Opened(tuple(sorted({name for one in decisions for name in one.grant_ids})), until)

    def _listed(self, asked: Asked) -> Opened | None:
        shape = self.shape(asked.service)
        if shape is None or shape.edge is None or not asked.blocks:
            return None
        if shape.edge.host not in self.lists.hosts:
            return Opened((), FOR_EVER)
        items = address_lists.items(self.lists, shape.edge.host, self.at)
        covering = [[item for item in items if within(block, item.block)] for block in asked.blocks]
        if not all(covering):
            return None
        grants = {name for found in covering for item in found for name in item.grants}
        return Opened(tuple(sorted(grants)), min(max(item.end for item in found) for found in covering))


def load_live(
    *,
    environment_slug: str,
    service_slugs: Collection[str],
    subject_keys: Collection[str],
    with_lists: bool = False,
    at: datetime,
) -> Live:
    """A handful of queries, however many lines. The lists are read where a party calls, or when they are wanted."""
    graph = access.graph_slice(service_slugs=service_slugs, environment_slug=environment_slug, at=at, also=subject_keys)
    teams = {team for key in subject_keys if key in graph.subjects for team in graph.subjects[key].teams}
    rows = access.list_running_of(keys={*subject_keys, *teams}, at=at).filter(environment__slug=environment_slug)
    held = {row.public_id: row for row in rows.filter(service__slug__in=service_slugs).prefetch_related("routes")}
    any_party = any(key.startswith(f"{SubjectKind.PARTY}:") for key in subject_keys)
    coming = frozenset(name for name, row in held.items() if row.state == GrantState.PENDING)
    return Live(
        graph=replace(graph, grants=tuple(one for one in graph.grants if one.id not in coming)),
        lists=_lists(environment_slug, coming, at) if with_lists or any_party else address_lists.AddressGraph(),
        held=held,
        at=int(at.timestamp()),
        coming=coming,
    )


def _lists(environment_slug: str, coming: frozenset[str], at: datetime) -> address_lists.AddressGraph:
    """Without what is not proven yet."""
    found = access.address_graph(environment_slug=environment_slug, at=at)
    return replace(found, openings=tuple(one for one in found.openings if one.grant_id not in coming))


def acting_member(graph: AccessGraph, key: str, kind: str) -> tuple[AccessGraph, str]:
    """A team calls nobody itself: what it may do is what a person who is in it and nowhere else may do."""
    if kind != SubjectKind.TEAM:
        return graph, key
    member = Subject(f"person:a member of {key}", SubjectKind.PERSON, teams=frozenset({key}))
    return replace(graph, subjects={**graph.subjects, member.id: member}), member.id


def with_grant(graph: AccessGraph, asked: Asked, grant_id: str, at: int) -> AccessGraph:
    """The graph as it would be if the line were granted."""
    proposed = Grant(
        id=grant_id,
        subject=asked.subject,
        service=asked.service,
        routes=asked.routes,
        points=frozenset(Point(point) for point in asked.points),
        starts_at=at,
        ends_at=asked.until,
    )
    return replace(graph, grants=(*graph.grants, proposed))


def decisions_of(
    graph: AccessGraph, who: str, shape: Service, routes: Iterable[str], points: Iterable[str], at: int
) -> Iterator[Decision]:
    """Of decide(), for every method of every route at every door."""
    pdp, wanted = Pdp(graph), set(routes)
    for route in shape.routes:
        if route.id in wanted:
            resource = Resource(shape.id, sample_path(route, shape.routes))
            for point in sorted(points):
                for method in sorted(route.methods):
                    yield pdp.decide(who, Action(method), resource, Context(Point(point)), at)


def sample_path(route: Route, beside: Sequence[Route]) -> str:
    """A path that takes this route: its parameters filled with what no literal beside it says."""
    literals = {part for other in beside for part in parse_template(other.template) if part}
    filler = "x"
    while filler in literals:
        filler += "x"
    return "/" + "/".join(filler if part is None else part for part in parse_template(route.template))


def wanted_until(line: FirewallLine, request: FirewallRequest, at: datetime) -> int:
    """In whole seconds."""
    end = line.until or request.ends_at
    return int(end.timestamp()) if end is not None else int(at.timestamp()) + (request.duration or 0)
