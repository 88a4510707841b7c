"""A few services as the compiler sees them, and where they have something in common with others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q
from django.db.models.functions import JSONObject

from apps.catalog.models import Dependency, Door, Exposure, Route, Service, Spoken
from apps.catalog.selectors import read_variant, what_is_there
from apps.compiler import graph

_ROUTE = JSONObject(id="key", methods="methods", template="template")
_DOOR = JSONObject(
    point="point",
    host="host",
    base_path="base_path",
    namespace="namespace",
    workload="workload__spiffe_id",
    port="port",
    upstream_port="upstream_port",
    protocol="protocol",
    variants="variants",
)


@dataclass(frozen=True, slots=True)
class Around:
    """A service, and which of its routes the catalogue says each workload needs, by the workload's key."""

    shape: graph.Service
    needed: Mapping[str, tuple[str, ...]]


def list_around(slugs: Collection[str], environment: str, callers: Collection[str] = ()) -> dict[str, Around]:
    """Living services by slug as they stand in an environment, in one query. ``callers`` are keys of workloads."""
    routes = Route.objects.filter(service=OuterRef("pk"), retired_at=None).order_by("key")
    doors = Exposure.objects.filter(service=OuterRef("pk"), environment__slug=environment)
    needs = Dependency.objects.filter(
        callee=OuterRef("pk"),
        caller__exposures__workload__key__in=callers,
        caller__exposures__environment__slug=environment,
    )
    rows = Service.objects.filter(retired_at=None, slug__in=slugs).annotate(
        route_rows=ArraySubquery(routes.values(row=_ROUTE)),
        door_rows=ArraySubquery(doors.values(row=_DOOR)),
        need_rows=ArraySubquery(
            needs.values(row=JSONObject(workload="caller__exposures__workload__key", routes="routes"))
        ),
    )
    columns = rows.order_by("slug").values_list("slug", "title", "route_rows", "door_rows", "need_rows")
    return {slug: Around(_shape(slug, title, found, at), _needed(needs)) for slug, title, found, at, needs in columns}


def _shape(slug: str, title: str, routes: Iterable[Any], doors: Iterable[Any]) -> graph.Service:
    by_point = {door["point"]: door for door in doors}
    edge, mesh = by_point.get(Door.EDGE), by_point.get(Door.MESH)
    known = (graph.Route(one["id"], frozenset(one["methods"]), one["template"]) for one in routes)
    return graph.Service(
        id=slug,
        name=title,
        routes=what_is_there(known, mesh["upstream_port"] if mesh and mesh["protocol"] == Spoken.TCP else None),
        edge=graph.EdgeExposure(edge["host"], edge["base_path"]) if edge else None,
        mesh=_mesh(mesh) if mesh else None,
        variants=tuple(sorted(map(read_variant, mesh["variants"] if mesh else ()), key=lambda one: one.name)),
    )


def _mesh(door: Mapping[str, Any]) -> graph.MeshExposure:
    return graph.MeshExposure(
        namespace=door["namespace"],
        workload=door["workload"] or "",
        port=door["port"] or door["upstream_port"],
        upstream_port=door["upstream_port"],
        protocol=graph.Protocol(door["protocol"]),
    )


def _needed(rows: Iterable[Any] | None) -> dict[str, tuple[str, ...]]:
    """There is no list where nobody was named as a caller."""
    return {row["workload"]: tuple(row["routes"]) for row in rows or ()}


@dataclass(frozen=True, slots=True)
class DoorAt:
    """Where a service answers in an environment; ``workload`` is the key of what it runs as, empty at the edge."""

    environment: str
    point: str
    host: str
    base_path: str
    namespace: str
    port: int | None
    workload: str


@dataclass(frozen=True, slots=True)
class Ties:
    """``callers`` say that they call the service, ``callees`` are what it says it calls: slug and title, none retired.

    ``doors`` are those of all environments.
    """

    doors: tuple[DoorAt, ...] = ()
    callers: tuple[tuple[str, str], ...] = ()
    callees: tuple[tuple[str, str], ...] = ()


_AT = ("environment", "point", "host", "base_path", "namespace", "port", "workload")


def get_ties(service: Service) -> Ties:
    """What ties a service to the rest, in one query."""
    doors = Exposure.objects.filter(service=OuterRef("pk")).order_by("environment__slug", "point")
    callers = Dependency.objects.filter(callee=OuterRef("pk"), caller__retired_at=None).order_by("caller__slug")
    callees = Dependency.objects.filter(caller=OuterRef("pk"), callee__retired_at=None).order_by("callee__slug")
    columns = {**dict(zip(_AT, _AT, strict=True)), "environment": "environment__slug", "workload": "workload__key"}
    rows = Service.objects.filter(pk=service.pk).annotate(
        door_rows=ArraySubquery(doors.values(row=JSONObject(**columns))),
        caller_rows=ArraySubquery(callers.values(row=JSONObject(slug="caller__slug", title="caller__title"))),
        callee_rows=ArraySubquery(callees.values(row=JSONObject(slug="callee__slug", title="callee__title"))),
    )
    found = rows.values_list("door_rows", "caller_rows", "callee_rows").first()
    if found is None:
        return Ties()
    named = ((tuple((row["slug"], row["title"]) for row in rows)) for rows in found[1:])
    return Ties(tuple(DoorAt(**{**row, "workload": row["workload"] or ""}) for row in found[0]), *named)


def list_sharing(slugs: Iterable[str], *, environment: str, among: Iterable[str]) -> dict[str, set[str]]:
    """Living services of the environments ``among`` that run as the workload, or answer at the address, that one of
    these has in ``environment``: slugs by environment. Two queries.
    """
    mine = Exposure.objects.filter(service__slug__in=set(slugs), environment__slug=environment)
    alike = Q(pk__in=[])
    for point, host, base_path, workload in mine.values_list("point", "host", "base_path", "workload"):
        own = Q(host=host, base_path=base_path) if point == Door.EDGE else Q(workload=workload)
        alike |= own & Q(point=point)
    found: dict[str, set[str]] = defaultdict(set)
    rows = Exposure.objects.filter(alike, environment__slug__in=set(among), service__retired_at=None)
    for where, slug in rows.values_list("environment__slug", "service__slug"):
        found[where].add(slug)
    return dict(found)
