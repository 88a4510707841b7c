"""What NetworkPolicy objects say is what packets do: written by hand, by chance, and emitted from a graph.

Every pair of machines, every port: the model's answer is compared with a connection that is really tried.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import kubernetes_validate
import pytest

from apps.compiler.emitters.cluster.networkpolicy import baseline, objects
from apps.compiler.graph import AccessGraph, Grant, MeshExposure, Point, Route, Service, Subject, SubjectKind
from apps.compiler.surroundings import ClusterSurroundings
from tests.agreement.network_model import Model, Policy
from tests.netpol.conftest import LABEL, NAMESPACES
from tests.netpol.enforcer import enforce
from tests.netpol.lab import Lab

Rule = dict[str, Any]
Reached = set[tuple[str, str, int, str]]
"""Addresses of source and destination, port, protocol."""


def policy(pods: Rule, namespace: str = "shop", name: str = "p", **spec: Any) -> Rule:
    metadata = {"name": name, "namespace": namespace}
    body = {"podSelector": pods, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": body}


def named(name: str) -> Rule:
    return {"matchLabels": {LABEL: name}}


def space(name: str) -> Rule:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


def by_model(lab: Lab, policies: Sequence[Policy]) -> Reached:
    model = Model(policies, NAMESPACES)
    return {
        (source.address, end.address, port, protocol)
        for source in lab.ends
        for end in lab.ends
        if source != end
        for port, protocol in lab.ports
        if model.is_open(source, end, port, protocol)
    }


def by_packets(lab: Lab, policies: Sequence[Policy]) -> Reached:
    enforce(lab, policies, NAMESPACES)
    return {(source.address, *reached) for source in lab.ends for reached in lab.reached(source)}


@cache
def _require_valid(written: str) -> None:
    kubernetes_validate.validate(json.loads(written), "1.31", strict=True)


def agreed(lab: Lab, *policies: Policy) -> set[str]:
    """Who reaches 8080/TCP of payments, once model and packets agree on everything."""
    for one in policies:
        _require_valid(json.dumps(one))
    real, wanted = by_packets(lab, policies), by_model(lab, policies)
    assert real == wanted, f"only real: {real - wanted}\nonly in the model: {wanted - real}\n{policies}"
    payments = lab.end("shop/payments").address
    callers = {end.address: f"{getattr(end, 'namespace', 'outside')}/{end.name}" for end in lab.ends}
    return {callers[source] for source, end, port, protocol in real if (end, port, protocol) == (payments, 8080, "TCP")}


EVERYBODY = {
    "shop/cart", "front/web", "front/cart", "kube-system/dns", "outside/partner", "outside/neighbour"
}  # fmt: skip
PAYMENTS = named("payments")
HTTP = [{"port": 8080}]


def test_without_a_policy_everything_is_open(lab: Lab) -> None:
    assert agreed(lab) == EVERYBODY


def test_both_selectors_in_one_element_mean_both_and_in_two_mean_either(lab: Lab) -> None:
    both = [{"namespaceSelector": space("front"), "podSelector": named("cart")}]
    either = [{"namespaceSelector": space("front")}, {"podSelector": named("cart")}]
    assert agreed(lab, policy(PAYMENTS, ingress=[{"from": both, "ports": HTTP}])) == {"front/cart"}
    assert agreed(lab, policy(PAYMENTS, ingress=[{"from": either, "ports": HTTP}])) == {
        "front/cart", "front/web", "shop/cart"
    }  # fmt: skip


def test_no_rule_is_nobody_and_a_rule_without_from_is_everybody(lab: Lab) -> None:
    assert agreed(lab, policy(PAYMENTS, policyTypes=["Ingress"])) == set()
    assert agreed(lab, policy(PAYMENTS, ingress=[])) == set()
    assert agreed(lab, policy(PAYMENTS, ingress=[{}])) == EVERYBODY
    assert agreed(lab, policy(PAYMENTS, ingress=[{"from": [], "ports": HTTP}])) == EVERYBODY


def test_policies_add_up_and_their_order_means_nothing(lab: Lab) -> None:
    cart = policy(PAYMENTS, name="a", ingress=[{"from": [{"podSelector": named("cart")}], "ports": HTTP}])
    web = policy(PAYMENTS, name="b", ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "pages"}}}]}])
    found = agreed(lab, cart, web)
    assert found == {"shop/cart", "front/web", "front/cart"} == agreed(lab, web, cart)


@pytest.mark.parametrize(
    ("ports", "is_open"),
    [
        ([], True),
        ([{"protocol": "TCP"}], True),
        ([{"port": 8080}], True),
        ([{"port": "http"}], True),
        ([{"port": "metrics"}], False),
        ([{"port": "events", "protocol": "UDP"}], False),
        ([{"port": "nothing-of-that-name"}], False),
        ([{"port": 8079, "endPort": 8081}], True),
        ([{"port": 8081, "endPort": 9090}], False),
        ([{"port": 8080, "protocol": "UDP"}], False),
        ([{"protocol": "UDP"}], False),
        ([{"port": 53, "protocol": "UDP"}, {"port": "http"}], True),
    ],
)
def test_ports_by_number_name_range_and_protocol(lab: Lab, ports: list[Rule], is_open: bool) -> None:
    assert agreed(lab, policy(PAYMENTS, ingress=[{"ports": ports}])) == (EVERYBODY if is_open else set())


def test_blocks_of_addresses_with_a_hole(lab: Lab) -> None:
    block = {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/30"]}
    assert agreed(lab, policy(PAYMENTS, ingress=[{"from": [{"ipBlock": block}], "ports": HTTP}])) == {"outside/partner"}


def test_both_sides_must_agree(lab: Lab) -> None:
    into = policy(PAYMENTS, name="in", ingress=[{"from": [{"namespaceSelector": space("front")}], "ports": HTTP}])
    shut = policy({}, "front", "shut", policyTypes=["Egress"])
    to = [{"namespaceSelector": space("shop"), "podSelector": PAYMENTS}]
    out = policy(named("web"), "front", "out", policyTypes=["Egress"], egress=[{"to": to, "ports": HTTP}])
    assert agreed(lab, into) == {"front/web", "front/cart"}
    assert agreed(lab, into, shut) == set()
    assert agreed(lab, into, shut, out) == {"front/web"}
    assert agreed(lab, shut, out) == {
        "front/web",
        "shop/cart",
        "kube-system/dns",
        "outside/partner",
        "outside/neighbour",
    }


@pytest.mark.parametrize(
    ("expression", "callers"),
    [
        ({"key": "tier", "operator": "In", "values": ["web", "none"]}, {"shop/cart"}),
        ({"key": "tier", "operator": "NotIn", "values": ["data"]}, {"shop/cart"}),
        ({"key": "tier", "operator": "Exists"}, {"shop/cart"}),
        ({"key": "tier", "operator": "DoesNotExist"}, set()),
    ],
)
def test_expressions_of_selectors(lab: Lab, expression: Rule, callers: set[str]) -> None:
    peers = [{"podSelector": {"matchExpressions": [expression]}}]
    assert agreed(lab, policy(PAYMENTS, ingress=[{"from": peers, "ports": HTTP}])) == callers


def test_policies_of_every_kind_by_chance(lab: Lab) -> None:
    """Half a hundred sets of them, the same each time."""
    chance = random.Random(7)
    for _ in range(50):
        policies = [_any_policy(chance, place) for place in range(chance.randint(1, 4))]
        assert by_packets(lab, policies) == by_model(lab, policies), policies


def _any_policy(chance: random.Random, place: int) -> Rule:
    kinds = chance.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"], None))
    spec: Rule = {} if kinds is None else {"policyTypes": kinds}
    for side, key in (("ingress", "from"), ("egress", "to")):
        if chance.random() < 0.6:
            spec[side] = [_any_rule(chance, key) for _ in range(chance.randint(0, 2))]
    pods = chance.choice(({}, *(_any_selector(chance) for _ in range(3))))
    return policy(pods, chance.choice(("shop", "front")), f"p{place}", **spec)


def _any_rule(chance: random.Random, key: str) -> Rule:
    rule: Rule = {}
    if chance.random() < 0.8:
        rule[key] = [_any_peer(chance) for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.7:
        choices: tuple[Rule, ...] = (
            {"port": 8080}, {"port": "metrics"}, {"port": 8080, "endPort": 8081}, {"protocol": "UDP"},
            {"port": 53, "protocol": "UDP"}, {"port": "events", "protocol": "UDP"}, {"port": 9090},
        )  # fmt: skip
        rule["ports"] = chance.sample(choices, chance.randint(1, 2))
    return rule


def _any_peer(chance: random.Random) -> Rule:
    spaces = ({}, space("front"), space("shop"), {"matchLabels": {"team": "money"}})
    return chance.choice(
        (
            {"podSelector": _any_selector(chance)},
            {"namespaceSelector": chance.choice(spaces)},
            {"namespaceSelector": chance.choice(spaces), "podSelector": _any_selector(chance)},
            {"ipBlock": {"cidr": "203.0.113.0/24"}},
            {"ipBlock": {"cidr": "203.0.113.0/28", "except": ["203.0.113.8/30"]}},
        )
    )


def _any_selector(chance: random.Random) -> Rule:
    operator = chance.choice(("In", "NotIn", "Exists", "DoesNotExist"))
    values = {"values": [chance.choice(("web", "data"))]} if operator in ("In", "NotIn") else {}
    return chance.choice(
        ({}, named("cart"), named("payments"), {"matchExpressions": [{"key": "tier", "operator": operator, **values}]})
    )


CLUSTER = ClusterSurroundings(
    "east", "https://console.test", "shop.test", at=100, ingress="kube-system/dns", isolated=frozenset({"front"})
)


def estate(*grants: Grant) -> AccessGraph:
    routes = (Route("read", frozenset({"GET"}), "/"),)
    payments = Service(
        "payments", "Payments", routes, mesh=MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/payments", 9102, 8080)
    )
    names = ("shop/sa/cart", "front/sa/web", "front/sa/cart")
    callers = [Subject(f"workload:spiffe://shop.test/ns/{name}", SubjectKind.WORKLOAD) for name in names]
    return AccessGraph({one.id: one for one in callers}, {"payments": payments}, grants)


def grant(name: str, ends_at: int | None = None) -> Grant:
    subject = f"workload:spiffe://shop.test/ns/{name.replace('/', '/sa/')}"
    return Grant(name, subject, "payments", frozenset({"read"}), frozenset({Point.MESH}), 0, ends_at)


@pytest.mark.parametrize(
    ("grants", "callers"),
    [
        ((), set()),
        ((grant("shop/cart"),), {"shop/cart"}),
        ((grant("front/cart"),), {"front/cart"}),
        ((grant("front/web"), grant("shop/cart")), {"front/web", "shop/cart"}),
        ((grant("front/web", ends_at=100),), set()),
        ((grant("front/web", ends_at=101),), {"front/web"}),
    ],
)
def test_what_is_emitted_lets_packets_through_for_grants_and_for_nothing_else(
    lab: Lab, grants: tuple[Grant, ...], callers: set[str]
) -> None:
    graph = estate(*grants)
    made = objects(graph, graph.services["payments"], CLUSTER)
    assert agreed(lab, *made) == callers
    closed = [baseline("shop"), baseline("front", egress=True)]
    assert agreed(lab, *made, *closed) == callers


def test_addresses_outside_reach_the_service_that_is_reached_by_them_and_no_neighbour_does(lab: Lab) -> None:
    graph = estate(grant("shop/cart"))
    reached = replace(CLUSTER, outside={"payments": ("203.0.113.4/30",)})
    made = objects(graph, graph.services["payments"], reached)
    assert agreed(lab, *made) == {"shop/cart", "outside/partner"}
    shut = objects(graph, graph.services["payments"], replace(reached, outside={"payments": ()}))
    assert agreed(lab, *shut) == {"shop/cart"}


def test_a_namespace_closed_outwards_still_finds_names(lab: Lab) -> None:
    graph = estate(grant("front/web"))
    made = objects(graph, graph.services["payments"], CLUSTER)
    agreed(lab, *made, baseline("front", egress=True))
    dns, web, other = (lab.end(name) for name in ("kube-system/dns", "front/web", "front/cart"))
    assert {(dns.address, 53, "UDP"), (dns.address, 53, "TCP")} <= lab.reached(web)
    assert lab.reached(other) == set()


def test_an_enforcer_that_takes_two_elements_for_one_is_caught(lab: Lab) -> None:
    """The comparison itself works."""
    either = [{"namespaceSelector": space("front")}, {"podSelector": named("cart")}]
    both = [{"namespaceSelector": space("front"), "podSelector": named("cart")}]
    real = by_packets(lab, [policy(PAYMENTS, ingress=[{"from": either}])])
    assert real != by_model(lab, [policy(PAYMENTS, ingress=[{"from": both}])])
