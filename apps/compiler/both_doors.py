"""What each door lets each holder do, where the two disagree, and what is missing for them to agree.

Whoever comes from outside needs both doors of a service that has two; a workload calls inside and needs the mesh.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from apps.compiler.decide import open_methods
from apps.compiler.graph import AccessGraph, Grant, Point, Service, Subject, SubjectKind
from apps.compiler.words import listed, route_words, routes_words, service_name, subject_name

_EITHER = ((Point.EDGE, Point.MESH), (Point.MESH, Point.EDGE))

Left = Mapping[str, frozenset[str]]
"""Of each route the methods that guardrails leave open at a door."""

_SERVICE_ACCOUNT = re.compile(r"workload:spiffe://[^/]+/ns/([^/]+)/sa/([^/]+)")


class Missing(StrEnum):
    """What would have to be there. A claim is in a token, a header on a call; the others are in the catalogue."""

    CLAIM = "claim"
    HEADER = "header"
    HOST = "host"
    NAMESPACE = "namespace"
    SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Gap:
    """``routes`` that one door opens and ``shut`` does not. ``by_asking``: a grant would close it.

    Where a guardrail shuts a door nothing is ``missing``: it is meant to be shut.
    """

    routes: frozenset[str]
    shut: Point
    missing: tuple[Missing, ...]
    sentence: str
    by_asking: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What ``subject`` may call at each door, by its own grants and those of its teams. ``grant_ids`` are its own."""

    subject: str
    service: str
    edge: frozenset[str]
    mesh: frozenset[str]
    grant_ids: tuple[str, ...]
    gaps: tuple[Gap, ...]


def held_at(
    graph: AccessGraph, service: Service, grants: Sequence[Grant], unproven: Collection[str] = ()
) -> tuple[Held, ...]:
    """One for each subject with a grant of its own among ``grants``, which are those of the service that run.

    What guardrails of ``graph`` shut is shut, and who is suspended may call nothing. ``unproven`` are subjects that
    have no way to a token, so that the edge cannot know them.
    """
    by_holder: dict[str, list[Grant]] = defaultdict(list)
    for grant in grants:
        if grant.subject in graph.subjects:
            by_holder[grant.subject].append(grant)
    return tuple(
        _held(graph, service, graph.subjects[holder], own, _usable(graph, holder, by_holder), holder in unproven)
        for holder, own in sorted(by_holder.items())
    )


def _usable(graph: AccessGraph, holder: str, by_holder: dict[str, list[Grant]]) -> list[Grant]:
    teams = [team for team in sorted(graph.subjects[holder].teams & by_holder.keys()) if graph.subjects[team].active]
    return [grant for one in (holder, *teams) for grant in by_holder[one]]


def _held(
    graph: AccessGraph, service: Service, who: Subject, own: list[Grant], usable: list[Grant], is_unproven: bool
) -> Held:
    ids = tuple(sorted(grant.id for grant in own))
    if not who.active:
        return Held(who.id, service.id, frozenset(), frozenset(), ids, ())
    granted = {point: frozenset(r for g in usable if point in g.points for r in g.routes) for point in Point}
    left = {point: _left(graph, service, who, point) for point in Point}
    reach = {point: granted[point] & left[point].keys() for point in Point}
    mine = frozenset(route for grant in own for route in grant.routes)
    askable = {point: reach[point] - (granted[other] | _barred(service, left[other])) for point, other in _EITHER}
    gaps = (
        *_gaps(graph, service, who, askable, mine),
        *_walls(graph, service, who, left, {point: reach[point] & mine for point in Point}),
        *_nameless(graph, service, who, reach, is_unproven),
    )
    return Held(who.id, service.id, reach[Point.EDGE], reach[Point.MESH], ids, gaps)


def _left(graph: AccessGraph, service: Service, who: Subject, point: Point) -> Left:
    ways = ((route.id, open_methods(graph.guardrails, who, service.id, route, point)) for route in service.routes)
    return {route: methods for route, methods in ways if methods}


def _barred(service: Service, left: Left) -> frozenset[str]:
    return frozenset(route.id for route in service.routes) - left.keys()


def _walls(
    graph: AccessGraph, service: Service, who: Subject, left: dict[Point, Left], reach: dict[Point, frozenset[str]]
) -> Iterator[Gap]:
    """What one door lets through, and guardrails forbid at the other alone. A workload needs no edge."""
    if service.edge is None or service.mesh is None:
        return
    for point, shut in _EITHER:
        if shut is Point.EDGE and who.kind is SubjectKind.WORKLOAD:
            continue
        across = [
            replace(route, methods=left[point][route.id] - left[shut].get(route.id, frozenset()))
            for route in service.routes
            if route.id in reach[point]
        ]
        found = [route for route in across if route.methods]
        if found:
            what = listed(sorted(map(route_words, found)))
            words = f"The {point} lets {subject_name(graph, who.id)} call {what}. A guardrail forbids it at the {shut}."
            yield Gap(frozenset(route.id for route in found), shut, (), words, by_asking=False)


def _gaps(
    graph: AccessGraph, service: Service, who: Subject, only: dict[Point, frozenset[str]], mine: frozenset[str]
) -> Iterator[Gap]:
    inside = who.kind is SubjectKind.WORKLOAD
    only_edge, only_mesh = only[Point.EDGE] & mine, only[Point.MESH] & mine
    if only_edge:
        yield _shut_mesh(graph, service, who, only_edge)
    if only_mesh and not inside and service.edge is not None:
        yield _shut_edge(graph, service, who, only_mesh)
    if only_mesh and not inside and service.edge is None:
        words = f"The catalogue names no host of {_where(graph, service)} at the edge, so nobody comes in from outside."
        yield Gap(only_mesh, Point.EDGE, (Missing.HOST,), words, by_asking=False)


def _where(graph: AccessGraph, service: Service) -> str:
    return service.name or service_name(graph, service.id)


def _shut_mesh(graph: AccessGraph, service: Service, who: Subject, routes: frozenset[str]) -> Gap:
    name, what = subject_name(graph, who.id), routes_words(service, routes)
    if service.mesh is None:
        words = f"The catalogue names no namespace and no service account of {_where(graph, service)} in the mesh."
        return Gap(routes, Point.MESH, (Missing.NAMESPACE, Missing.SERVICE_ACCOUNT), words, by_asking=False)
    account = _SERVICE_ACCOUNT.fullmatch(who.id)
    if account is not None:
        words = (
            f"The edge lets {name} call {what}. The mesh has no grant for service account {account[2]} "
            f"in namespace {account[1]}."
        )
        return Gap(routes, Point.MESH, (Missing.SERVICE_ACCOUNT,), words, by_asking=True)
    words = f"The edge lets {name} call {what}. The mesh has no grant for the claim sub {who.id} of the Txn-Token."
    return Gap(routes, Point.MESH, (Missing.CLAIM,), words, by_asking=True)


def _shut_edge(graph: AccessGraph, service: Service, who: Subject, routes: frozenset[str]) -> Gap:
    name, what = subject_name(graph, who.id), routes_words(service, routes)
    words = (
        f"The mesh lets {name} call {what}, but asks for the header Txn-Token. Only the edge gives it, "
        f"and the edge has no grant for the claim sub {who.id}."
    )
    return Gap(routes, Point.EDGE, (Missing.HEADER, Missing.CLAIM), words, by_asking=True)


def _nameless(
    graph: AccessGraph, service: Service, who: Subject, reach: dict[Point, frozenset[str]], is_unproven: bool
) -> Iterator[Gap]:
    """Open, but a door has no way to know who it is."""
    if is_unproven and reach[Point.EDGE]:
        words = f"{subject_name(graph, who.id)} has no way to a token, so no call carries its claim sub to the edge."
        yield Gap(reach[Point.EDGE], Point.EDGE, (Missing.CLAIM,), words, by_asking=False)
    inside = who.kind is SubjectKind.WORKLOAD and bool(reach[Point.MESH])
    if inside and _SERVICE_ACCOUNT.fullmatch(who.id) is None:
        words = f"The id of {subject_name(graph, who.id)} names no namespace and service account, as a mesh must have."
        yield Gap(reach[Point.MESH], Point.MESH, (Missing.NAMESPACE, Missing.SERVICE_ACCOUNT), words, by_asking=False)
