"""What the two ingress controllers are told, and what a reviewer is told about it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from apps.compiler.emitters.cluster import emit_common, emit_service, emit_traps
from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object
from apps.compiler.graph import AccessGraph, Breaker, EdgeExposure, Grant, TrafficRule, Variant
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import ClusterSurroundings
from tests.compiler.cluster.estate import SURROUNDINGS, emitted, of_kind, parsed
from tests.compiler.estate import CART, MESH, NIGHT, PAYMENTS, estate

NIC = replace(SURROUNDINGS, emitters=frozenset({"nic"}))
GATEWAY = replace(SURROUNDINGS, emitters=frozenset({"gateway"}))
ROUTES = frozenset(route.id for route in PAYMENTS.routes)


def test_one_server_per_host_refers_to_a_route_of_each_service() -> None:
    graph = replace(
        estate(), services={"payments": PAYMENTS, "cart": replace(CART, edge=EdgeExposure("API.shop.test"))}
    )
    [server] = of_kind(parsed(emit_common(graph, NIC)), "VirtualServer").values()
    assert server["metadata"]["namespace"] == "sallyport"
    assert server["spec"] == {
        "host": "api.shop.test",
        "ingressClassName": "nginx",
        "policies": [{"name": "sp-clients"}],
        "tls": {"secret": "host-tls"},
        "routes": [
            {"path": "/", "route": "shop/sp-cart"},
            {"path": "/payments/", "route": "shop/sp-payments"},
            {"path": "=/payments", "route": "shop/sp-payments-base"},
        ],
    }


def test_every_call_is_asked_about_with_method_and_path_in_the_address() -> None:
    objects = parsed(emitted(estate(), NIC))
    policy = of_kind(objects, "Policy")["sp-payments-verify"]["spec"]
    assert policy == {
        "ingressClassName": "nginx",
        "externalAuth": {
            "authURI": "/nic/payments/$request_method$request_uri",
            "authServiceName": "sallyport/sp-verifier",
            "authServicePorts": [8080],
        },
    }
    for route in of_kind(objects, "VirtualServerRoute").values():
        [subroute] = route["spec"]["subroutes"]
        assert any(one["name"].endswith("-verify") for one in subroute["policies"])
    assert lint_objects(objects) == ()


def test_all_policies_stand_where_the_call_is_answered() -> None:
    """A nearer level drops a farther one's policy of the same kind, so none is left to a farther level."""
    told = replace(NIC, plus=True, upstream_tls_secret="ingress-identity", upstream_ca_secret="mesh-ca")
    limit = TrafficRule("t", "", "payments", ROUTES, MESH, 0, calls_per_minute=30)
    graph = replace(estate(), traffic=(limit,))
    objects = parsed(emitted(graph, told))
    names = [f"sp-payments-{suffix}" for suffix in ("verify", "token", "upstream", "brake")]
    for name in ("sp-payments", "sp-payments-base"):
        [subroute] = of_kind(objects, "VirtualServerRoute")[name]["spec"]["subroutes"]
        assert [one["name"] for one in subroute["policies"]] == names
    policies = of_kind(objects, "Policy")
    assert policies["sp-payments-token"]["spec"]["jwt"] == {
        "realm": "sallyport", "secret": "sp-payments-keys", "token": "$http_txn_token",
    }  # fmt: skip
    assert policies["sp-payments-upstream"]["spec"]["egressMTLS"]["tlsSecret"] == "ingress-identity"
    assert policies["sp-payments-brake"]["spec"]["rateLimit"]["rate"] == "30r/m"
    keys = json.loads(of_kind(objects, "Secret")["sp-payments-keys"]["stringData"]["jwk"])
    assert [(key["kid"], "d" in key) for key in keys["keys"]] == [("context-1", False)]
    assert lint_objects(objects, plus=True) == ()
    assert {trap.code for trap in lint_objects(objects)} == {"plus_only"}


def test_towards_a_sidecar_of_ours_the_ingress_shows_who_it_is_and_passes_the_token_on() -> None:
    told = replace(NIC, upstream_tls_secret="ingress-identity", upstream_ca_secret="mesh-ca")
    for surroundings, port, taken in ((NIC, 9202, True), (told, 9102, False)):
        route = of_kind(parsed(emitted(estate(), surroundings)), "VirtualServerRoute")["sp-payments"]["spec"]
        assert route["upstreams"][0]["port"] == port
        headers = {one["name"] for one in route["subroutes"][0]["action"]["proxy"]["requestHeaders"]["set"]}
        assert ("Txn-Token" in headers) is taken
        assert "X-Sallyport-Subject" in headers


def test_a_share_of_everybody_is_a_split() -> None:
    share = TrafficRule("t", "", "payments", ROUTES, MESH, 0, percent=10, variant="v2")
    services = {"payments": replace(PAYMENTS, variants=(Variant("v2", 9203),))}
    graph = replace(estate(), services=services, traffic=(share,))
    route = of_kind(parsed(emitted(graph, NIC)), "VirtualServerRoute")["sp-payments"]["spec"]
    assert [(one["weight"], one["action"]["proxy"]["upstream"]) for one in route["subroutes"][0]["splits"]] == [
        (90, "usual"),
        (10, "v2"),
    ]
    route = of_kind(parsed(emitted(graph, GATEWAY)), "HTTPRoute")["sp-payments"]["spec"]
    assert [(one["name"], one["weight"]) for one in route["rules"][0]["backendRefs"]] == [
        ("payments-usual", 90),
        ("payments-v2", 10),
    ]
    assert lint_objects(parsed(emitted(graph))) == ()


def test_a_breaker_passes_over_pods_at_one_ingress_and_is_nothing_to_the_other_and_both_say_so() -> None:
    breaker = TrafficRule("t", "", "payments", ROUTES, MESH, 0, breaker=Breaker(5, 30))
    share = TrafficRule("t2", "", "payments", ROUTES, MESH, 0, percent=10, variant="v2")
    services = {"payments": replace(PAYMENTS, variants=(Variant("v2", 9203),))}
    graph = replace(estate(), services=services, traffic=(breaker, share))
    route = of_kind(parsed(emitted(graph, NIC)), "VirtualServerRoute")["sp-payments"]["spec"]
    assert [(one["name"], one["max-fails"], one["fail-timeout"]) for one in route["upstreams"]] == [
        ("usual", 5, "30s"),
        ("v2", 5, "30s"),
    ]
    assert "breaker_by_pod" in codes(graph, NIC)
    assert "traffic_rule_left_out" not in codes(graph, NIC)
    assert "traffic_rule_left_out" in codes(graph, GATEWAY)
    assert lint_objects(parsed(emitted(graph))) == ()


def test_a_route_of_a_gateway_asks_the_verifier_and_has_its_consent() -> None:
    objects = parsed(emitted(estate(), GATEWAY))
    route = of_kind(objects, "HTTPRoute")["sp-payments"]
    [rule] = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/payments"}}]
    assert rule["filters"][0]["externalAuth"] == {
        "protocol": "HTTP",
        "backendRef": {"name": "sp-verifier", "namespace": "sallyport", "port": 8080},
        "http": {
            "path": "/gateway/payments",
            "allowedHeaders": ["Txn-Token", "X-Request-Id"],
            "allowedResponseHeaders": ["X-Sallyport-Subject", "X-Sallyport-Actor", "X-Sallyport-Grant"],
        },
    }
    assert rule["filters"][2]["urlRewrite"] == {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    assert route["spec"]["parentRefs"] == [{"name": "outside", "namespace": "gateways"}]
    [consent] = of_kind(objects, "ReferenceGrant").values()
    assert consent["spec"]["from"] == [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}]
    without = [one for one in objects if one["kind"] != "ReferenceGrant"]
    assert lint_objects(objects) == ()
    assert {trap.code for trap in lint_objects(without)} == {"no_consent"}


def test_a_grant_changes_the_policy_the_verifier_reads_and_nothing_else() -> None:
    more = Grant("g-new", "person:ben", "payments", frozenset({"charge"}), MESH, NIGHT)
    for surroundings in (NIC, GATEWAY):
        before, after = (
            {artifact.path: artifact for artifact in emitted(graph, surroundings)}
            for graph in (estate(), replace(estate(), grants=(*estate().grants, more)))
        )
        changed = {path for path in after if before.get(path) != after[path]}
        assert changed == {"sallyport/configmaps.core/sp-payments-policy.json"}


@pytest.mark.parametrize("surroundings", [replace(NIC, verifier=""), replace(GATEWAY, verifier="")])
def test_without_a_verifier_nothing_leads_inside(surroundings: ClusterSurroundings) -> None:
    assert emitted(estate(), surroundings) == ()
    assert "no_verifier" in codes(estate(), surroundings)


def codes(graph: AccessGraph, surroundings: ClusterSurroundings) -> set[str]:
    part = service_slice(graph, "payments")
    return {trap.code for trap in emit_traps(graph, part, part, graph.services["payments"], surroundings)}


def test_traps_of_an_ingress_are_told() -> None:
    assert codes(estate(), NIC) == {"plus_only", "not_told", "pods_unguarded"}
    assert "edge_unproved" in codes(estate(), replace(NIC, client_ca_secret=""))
    assert "edge_unproved" in codes(estate(), replace(NIC, tls_secret=""))
    assert "no_gateway" in codes(estate(), replace(GATEWAY, gateway=""))
    assert "pods_unguarded" not in codes(estate(), replace(NIC, emitters=frozenset({"nic", "smi"})))
    assert PAYMENTS.mesh is not None
    nowhere = replace(PAYMENTS, mesh=replace(PAYMENTS.mesh, namespace="a/b"))
    assert "no_namespace" in codes(replace(estate(), services={"payments": nowhere}), NIC)
    assert emit_service(replace(estate(), services={"payments": nowhere}), "payments", SURROUNDINGS) == ()
    twin = replace(CART, edge=PAYMENTS.edge)
    assert "address_shared" in codes(replace(estate(), services={"payments": PAYMENTS, "cart": twin}), NIC)


def test_a_service_inside_only_has_no_way_in() -> None:
    graph = replace(estate(), services={"payments": replace(PAYMENTS, edge=None)})
    assert emit_service(graph, "payments", replace(NIC, emitters=frozenset({"nic", "gateway"}))) == ()
    kinds: list[Object] = list(parsed(emit_common(graph, NIC)))
    assert of_kind(kinds, "VirtualServer") == {}
