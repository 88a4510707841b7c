"""Plain TCP as Kubernetes objects, and what is said where it cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.compiler.emitters.cluster import emit_service, emit_traps
from apps.compiler.emitters.cluster.leaving import Verdict, aspects
from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object
from apps.compiler.graph import AccessGraph, Breaker, EdgeExposure, TrafficRule
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import CLUSTER_EMITTERS, ClusterSurroundings
from tests.compiler.cluster.estate import SURROUNDINGS, of_kind, parsed
from tests.compiler.estate import ADA, BOTH, MESH
from tests.compiler.test_connections import DB, MAY_CONNECT, estate
from tests.contract.schemas import faults

SMI = replace(SURROUNDINGS, emitters=frozenset({"smi"}))
NETWORK = replace(SURROUNDINGS, emitters=frozenset({"networkpolicy"}))
SERVER = {"kind": "ServiceAccount", "name": "orders-db", "namespace": "shop"}
CART = {"kind": "ServiceAccount", "name": "cart", "namespace": "shop"}


def objects(graph: AccessGraph, surroundings: ClusterSurroundings = SMI) -> tuple[Object, ...]:
    return parsed(emit_service(service_slice(graph, "orders-db"), "orders-db", surroundings))


def codes(graph: AccessGraph, surroundings: ClusterSurroundings) -> set[str]:
    part = service_slice(graph, "orders-db")
    return {trap.code for trap in emit_traps(graph, part, part, graph.services["orders-db"], surroundings)}


def test_a_route_of_tcp_and_a_target_for_each_who_may_connect() -> None:
    made = objects(estate(MAY_CONNECT))
    [(name, route)] = of_kind(made, "TCPRoute").items()
    assert (route["apiVersion"], route["spec"]) == ("specs.smi-spec.io/v1alpha3", {})
    rules = [{"kind": "TCPRoute", "name": name}]
    shut, cart = (one["spec"] for one in of_kind(made, "TrafficTarget").values())
    nobody = {"kind": "ServiceAccount", "name": "sallyport-nobody", "namespace": "shop"}
    assert shut == {"destination": SERVER, "rules": rules, "sources": [nobody]}
    assert cart == {"destination": {**SERVER, "port": 5432}, "rules": rules, "sources": [CART]}
    assert of_kind(made, "HTTPRouteGroup") == {}
    assert lint_objects(made) == ()
    assert not any(faults(one) for one in made)


def test_without_a_grant_it_stays_closed() -> None:
    assert len(of_kind(objects(estate()), "TrafficTarget")) == 1
    [policy] = objects(estate(), NETWORK)
    assert policy["spec"]["ingress"] == []


def test_a_network_opens_the_port_to_the_pods_of_who_may_connect() -> None:
    [policy] = objects(estate(MAY_CONNECT), NETWORK)
    [rule] = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 5432}]
    assert [one["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for one in rule["from"]] == ["cart"]
    assert codes(estate(MAY_CONNECT), NETWORK) == {"ends_by_console"}


@pytest.mark.parametrize("emitter", ["nic", "gateway"])
def test_an_ingress_says_that_it_is_not_about_it(emitter: str) -> None:
    told = replace(SURROUNDINGS, emitters=frozenset({emitter}))
    assert objects(estate(MAY_CONNECT), told) == ()
    assert codes(estate(MAY_CONNECT), told) == {"tcp_left_out"}


def test_a_rule_from_before_is_left_out_and_said() -> None:
    rule = TrafficRule("t", "", "orders-db", frozenset({"connect"}), MESH, 0, breaker=Breaker(5, 30))
    graph = replace(estate(MAY_CONNECT), traffic=(rule,))
    assert of_kind(objects(graph), "CircuitBreaker") == {}
    assert "traffic_rule_left_out" in codes(graph, SMI)


def test_nobody_comes_to_it_by_the_ingress() -> None:
    """A connection does not say which person is behind it, so no ingress is let in, whatever people may do."""
    outside = replace(DB, edge=EdgeExposure("db.shop.test"))
    grant = replace(MAY_CONNECT, subject="person:ada", points=BOTH)
    graph = replace(estate(grant, service=outside), subjects={"person:ada": ADA})
    told = replace(SURROUNDINGS, emitters=frozenset(CLUSTER_EMITTERS))
    made = objects(graph, told)
    assert {one["kind"] for one in made} == {"NetworkPolicy", "TCPRoute", "TrafficTarget"}
    [shut] = of_kind(made, "TrafficTarget").values()
    assert shut["spec"]["sources"][0]["name"] == "sallyport-nobody"
    [policy] = of_kind(made, "NetworkPolicy").values()
    assert policy["spec"]["ingress"] == []
    assert "tcp_left_out" in codes(graph, told)


def test_leaving_the_mesh_loses_the_proof_of_who_connects() -> None:
    first = aspects(estate(MAY_CONNECT), DB, SMI)[0]
    assert (first.name, first.verdict) == ("Who may connect", Verdict.LOST)
    assert "nothing else here says who may connect" in first.after
