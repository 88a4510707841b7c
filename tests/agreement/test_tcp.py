"""Who may connect to services of plain TCP: decide(), SMI and NetworkPolicy agree, and nobody else carries it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.compiler.connections import CONNECT, METHOD, connect_route
from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.emitters.cluster import emit_common, emit_service
from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.networkpolicy import baseline
from apps.compiler.emitters.cluster.objects import Account, Object, server_account
from apps.compiler.emitters.nginx import emit_shard
from apps.compiler.graph import AccessGraph, Point, Protocol, Service
from apps.compiler.paths import METHODS
from apps.compiler.slices import service_slice, split
from apps.compiler.surroundings import ClusterSurroundings
from tests.agreement.clusters import Smi
from tests.agreement.mesh import surroundings as around_nodes
from tests.agreement.network_model import Model, Pod
from tests.agreement.strategies import TRUST_DOMAIN, graphs, moments
from tests.agreement.test_networkpolicy import LABEL, STRANGER, WORKLOADS, _server, pod_of, settled

AROUND = ClusterSurroundings(
    "east",
    "https://console.shop.test",
    TRUST_DOMAIN,
    emitters=frozenset({"smi", "networkpolicy", "nic", "gateway"}),
    mtls="strict",
    verifier="sallyport/sp-verifier:8080",
    gateway="gateways/outside",
    isolated=frozenset({"shop"}),
)


def plain(service: Service) -> Service:
    assert service.mesh is not None
    port = service.mesh.upstream_port
    exposure = replace(service.mesh, port=port, protocol=Protocol.TCP)
    return replace(service, routes=(connect_route(port),), edge=None, mesh=exposure, variants=())


@st.composite
def moments_of_graphs(draw: st.DrawFn) -> tuple[AccessGraph, int, str]:
    graph = settled(draw(graphs()))
    mine = (
        replace(
            grant,
            subject=WORKLOADS[place % 2] if place % 4 else grant.subject,
            points=grant.points | {Point.MESH},
            routes=frozenset({CONNECT}),
        )
        for place, grant in enumerate(graph.grants)
    )
    walls = [replace(wall, routes=frozenset(), methods=frozenset()) for wall in graph.guardrails if wall.subjects]
    services = {name: plain(service) for name, service in graph.services.items()}
    graph = replace(graph, services=services, grants=tuple(mine), guardrails=tuple(walls))
    return graph, draw(moments(graph)), draw(st.sampled_from(("allow", "deny")))


def compiled(graph: AccessGraph, around: ClusterSurroundings) -> tuple[Object, ...]:
    shards = [one for service, part in split(graph) for one in emit_service(part, service, around)]
    return tuple(json.loads(artifact.content) for artifact in (*emit_common(graph, around), *shards))


def test_whoever_decide_lets_connect_is_let_connect_and_nobody_else() -> None:
    seen: Counter[bool] = Counter()

    @settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(moments_of_graphs())
    def all_agree(drawn: tuple[AccessGraph, int, str]) -> None:
        seen.update(agreement(*drawn))

    all_agree()
    assert seen[True] >= 10, seen
    assert seen[False] >= 20, seen


def agreement(graph: AccessGraph, at: int, mode: str) -> list[bool]:
    around = replace(AROUND, at=at, access_control=mode)
    made = compiled(graph, around)
    assert lint_objects(made) == ()
    assert {one["kind"] for one in made} <= {"TCPRoute", "TrafficTarget", "NetworkPolicy", *VERIFYING}
    smi = Smi(made, mode)
    network = Model([*(one for one in made if one["kind"] == "NetworkPolicy"), baseline("shop", egress=True)])
    found = []
    for service in graph.services.values():
        assert emit_shard(service_slice(graph, service.id), service.id, around_nodes(9000, {})) == ()
        found += of_service(graph, service, at, smi, network, around)
    return found


VERIFYING = frozenset({"ConfigMap", "Deployment", "Service", "Policy"})
"""Of a verifier that is asked about none of them."""


def of_service(
    graph: AccessGraph, service: Service, at: int, smi: Smi, network: Model, around: ClusterSurroundings
) -> list[bool]:
    pdp, destination, server = Pdp(graph), server_account(service, around), _server(service)
    assert service.mesh is not None
    assert destination is not None
    port, found = service.mesh.upstream_port, []
    for subject in WORKLOADS:
        wanted = may(pdp, subject, service, METHOD, f"/{port}", at)
        source = Account("shop", pod_of(subject).name)
        assert smi.connects(source, destination, port) == wanted, (subject, service, at, graph)
        assert not smi.connects(source, destination, port + 1)
        assert not any(smi.allows(source, destination, port, method, "/") for method in METHODS)
        if pod_of(subject) != server:
            assert network.is_open(pod_of(subject), server, port) == wanted, (subject, service, at, graph)
            assert not network.is_open(pod_of(subject), server, port + 1)
        for method, path in ((METHOD, f"/{port + 1}"), (METHOD, "/"), ("GET", f"/{port}"), ("POST", "/")):
            assert not may(pdp, subject, service, method, path, at)
        found.append(wanted)
    assert not smi.connects(Account("shop", STRANGER.name), destination, port)
    assert not network.is_open(Pod("shop", "stranger", {LABEL: "stranger"}), server, port)
    return found


def may(pdp: Pdp, subject: str, service: Service, method: str, path: str, at: int) -> bool:
    return pdp.decide(subject, Action(method), Resource(service.id, path), Context(Point.MESH), at).allowed
