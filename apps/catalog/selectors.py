"""Reading the catalogue. Everybody who can sign in may read all of it: one must see a door to ask for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.catalog.errors import UnknownEnvironment, UnknownRoute, UnknownService
from apps.catalog.models import Dependency, Door, Environment, Exposure, ImportRun, Route, Service, Spoken
from apps.compiler import graph
from apps.compiler.connections import METHOD, connect_route
from apps.compiler.graph import Variant
from apps.compiler.paths import matches, ranked, segments


@dataclass(frozen=True, slots=True)
class Page:
    """``after`` continues the list when passed back; None at its end."""

    items: tuple[Service, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """That one service needs another. ``workload`` is the caller's subject key where it runs in the mesh.

    ``routes`` are the keys of the callee's routes it needs: those the catalogue names, else all of them.
    """

    caller: str
    callee: str
    workload: str | None
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A living service and where it answers in one environment; empty or None where it has no such door.

    ``team`` and ``workload`` are subject keys.
    """

    slug: str
    title: str
    upstream_name: str
    team: str
    sensitivity: str
    host: str = ""
    base_path: str = ""
    namespace: str = ""
    port: int | None = None
    upstream_port: int | None = None
    workload: str = ""


@dataclass(frozen=True, slots=True)
class EdgeAddress:
    service: str
    host: str
    base_path: str


def get_environment(slug: str | None = None) -> Environment:
    """The environment called ``slug``, or the default one; raises UnknownEnvironment."""
    wanted = Q(slug=slug) if slug else Q(is_default=True)
    found = Environment.objects.filter(wanted).first()
    if found is None:
        raise UnknownEnvironment(f"There is no environment {slug}." if slug else "There is no environment yet.")
    return found


def get_environment_by_id(pk: int) -> Environment:
    """For whoever has a row that points at it: it is there."""
    return Environment.objects.get(pk=pk)


def list_environments() -> QuerySet[Environment]:
    return Environment.objects.order_by("-is_default", "slug")


def get_service(slug: str) -> Service:
    """The service with its team, retired or not; raises UnknownService."""
    service = Service.objects.select_related("team").filter(slug=slug).first()
    if service is None:
        raise UnknownService
    return service


def list_services(
    *,
    query: str = "",
    team: str = "",
    sensitivity: str = "",
    retired: bool = False,
    after: str = "",
    limit: int = 50,
) -> Page:
    """Services by slug. ``query`` finds every word of it in what a service or one of its routes says of itself."""
    found = Service.objects.select_related("team").filter(retired_at__isnull=not retired)
    if team:
        found = found.filter(team__key=team)
    if sensitivity:
        found = found.filter(sensitivity=sensitivity)
    if after:
        found = found.filter(slug__gt=after)
    for word in query.replace("\x00", " ").lower().split()[:8]:
        found = found.filter(mentions(word))
    rows = tuple(found.order_by("slug")[: limit + 1])
    return Page(rows[:limit], rows[limit - 1].slug if len(rows) > limit else None)


def list_living_services() -> QuerySet[Service]:
    """All that are not retired, with their teams."""
    return Service.objects.filter(retired_at=None).select_related("team").order_by("slug")


def list_titles(slugs: Collection[str]) -> dict[str, str]:
    """By slug, of the services that exist."""
    return dict(Service.objects.filter(slug__in=slugs).values_list("slug", "title"))


def mentions(word: str) -> Q:
    routes = Route.objects.filter(service=OuterRef("pk"), retired_at=None, search_text__contains=word)
    return Q(search_text__contains=word) | Q(team__key__contains=word) | Q(Exists(routes))


def list_routes(service: Service) -> QuerySet[Route]:
    return Route.objects.filter(service=service, retired_at=None).order_by("template", "key")


def get_routes(service: Service, keys: Collection[str]) -> list[Route]:
    """The live routes with these keys, in order; raises UnknownRoute naming those that are not there."""
    found = list(list_routes(service).filter(key__in=keys))
    _require_none(service, set(keys) - {route.key for route in found})
    return found


def require_routes(service: Service, rows: Iterable[Route]) -> list[Route]:
    """As ``get_routes``, of rows that were read already."""
    found = sorted(rows, key=lambda route: (route.template, route.key))
    _require_none(service, {route.key for route in found if route.retired_at is not None})
    return found


def _require_none(service: Service, missing: Collection[str]) -> None:
    if missing:
        names = sorted(missing)
        raise UnknownRoute(f"{service.title} has no route {', '.join(names)}.", fields={"routes": names})


def match_route(service: Service, *, method: str, path: str) -> Route | None:
    """The route a call would take, by the one meaning of paths; None when it would be refused."""
    parts = segments(path)
    by_key = {route.key: route for route in list_routes(service)}
    for template, candidate in ranked(_graph_route(route) for route in by_key.values()):
        if parts is not None and method in candidate.methods and matches(template, parts):
            return by_key[candidate.id]
    return None


def list_exposures(service: Service) -> QuerySet[Exposure]:
    return (
        Exposure.objects.filter(service=service)
        .select_related("environment", "workload")
        .order_by("-environment__is_default", "environment__slug", "point")
    )


def list_variants(service: Service) -> tuple[Variant, ...]:
    """The other versions of a service where it usually runs."""
    row = Exposure.objects.filter(service=service, environment__is_default=True, point=Door.MESH).first()
    return _variants(row)


def list_callers(service: Service) -> QuerySet[Dependency]:
    """Who says it calls ``service``."""
    live = Dependency.objects.filter(callee=service, caller__retired_at=None)
    return live.select_related("caller__team").order_by("caller__slug")


def list_dependencies(environment: str | None = None) -> tuple[ServiceCall, ...]:
    """Every declared call between living services, with the workload that makes it in ``environment``."""
    where = get_environment(environment)
    living = Dependency.objects.filter(caller__retired_at=None, callee__retired_at=None)
    pairs = list(living.select_related("caller", "callee").order_by("caller__slug", "callee__slug"))
    mesh = Exposure.objects.filter(environment=where, point=Door.MESH).values_list("service_id", "workload__key")
    workloads: dict[int, str | None] = dict(mesh)
    everything = _route_keys(pair.callee_id for pair in pairs)
    return tuple(
        ServiceCall(
            caller=pair.caller.slug,
            callee=pair.callee.slug,
            workload=workloads.get(pair.caller_id),
            routes=tuple(key for key in everything[pair.callee_id] if not pair.routes or key in pair.routes),
        )
        for pair in pairs
    )


def _route_keys(service_ids: Iterable[int]) -> dict[int, list[str]]:
    keys: dict[int, list[str]] = defaultdict(list)
    rows = Route.objects.filter(service__in=set(service_ids), retired_at=None).order_by("key")
    for service_id, key in rows.values_list("service_id", "key"):
        keys[service_id].append(key)
    return keys


def list_placed(environment: str) -> tuple[Placed, ...]:
    """Every living service as it stands in an environment. Two queries."""
    doors = Exposure.objects.filter(environment__slug=environment, service__retired_at=None)
    facts: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in doors.values("service__slug", "point", *_EDGE_FACTS, *_MESH_FACTS, "workload__key"):
        names = _EDGE_FACTS if row["point"] == Door.EDGE else _MESH_FACTS
        found = {name: row[name] for name in names}
        facts[row["service__slug"]] |= (
            found if row["point"] == Door.EDGE else {**found, "workload": row["workload__key"]}
        )
    rows = Service.objects.filter(retired_at=None).order_by("slug")
    columns = rows.values_list("slug", "title", "upstream_name", "team__key", "sensitivity")
    return tuple(Placed(*row, **facts.get(row[0], {})) for row in columns)


_EDGE_FACTS = ("host", "base_path")
_MESH_FACTS = ("namespace", "port", "upstream_port")


def list_edge_addresses(slugs: Collection[str] | None = None) -> tuple[EdgeAddress, ...]:
    """Where services answer at the edge, longest base path first, so that the first match is the right one.

    All of them, or those with these slugs.
    """
    rows = Exposure.objects.filter(point=Door.EDGE, service__retired_at=None)
    if slugs is not None:
        rows = rows.filter(service__slug__in=slugs)
    found = [EdgeAddress(*row) for row in rows.values_list("service__slug", "host", "base_path")]
    return tuple(sorted(found, key=lambda one: (-len(one.base_path), one.host, one.base_path)))


def list_edge_hosts(environment: str) -> frozenset[str]:
    """Host names at the edge of an environment."""
    rows = Exposure.objects.filter(point=Door.EDGE, service__retired_at=None, environment__slug=environment)
    return frozenset(rows.values_list("host", flat=True))


def list_owned_by(team_keys: Iterable[str]) -> tuple[str, ...]:
    """Slugs of the services of these teams, retired ones included: their calls stay theirs to see."""
    slugs = Service.objects.filter(team__key__in=set(team_keys)).order_by("slug")
    return tuple(slugs.values_list("slug", flat=True))


def list_import_runs(limit: int = 20) -> QuerySet[ImportRun]:
    return ImportRun.objects.order_by("-at", "-id")[:limit]


def graph_services(slugs: Collection[str] | None, environment: str | None = None) -> dict[str, graph.Service]:
    """The compiler's view of living services as they stand in an environment. ``None`` means all. Three queries."""
    found = Service.objects.filter(retired_at=None)
    if slugs is not None:
        found = found.filter(slug__in=slugs)
    services = list(found.order_by("slug"))
    routes, doors = _routes_of(services), _doors_of(services, environment)
    return {service.slug: _shape(service, routes[service.pk], doors) for service in services}


@dataclass(frozen=True, slots=True)
class Shapes:
    """Services with the compiler's view of each. ``after`` continues the list when passed back; None at its end."""

    items: tuple[tuple[Service, graph.Service], ...]
    after: str | None


def list_shapes(
    *,
    environment: str | None = None,
    query: str = "",
    team: str = "",
    slugs: Collection[str] | None = None,
    after: str = "",
    limit: int = 20,
) -> Shapes:
    """As ``list_services``, with routes and doors. ``slugs`` narrows it. Three queries."""
    found = Service.objects.select_related("team").filter(retired_at=None, slug__gt=after)
    if team:
        found = found.filter(team__key=team)
    if slugs is not None:
        found = found.filter(slug__in=slugs)
    for word in query.replace("\x00", " ").lower().split()[:8]:
        found = found.filter(mentions(word))
    rows = list(found.order_by("slug")[: limit + 1])
    shown = rows[:limit]
    routes, doors = _routes_of(shown), _doors_of(shown, environment)
    items = tuple((one, _shape(one, routes[one.pk], doors)) for one in shown)
    return Shapes(items, shown[-1].slug if len(rows) > limit else None)


def list_plain_tcp(slugs: Collection[str], environment: str) -> set[str]:
    """Those of the services that are plain TCP in an environment."""
    rows = Exposure.objects.filter(service__slug__in=slugs, environment__slug=environment, protocol=Spoken.TCP)
    return set(rows.values_list("service__slug", flat=True))


def _shape(service: Service, routes: Iterable[graph.Route], doors: Mapping[tuple[int, str], Exposure]) -> graph.Service:
    edge, mesh = doors.get((service.pk, Door.EDGE)), doors.get((service.pk, Door.MESH))
    shown = _what(routes, mesh)
    return graph.Service(service.slug, service.title, shown, _edge(edge), _mesh(mesh), _variants(mesh))


def shape_of(service: Service, routes: Iterable[Route], exposures: Iterable[Exposure]) -> graph.Service:
    """The compiler's view of a service from rows that are there already; the exposures are those of one environment."""
    doors = {row.point: row for row in exposures}
    return graph.Service(
        id=service.slug,
        name=service.title,
        routes=_what(map(_graph_route, sorted(routes, key=lambda one: one.key)), doors.get(Door.MESH)),
        edge=_edge(doors.get(Door.EDGE)),
        mesh=_mesh(doors.get(Door.MESH)),
        variants=_variants(doors.get(Door.MESH)),
    )


def _what(routes: Iterable[graph.Route], mesh: Exposure | None) -> tuple[graph.Route, ...]:
    return what_is_there(routes, mesh.upstream_port if mesh is not None and mesh.protocol == Spoken.TCP else None)


def what_is_there(routes: Iterable[graph.Route], tcp_port: int | None) -> tuple[graph.Route, ...]:
    """Of plain TCP there is nothing to do but to connect, to the port it has in this environment."""
    if tcp_port is not None:
        return (connect_route(tcp_port),)
    return tuple(route for route in routes if METHOD not in route.methods)


def _routes_of(services: list[Service]) -> dict[int, list[graph.Route]]:
    found: dict[int, list[graph.Route]] = defaultdict(list)
    for route in Route.objects.filter(service__in=services, retired_at=None).order_by("service_id", "key"):
        found[route.service_id].append(_graph_route(route))
    return found


def _graph_route(route: Route) -> graph.Route:
    return graph.Route(id=route.key, methods=frozenset(route.methods), template=route.template)


def _doors_of(services: list[Service], environment: str | None) -> dict[tuple[int, str], Exposure]:
    where = Q(environment__slug=environment) if environment else Q(environment__is_default=True)
    rows = Exposure.objects.filter(where, service__in=services).select_related("workload")
    return {(row.service_id, row.point): row for row in rows}


def _edge(row: Exposure | None) -> graph.EdgeExposure | None:
    return graph.EdgeExposure(host=row.host, base_path=row.base_path) if row else None


def _mesh(row: Exposure | None) -> graph.MeshExposure | None:
    """The row's constraint promises what a mesh exposure needs."""
    if row is None or row.workload is None or row.upstream_port is None:
        return None
    return graph.MeshExposure(
        namespace=row.namespace,
        workload=row.workload.spiffe_id or "",
        port=row.port or row.upstream_port,
        upstream_port=row.upstream_port,
        protocol=graph.Protocol(row.protocol),
    )


def _variants(row: Exposure | None) -> tuple[Variant, ...]:
    return tuple(sorted(map(read_variant, row.variants if row else ()), key=lambda variant: variant.name))


def read_variant(told: str) -> Variant:
    """Out of how an exposure keeps it."""
    """From ``name:port`` or ``name:port@origin``."""
    name, _, where = told.partition(":")
    port, _, origin = where.partition("@")
    return Variant(name, int(port), origin)
