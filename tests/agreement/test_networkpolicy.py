"""decide() and NetworkPolicy agree as far as packets can: a port is open to whoever may call anything behind it.

The objects are read by the model of what Kubernetes documents, which tests/netpol holds against real packets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.emitters.cluster.networkpolicy import baseline, objects
from apps.compiler.emitters.cluster.objects import service_name
from apps.compiler.graph import AccessGraph, MeshExposure, Point, Route, Service, SubjectKind
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import ClusterSurroundings
from tests.agreement.network_model import Model, Pod
from tests.agreement.strategies import ACTORS, TRUST_DOMAIN, graphs, moments

LABEL = "app.kubernetes.io/name"
SERVERS = {"payments": "payments", "cart": "cart", "odd.id": "odd"}
WORKLOADS = tuple(actor for actor in ACTORS if actor.startswith("workload:"))
STRANGER = Pod("shop", "stranger", {LABEL: "stranger"})
NAMESAKE = Pod("elsewhere", "cart", {LABEL: "cart"})
INGRESS = Pod("nginx-ingress", "nginx-ingress", {LABEL: "nginx-ingress"})


def surroundings(at: int) -> ClusterSurroundings:
    return ClusterSurroundings("east", "https://console.shop.test", TRUST_DOMAIN, at=at, isolated=frozenset({"shop"}))


def settled(graph: AccessGraph) -> AccessGraph:
    """The services answer as accounts of their own, as they do in a cluster."""
    services = {one.id: replace(one, mesh=_exposure(one)) for one in graph.services.values()}
    return replace(graph, services=services)


def _exposure(service: Service) -> MeshExposure:
    assert service.mesh is not None
    return replace(service.mesh, workload=f"spiffe://{TRUST_DOMAIN}/ns/shop/sa/{SERVERS[service.id]}")


def pod_of(spiffe_id: str) -> Pod:
    name = spiffe_id.rpartition("/")[2]
    return Pod("shop", name, {LABEL: name})


def may_call_something(pdp: Pdp, subject: str, service: Service, at: int) -> bool:
    """By decide() alone, asked for every method on a path of every route."""
    return any(
        pdp.decide(subject, Action(method), Resource(service.id, example(route)), Context(Point.MESH), at).allowed
        for route in service.routes
        for method in route.methods
    )


def example(route: Route) -> str:
    return "/".join("7" if part.startswith("{") else part for part in route.template.split("/"))


@st.composite
def moments_of_graphs(draw: st.DrawFn) -> tuple[AccessGraph, int]:
    """Every second grant is a workload's, inside the mesh: those are what packets can show."""
    graph = settled(draw(graphs()))
    mine = (
        replace(grant, subject=WORKLOADS[place // 2 % 2], points=grant.points | {Point.MESH})
        if place % 2 == 0
        else grant
        for place, grant in enumerate(graph.grants)
    )
    graph = replace(graph, grants=tuple(mine))
    return graph, draw(moments(graph))


def test_a_port_is_open_exactly_to_those_who_may_call_something_behind_it() -> None:
    seen: Counter[bool] = Counter()

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(moments_of_graphs())
    def all_agree(drawn: tuple[AccessGraph, int]) -> None:
        seen.update(agreement(*drawn))

    all_agree()
    assert seen[True] >= 10
    assert seen[False] >= 20


def agreement(graph: AccessGraph, at: int) -> list[bool]:
    """What decide() says of each workload and service; the model must say the same."""
    given_to = surroundings(at)
    made = [
        policy
        for name, service in graph.services.items()
        for policy in objects(service_slice(graph, name), service, given_to)
    ]
    model = Model([*made, baseline("shop", egress=True)])
    return [answer for service in graph.services.values() for answer in _of_service(graph, service, at, model)]


def _of_service(graph: AccessGraph, service: Service, at: int, model: Model) -> list[bool]:
    pdp, server, port = Pdp(graph), _server(service), service.mesh.upstream_port if service.mesh else 0
    people = [one.id for one in graph.subjects.values() if one.kind in (SubjectKind.PERSON, SubjectKind.AGENT)]
    allowed = {one: may_call_something(pdp, one, service, at) for one in (*WORKLOADS, *people)}
    for subject in WORKLOADS:
        caller, wanted = pod_of(subject), allowed[subject]
        if caller != server:
            is_open = model.is_open(caller, server, port)
            assert is_open >= wanted, (subject, service, at, graph)
            assert is_open == wanted or not _each_route_counts(service), (subject, service, at, graph)
            assert not model.is_open(caller, server, port + 1)
    through = any(allowed[one] for one in people)
    assert model.is_open(INGRESS, server, port) >= through
    if not any(allowed.values()) and _each_route_counts(service):
        assert not model.is_open(INGRESS, server, port)
    assert not any(model.is_open(other, server, port) for other in (STRANGER, NAMESAKE))
    return [allowed[one] for one in WORKLOADS]


def _each_route_counts(service: Service) -> bool:
    """No route hides behind another of the same shape, so that what is granted can also be called."""
    ways = [
        (method, tuple("{}" if part.startswith("{") else part for part in route.template.split("/")))
        for route in service.routes
        for method in route.methods
    ]
    return len(ways) == len(set(ways))


def _server(service: Service) -> Pod:
    return Pod("shop", SERVERS[service.id], {LABEL: service_name(service.id)})
