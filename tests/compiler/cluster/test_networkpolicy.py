"""NetworkPolicy objects of a service: golden, valid, closed without callers, and what a reviewer is told of them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from apps.compiler.emitters.cluster import emit_service, emit_traps
from apps.compiler.emitters.cluster.networkpolicy import DNS, baseline, objects
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.graph import (
    AccessGraph,
    Denial,
    Grant,
    Guardrail,
    MeshExposure,
    Service,
    Subject,
    SubjectKind,
    Variant,
)
from apps.compiler.graph import Cause as CauseOf
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import ClusterSurroundings
from tests.compiler.cluster.estate import SURROUNDINGS, emitted, of_kind, parsed
from tests.compiler.estate import CART_ID, HOUR, MESH, NIGHT, PAYMENTS, estate

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "SALLYPORT_REWRITE_GOLDEN"
"""Set it to 1 to write the golden files anew, then read their diff."""

CLUSTER = ClusterSurroundings(
    cluster="east",
    console_url="https://console.shop.test",
    trust_domain="shop.test",
    emitters=frozenset({"networkpolicy"}),
    isolated=frozenset({"front"}),
    at=NIGHT,
)
OUTSIDE = replace(CLUSTER, outside={"payments": ("203.0.113.0/28", "2001:db8::/48")})
DOORS: Any = {"upstream_tls_secret": "ingress-identity", "upstream_ca_secret": "mesh-ca"}
WEB = Subject("workload:spiffe://shop.test/ns/front/sa/web", SubjectKind.WORKLOAD, "web")
ABROAD = Subject("workload:spiffe://other.test/ns/front/sa/web", SubjectKind.WORKLOAD, "abroad")


def graph_with(*grants: Grant, **changes: Any) -> AccessGraph:
    graph = estate()
    return replace(
        graph,
        subjects={**graph.subjects, WEB.id: WEB, ABROAD.id: ABROAD},
        grants=(*graph.grants, *grants),
        **changes,
    )


def grant(subject: str = WEB.id, name: str = "g-web", starts_at: int = NIGHT, ends_at: int | None = None) -> Grant:
    return Grant(name, subject, "payments", frozenset({"charge"}), MESH, starts_at, ends_at)


def policies(graph: AccessGraph, surroundings: ClusterSurroundings = CLUSTER) -> tuple[dict[str, Any], ...]:
    return objects(graph, graph.services["payments"], surroundings)


def sources(graph: AccessGraph, surroundings: ClusterSurroundings = CLUSTER) -> set[tuple[str, str]]:
    return {
        tuple(next(iter(peer[key]["matchLabels"].values())) for key in ("namespaceSelector", "podSelector"))
        for rule in policies(graph, surroundings)[0]["spec"]["ingress"]
        for peer in rule["from"]
    }  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["shop_networkpolicies_sp-payments.json", "front_networkpolicies_sp-payments-out.json"]
)
def test_golden(name: str) -> None:
    by_name = {
        artifact.path.replace("/", "_").replace(".networking.k8s.io", ""): artifact
        for artifact in emit_service(graph_with(grant()), "payments", CLUSTER)
    }
    content, golden = by_name[name].content, GOLDEN / name
    if os.environ.get(REWRITE) == "1":
        golden.write_bytes(content)
    assert content == golden.read_bytes()


def test_golden_with_addresses_outside() -> None:
    made = emit_service(graph_with(), "payments", OUTSIDE)
    (content,) = (one.content for one in made)
    golden = GOLDEN / "shop_networkpolicies_sp-payments_outside.json"
    if os.environ.get(REWRITE) == "1":
        golden.write_bytes(content)
    assert content == golden.read_bytes()


def test_what_is_emitted_is_valid() -> None:
    made = [*policies(graph_with(grant())), baseline("shop"), baseline("shop", egress=True)]
    made += policies(graph_with(), OUTSIDE)
    made += policies(replace(graph_with(), grants=()))
    for one in made:
        kubernetes_validate.validate(one, "1.31", strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**made[0], "spec": {"ingress": [{"form": []}]}}, "1.31", strict=True)


def test_the_same_graph_in_another_order_or_as_a_slice_is_the_same_bytes() -> None:
    graph = graph_with(grant())
    turned = replace(graph, grants=tuple(reversed(graph.grants)), subjects=dict(reversed(graph.subjects.items())))
    whole = emit_service(graph, "payments", CLUSTER)
    assert emit_service(turned, "payments", CLUSTER) == whole
    assert emit_service(service_slice(graph, "payments"), "payments", CLUSTER) == whole


def test_both_selectors_stand_in_one_element_and_never_alone() -> None:
    peers = [
        peer
        for policy in policies(graph_with(grant()))
        for side, key in (("ingress", "from"), ("egress", "to"))
        for rule in policy["spec"].get(side, ())
        for peer in rule[key]
    ]
    assert len(peers) >= 4
    assert {tuple(sorted(peer)) for peer in peers} == {("namespaceSelector", "podSelector")}
    assert all(peer["namespaceSelector"]["matchLabels"] and peer["podSelector"]["matchLabels"] for peer in peers)


def test_workloads_come_as_themselves_and_people_by_the_ingress() -> None:
    assert sources(graph_with(grant())) == {("shop", "cart"), ("front", "web"), ("nginx-ingress", "nginx-ingress")}


def test_a_service_without_callers_is_closed_and_not_forgotten() -> None:
    [policy] = policies(replace(graph_with(), grants=()))
    assert policy["spec"]["ingress"] == []
    assert policy["spec"]["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize(
    "not_now",
    [
        {"starts_at": NIGHT + 1},
        {"starts_at": NIGHT - 2 * HOUR, "ends_at": NIGHT},
        {"subject": "workload:nobody"},
    ],
)
def test_what_does_not_run_now_opens_nothing(not_now: dict[str, Any]) -> None:
    assert ("front", "web") not in sources(graph_with(grant(**not_now)))


def test_a_guardrail_across_all_of_it_and_a_suspension_close_the_port() -> None:
    never = Guardrail("k", "Never.", subjects=frozenset({WEB.id}), services=frozenset({"payments"}))
    assert ("front", "web") not in sources(graph_with(grant(), guardrails=(never,)))
    denied = Denial(WEB.id, CauseOf.SUSPENDED, NIGHT + HOUR)
    assert ("front", "web") not in sources(graph_with(grant(), denials=(denied,)))
    assert ("front", "web") in sources(graph_with(grant(), denials=(replace(denied, until=NIGHT),)))


def test_only_a_namespace_that_is_closed_outwards_gets_the_twin_and_it_may_ask_for_names() -> None:
    _, out = policies(graph_with(grant()))
    assert out["metadata"]["namespace"] == "front"
    assert out["spec"]["podSelector"]["matchExpressions"][0]["values"] == ["web"]
    assert out["spec"]["egress"][1] == DNS
    assert len(policies(graph_with(grant()), replace(CLUSTER, isolated=frozenset()))) == 1


def test_every_version_has_its_port() -> None:
    twice = replace(PAYMENTS, variants=(Variant("v2", 9212),))
    graph = graph_with(grant(), services={"payments": twice})
    ports = policies(graph)[0]["spec"]["ingress"][0]["ports"]
    assert [port["port"] for port in ports] == [9202, 9212]


def told(before: AccessGraph, after: AccessGraph, surroundings: ClusterSurroundings = CLUSTER) -> dict[str, Trap]:
    service = after.services.get("payments") or before.services["payments"]
    found = emit_traps(after, before, after, service, surroundings)
    return {trap.code: trap for trap in found}


def test_the_first_policy_of_a_service_says_whom_it_cuts_off() -> None:
    graph = service_slice(graph_with(grant()), "payments")
    trap = told(AccessGraph(), graph)["netpol_isolates"]
    assert "only front/web, nginx-ingress/nginx-ingress and shop/cart can connect" in trap.sentence
    assert "on port 9202" in trap.sentence
    assert "netpol_isolates" not in told(graph, graph)
    assert "netpol_unenforced" in told(AccessGraph(), graph)


def test_a_service_that_goes_leaves_its_pods_open() -> None:
    graph = service_slice(graph_with(), "payments")
    assert set(told(graph, AccessGraph())) == {"netpol_reopens"}


def test_a_port_is_more_than_a_route_unless_somebody_looks_at_routes() -> None:
    graph = service_slice(graph_with(grant()), "payments")
    alone = told(graph, graph)["netpol_whole_port"]
    assert alone.severity == "warning"
    assert alone.sentence.endswith("Nothing else in this cluster checks routes.")
    assert told(graph, graph, replace(CLUSTER, **DOORS))["netpol_whole_port"].severity == "note"
    everything = frozenset(route.id for route in PAYMENTS.routes)
    only = replace(graph, grants=(replace(grant(), routes=everything),))
    assert "netpol_whole_port" not in told(only, only)


def test_the_ingress_reaches_a_door_where_it_calls_it() -> None:
    """What NGINX Ingress Controller is told to call is a port that the NetworkPolicy leaves open to it."""
    both = replace(
        SURROUNDINGS, emitters=frozenset({"networkpolicy", "nic"}), ingress="nginx-ingress/nginx-ingress", **DOORS
    )
    for around in (both, replace(both, upstream_tls_secret="", upstream_ca_secret="")):
        made = parsed(emitted(estate(), around))
        [upstream] = of_kind(made, "VirtualServerRoute")["sp-payments"]["spec"]["upstreams"]
        [rule] = of_kind(made, "NetworkPolicy")["sp-payments"]["spec"]["ingress"]
        assert upstream["port"] in [port["port"] for port in rule["ports"]]
        names = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]}
        assert "nginx-ingress" in names
        assert (9102 in [port["port"] for port in rule["ports"]]) is (around is both)


def test_what_kubernetes_cannot_know_is_an_error_and_not_passed_over() -> None:
    abroad = service_slice(graph_with(grant(ABROAD.id)), "payments")
    assert told(abroad, abroad)["netpol_unseen_caller"].severity == "error"
    moved = MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/till", 9102, 9202)
    other: Service = replace(PAYMENTS, mesh=moved)
    graph = service_slice(graph_with(services={"payments": other}), "payments")
    assert told(graph, graph)["netpol_label_differs"].severity == "error"
    foreign = replace(PAYMENTS, mesh=replace(moved, namespace="elsewhere"))
    graph = service_slice(graph_with(services={"payments": foreign}), "payments")
    assert told(graph, graph)["netpol_foreign_service"].severity == "error"
    assert policies(graph) == ()


def test_the_baseline_is_never_emitted_by_itself() -> None:
    paths = [artifact.path for artifact in emit_service(graph_with(grant()), "payments", CLUSTER)]
    assert not [path for path in paths if "baseline" in path]
    assert json.loads(json.dumps(baseline("shop")["spec"])) == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_a_workload_calls_as_its_account() -> None:
    assert CART_ID.endswith("/ns/shop/sa/cart")
    assert ("shop", "cart") in sources(graph_with())


def test_an_address_outside_stands_alone_in_its_element_and_at_the_service_that_is_reached_by_it() -> None:
    (rule,) = policies(graph_with(), OUTSIDE)[0]["spec"]["ingress"]
    assert [peer for peer in rule["from"] if "ipBlock" in peer] == [
        {"ipBlock": {"cidr": "203.0.113.0/28"}},
        {"ipBlock": {"cidr": "2001:db8::/48"}},
    ]
    assert policies(graph_with(), replace(OUTSIDE, outside={"cart": ("203.0.113.0/28",)})) == policies(graph_with())
    nobody = replace(graph_with(), grants=())
    assert policies(nobody, replace(OUTSIDE, outside={"payments": ()}))[0]["spec"]["ingress"] == []


def test_what_an_address_does_not_say_is_told() -> None:
    graph = service_slice(graph_with(grant()), "payments")
    found = told(graph, graph, OUTSIDE)
    assert found["netpol_address_alone"].severity == "warning"
    assert "Whoever comes from 203.0.113.0/28 and 2001:db8::/48 can connect to Payments" in (
        found["netpol_address_alone"].sentence
    )
    assert "externalTrafficPolicy: Cluster" in found["netpol_translated"].sentence
    assert (
        told(graph, graph, replace(OUTSIDE, upstream_tls_secret="door", upstream_ca_secret="mesh-ca"))[
            "netpol_address_alone"
        ].severity
        == "note"
    )
    closed = told(graph, graph, replace(OUTSIDE, outside={"payments": ()}))
    assert {"netpol_no_address"} == {code for code in closed if "address" in code}
    assert "203.0.113.0/28" in told(AccessGraph(), graph, OUTSIDE)["netpol_isolates"].sentence


def test_a_caller_whose_label_is_another_services_is_told_and_only_where_that_one_is_known() -> None:
    """Web runs as the account till, and pods labelled till are those of the service till."""
    till = Subject("workload:spiffe://shop.test/ns/shop/sa/till", SubjectKind.WORKLOAD, "till")
    graph = graph_with(grant(till.id))
    graph = replace(graph, subjects={**graph.subjects, till.id: till})
    part = service_slice(graph, "payments")
    other = Service("till", "Till", mesh=MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/drawer", 9300, 9301))

    def codes(*beside: Service) -> set[str]:
        whole = replace(part, services={**part.services, **{one.id: one for one in beside}})
        return {trap.code for trap in emit_traps(whole, part, part, PAYMENTS, CLUSTER)}

    assert "netpol_label_taken" in codes(other)
    assert "netpol_label_taken" not in codes()
    own = replace(other, mesh=MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/till", 9300, 9301))
    assert "netpol_label_taken" not in codes(own)
