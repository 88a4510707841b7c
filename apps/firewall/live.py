"""What is open now between some callers and some services: the live graph without what is only on its way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from apps.access import selectors as access
from apps.catalog.shapes import list_around
from apps.compiler import address_lists
from apps.compiler.addresses import Block, within
from apps.compiler.decide import Action, Context, Decision, Pdp, Resource
from apps.compiler.graph import AccessGraph, Grant, Point, Route, Service, Subject, SubjectKind
from apps.compiler.paths import parse_template
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.firewall.models import FirewallLine, FirewallRequest
    from apps.identity.models import Subject as SubjectRow

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
    """``held`` are all that the callers hold, by id, and ``wishes`` what they asked for and nobody answered.

    ``needed`` are the routes of each service that the catalogue says a workload needs.
    """

    graph: AccessGraph
    lists: address_lists.AddressGraph
    held: Mapping[str, access.HeldGrant]
    at: int
    wishes: tuple[access.Wish, ...] = ()
    needed: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

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
    viewer: SubjectRow | None = None,
    at: datetime,
) -> Live:
    """Three queries, however many lines, and one more while anybody is turned away. Wishes are what ``viewer`` sees."""
    around = list_around(service_slugs, environment_slug, subject_keys)
    shapes = {slug: one.shape for slug, one in around.items()}
    found = access.read_circumstances(
        service_slugs=service_slugs,
        environment_slug=environment_slug,
        hosts={shape.edge.host for shape in shapes.values() if shape.edge is not None},
        subject_keys=subject_keys,
        sight=None if viewer is None else access.sight_of(viewer),
        at=at,
    )
    named = {grant.subject for grant in found.grants}.union(subject_keys, *(wall.subjects for wall in found.guardrails))
    subjects, denied = identity.graph_subjects_and_denied(named, at=at)
    holders = {*subject_keys, *(team for key in subject_keys if key in subjects for team in subjects[key].teams)}
    return Live(
        graph=AccessGraph(
            subjects=subjects,
            services=shapes,
            grants=tuple(one for one in found.grants if one.service in shapes),
            guardrails=found.guardrails,
            denials=access.denials_at(denied, service_slugs, environment_slug),
        ),
        lists=found.lists,
        held={name: one for name, one in found.held.items() if one.subject in holders},
        at=int(at.timestamp()),
        wishes=found.wishes,
        needed={slug: one.needed for slug, one in around.items()},
    )


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
