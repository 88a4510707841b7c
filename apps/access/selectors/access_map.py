"""Who may call what, as a map: services down, the teams of those who hold access across, both doors in each cell.

It costs what a page of services holds, whatever the size of the estate: two queries besides those for the services.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from apps.access.models import Grant, GrantDoor
from apps.access.selectors.circumstances import openings_and_walls
from apps.access.states import LIVE_GRANTS
from apps.catalog import selectors as catalog
from apps.compiler import graph
from apps.compiler.both_doors import Held, Missing, held_at
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.catalog.models import Service

SERVICES, TEAMS = 15, 6
NO_TEAM = ("", "No team")


@dataclass(frozen=True, slots=True)
class Cell:
    """``edge`` and ``mesh`` count routes that somebody of the team may call there, ``gaps`` where they differ."""

    service: str
    team: str
    held: tuple[Held, ...] = ()

    @property
    def edge(self) -> int:
        return len(frozenset[str]().union(*(one.edge for one in self.held)))

    @property
    def mesh(self) -> int:
        return len(frozenset[str]().union(*(one.mesh for one in self.held)))

    @property
    def gaps(self) -> int:
        return sum(len(one.gaps) for one in self.held)

    @property
    def missing(self) -> tuple[Missing, ...]:
        return tuple(sorted({what for one in self.held for gap in one.gaps for what in gap.missing}))


@dataclass(frozen=True, slots=True)
class Row:
    """``others`` are the cells of teams that have no column of their own on this page."""

    service: Service
    routes: int
    has_edge: bool
    has_mesh: bool
    cells: tuple[Cell, ...]
    others: tuple[Cell, ...]

    @property
    def gaps(self) -> int:
        """Each holder counted once, also one who is in several teams."""
        held = {one.subject: one for cell in (*self.cells, *self.others) for one in cell.held}
        return sum(len(one.gaps) for one in held.values())


@dataclass(frozen=True, slots=True)
class AccessMap:
    """``teams`` are the columns, by key and name. ``after`` continues the list when passed back; None at its end."""

    teams: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    after: str | None


def access_map(
    *, at: datetime, team: str = "", owner: str = "", query: str = "", after: str = "", limit: int = SERVICES
) -> AccessMap:
    """``team`` (a key) is whose access it is about, ``owner`` whose services. Everybody may read it."""
    slugs = _reached_by(team, at) if team else None
    page = catalog.list_shapes(query=query, team=owner, slugs=slugs, after=after, limit=limit)
    read = _read([shape for _, shape in page.items], at)
    columns = _columns(read.cells, team)
    rows = tuple(_row(service, shape, read.cells[service.slug], columns) for service, shape in page.items)
    return AccessMap(tuple((key, read.names.get(key, key)) for key in columns), rows, page.after)


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """``names`` are those of the teams, ``subjects`` those who hold something, both by key."""

    cells: tuple[Cell, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, graph.Subject] = field(default_factory=dict)


def service_map(shape: graph.Service, at: datetime) -> ServiceMap:
    """Of one service. Two queries."""
    found = _read([shape], at)
    cells = tuple(cell for _, cell in sorted(found.cells[shape.id].items()))
    return ServiceMap(cells, found.names, found.subjects)


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A grant as a line from who holds it to a service, with the state of each door; empty where none is meant."""

    subject: str
    service: str
    edge: str
    mesh: str


def list_open_lines(
    *, at: datetime, services: Collection[int] = (), subjects: Collection[int] = (), limit: int
) -> tuple[OpenLine, ...]:
    """What is open or opening to any of ``services`` or for any of ``subjects``, by their row ids. One query."""
    rows = _running(at).filter(Q(service__in=services) | Q(subject__in=subjects)).order_by("service", "subject", "pk")
    said = GrantDoor.objects.filter(grant=OuterRef("pk")).values(one=Concat("point", Value(" "), "state"))
    found = rows.annotate(said=ArraySubquery(said)).values_list("subject__key", "service__slug", "said")[:limit]
    return tuple(_open_line(subject, service, dict(one.split() for one in doors)) for subject, service, doors in found)


def _open_line(subject: str, service: str, doors: Mapping[str, str]) -> OpenLine:
    return OpenLine(subject, service, doors.get("edge", ""), doors.get("mesh", ""))


def _reached_by(team: str, at: datetime) -> Collection[str]:
    """Slugs of the services that the team, what belongs to it or its members hold access to. One query."""
    whom = Q(subject__key=team) | Q(subject__team__key=team) | Q(subject__team_memberships__team__key=team)
    rows = _running(at).filter(whom)
    return set(rows.order_by().values_list("service__slug", flat=True).distinct())


def _running(at: datetime) -> QuerySet[Grant]:
    """What is open or opening where services usually run; neither traffic rules nor addresses."""
    rows = Grant.objects.filter(environment__is_default=True, state__in=LIVE_GRANTS, treatment__isnull=True)
    return rows.exclude(ends_at__lte=at).exclude(subject__kind=graph.SubjectKind.PARTY)


@dataclass(frozen=True, slots=True)
class _Read:
    """``cells`` by service and team."""

    cells: Mapping[str, Mapping[str, Cell]]
    names: Mapping[str, str]
    subjects: Mapping[str, graph.Subject]


def _read(shapes: Collection[graph.Service], at: datetime) -> _Read:
    slugs = [shape.id for shape in shapes]
    opened, walls = openings_and_walls(_running(at).filter(service__slug__in=slugs), slugs)
    grants: dict[str, list[graph.Grant]] = defaultdict(list)
    for grant in opened:
        grants[grant.service].append(grant)
    placed = identity.list_placed({one.subject for many in grants.values() for one in many}, at=at)
    names = dict([NO_TEAM, *(team for one in placed.values() for team in one.belongs)])
    who = graph.AccessGraph(subjects={key: one.subject for key, one in placed.items()}, guardrails=walls)
    unproven = {key for key, one in placed.items() if one.is_unproven}
    found: dict[str, dict[str, Cell]] = {}
    for shape in shapes:
        together: dict[str, list[Held]] = defaultdict(list)
        for held in held_at(who, shape, grants[shape.id], unproven):
            for team, _ in placed[held.subject].belongs or (NO_TEAM,):
                together[team].append(held)
        found[shape.id] = {team: Cell(shape.id, team, tuple(many)) for team, many in together.items()}
    return _Read(found, names, who.subjects)


def _columns(found: Mapping[str, Mapping[str, Cell]], team: str) -> list[str]:
    """The teams with most to see on this page; the one that is asked about alone."""
    if team:
        return [team]
    counted = Counter(key for cells in found.values() for key in cells)
    return sorted(sorted(counted, key=lambda key: (-counted[key], key))[:TEAMS])


def _row(service: Service, shape: graph.Service, cells: Mapping[str, Cell], columns: Collection[str]) -> Row:
    return Row(
        service=service,
        routes=len(shape.routes),
        has_edge=shape.edge is not None,
        has_mesh=shape.mesh is not None,
        cells=tuple(cells.get(team, Cell(shape.id, team)) for team in columns),
        others=tuple(cell for team, cell in sorted(cells.items()) if team not in columns),
    )
