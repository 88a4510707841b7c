"""Every Kubernetes object of ours against the published schema of its kind.

The schemas of custom resources are not ours to ship; where they do not lie beside the repository only the core's are
held against.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object
from apps.compiler.graph import AccessGraph, Breaker, TrafficRule, Variant
from apps.compiler.surroundings import CLUSTER_EMITTERS, ClusterSurroundings
from tests.agreement.strategies import T0, graphs
from tests.compiler.cluster.estate import SURROUNDINGS, emitted, of_kind, parsed
from tests.compiler.cluster.test_beside import agent_objects
from tests.compiler.estate import CART, CART_ID, MESH, PAYMENTS, estate
from tests.compiler.test_connections import DB, MAY_CONNECT
from tests.contract.schemas import CUSTOM, faults

UNDESCRIBED = {"HTTPRoute", "ReferenceGrant"}
"""Kinds of the Gateway API, whose descriptions do not lie here."""

CORE = {"ConfigMap", "Deployment", "Secret", "Service"}
ROUTES = frozenset(route.id for route in PAYMENTS.routes)


described = pytest.mark.skipif(not CUSTOM.is_dir(), reason="the descriptions do not lie beside this repository")


def everything() -> AccessGraph:
    """An estate that makes every kind of object there is."""
    rules = (
        TrafficRule("t-all", "", "payments", ROUTES, MESH, 0, calls_per_minute=30),
        TrafficRule("t-cart", CART_ID, "payments", ROUTES, MESH, 0, calls_per_minute=20),
        TrafficRule("t-share", "", "payments", ROUTES, MESH, 0, percent=10, variant="v2"),
        TrafficRule("t-break", "", "payments", ROUTES, MESH, 0, breaker=Breaker(5, 30)),
    )
    services = {"payments": replace(PAYMENTS, variants=(Variant("v2", 9203),)), "cart": CART, DB.id: DB}
    return replace(estate(), services=services, traffic=rules, grants=(*estate().grants, MAY_CONNECT))


def objects() -> tuple[Object, ...]:
    told = replace(SURROUNDINGS, plus=True, upstream_tls_secret="ingress-identity", upstream_ca_secret="mesh-ca")
    return (*parsed(emitted(everything(), told)), *parsed(emitted(estate())))


def test_what_the_core_describes_is_as_described() -> None:
    found = [one for one in objects() if one["kind"] in CORE]
    assert {one["kind"] for one in found} == CORE
    assert {one["metadata"]["name"]: faults(one) for one in found if faults(one)} == {}


def test_the_agents_manifest_is_as_the_core_describes() -> None:
    found = agent_objects()
    assert {one["kind"] for one in found} == {
        "Namespace", "ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "Role", "RoleBinding", "Deployment",
    }  # fmt: skip
    for by_account in (True, False):
        assert [faults(one) for one in agent_objects(by_account=by_account)] == [[]] * len(found)
    spoilt = {**found[-1], "spec": {**found[-1]["spec"], "replica": 1}}
    assert faults(spoilt) != []


@described
def test_what_controllers_describe_is_as_described() -> None:
    found = [one for one in objects() if one["kind"] not in CORE | UNDESCRIBED]
    assert {one["kind"] for one in found} == {
        "CircuitBreaker", "HTTPRouteGroup", "Policy", "RateLimit", "RateLimitPolicy", "TCPRoute", "TrafficSplit",
        "TrafficTarget", "VirtualServer", "VirtualServerRoute",
    }  # fmt: skip
    assert {one["metadata"]["name"]: faults(one) for one in found if faults(one) != []} == {}


@st.composite
def clusters(draw: st.DrawFn) -> ClusterSurroundings:
    """Of all emitters, in every way the rest can be told."""
    doors = draw(st.booleans())
    return replace(
        SURROUNDINGS,
        emitters=frozenset(CLUSTER_EMITTERS),
        plus=draw(st.booleans()),
        upstream_tls_secret="ingress-identity" if doors else "",
        upstream_ca_secret="mesh-ca" if doors else "",
        tls_secret=draw(st.sampled_from(("", "host-tls"))),
        client_ca_secret=draw(st.sampled_from(("", "edge-ca"))),
        isolated=draw(st.sampled_from((frozenset(), frozenset({"shop"})))),
        outside=draw(st.sampled_from(({}, {"payments": ("203.0.113.0/28", "2001:db8::/48")}, {"cart": ()}))),
        at=T0,
    )


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(graphs(), clusters())
def test_whatever_the_policy_every_object_is_as_described_and_nothing_is_found_in_it(
    graph: AccessGraph, around: ClusterSurroundings
) -> None:
    made = parsed(emitted(graph, around))
    told = [
        one
        for one in made
        if one["kind"] not in UNDESCRIBED and (CUSTOM.is_dir() or one["kind"] in CORE | {"NetworkPolicy"})
    ]
    assert {one["metadata"]["name"]: faults(one) for one in told if faults(one) != []} == {}
    assert lint_objects(made, plus=around.plus) == ()


@described
def test_a_field_nobody_describes_is_a_fault() -> None:
    """The check itself works."""
    server = next(iter(of_kind(objects(), "VirtualServer").values()))
    assert faults(server) == []
    assert faults({**server, "spec": {**server["spec"], "internalRoute": True}}) != []
    target = next(iter(of_kind(objects(), "TrafficTarget").values()))
    assert faults({**target, "spec": {"rules": []}}) != []
    service = next(iter(of_kind(objects(), "Service").values()))
    assert faults({**service, "spec": {**service["spec"], "internalRoute": True}}) != []
