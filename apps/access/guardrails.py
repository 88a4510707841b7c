"""What the guardrails say about an ask. They are also compiled into the graph, so every door says the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from django.db.models import Q, QuerySet

from apps.access import models
from apps.compiler.decide import guards, stands
from apps.compiler.graph import Guardrail, Point, Route, Subject, SubjectKind


def list_guardrail_rows(service_slugs: Collection[str] | None) -> QuerySet[models.Guardrail]:
    """The guardrails that can stand in front of any of these services; None means all services."""
    rows = models.Guardrail.objects.filter(enabled=True).order_by("slug")
    if service_slugs is None:
        return rows
    return rows.filter(Q(services=[]) | Q(services__overlap=list(service_slugs)))


def graph_guardrail(row: models.Guardrail) -> Guardrail:
    """The compiler's view."""
    return Guardrail(
        id=row.slug,
        sentence=row.sentence,
        kinds=frozenset(SubjectKind(kind) for kind in row.kinds),
        subjects=frozenset(row.subjects),
        services=frozenset(row.services),
        routes=frozenset(row.routes),
        methods=frozenset(row.methods),
        points=frozenset(Point(point) for point in row.points),
    )


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One guardrail in front of one route at one point. ``is_whole`` when no method of the route is left."""

    guardrail: Guardrail
    route: Route
    point: Point
    methods: frozenset[str]

    @property
    def is_whole(self) -> bool:
        return self.methods == self.route.methods

    @property
    def sentence(self) -> str:
        methods = ", ".join(sorted(self.methods))
        return f"{self.guardrail.sentence} ({methods} {self.route.template} at the {self.point} stays closed.)"


def obstacles(
    guardrails: Iterable[Guardrail], who: Subject, service: str, routes: Iterable[Route], points: Iterable[Point]
) -> tuple[Obstacle, ...]:
    """Every guardrail that stands between ``who`` and what is asked for, the complete ones first."""
    concerned = [g for g in guardrails if guards(g, who) and (not g.services or service in g.services)]
    found = _walk(concerned, tuple(routes), tuple(points))
    return tuple(sorted(found, key=lambda o: (not o.is_whole, o.guardrail.id, o.route.id, o.point)))


def _walk(guardrails: list[Guardrail], routes: tuple[Route, ...], points: tuple[Point, ...]) -> Iterator[Obstacle]:
    for guardrail, route, point in product(guardrails, routes, points):
        closed = frozenset(method for method in route.methods if stands(guardrail, route, method, point))
        if closed:
            yield Obstacle(guardrail, route, point, closed)
