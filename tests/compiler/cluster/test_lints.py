"""Each lint finds what it is for, in objects that are right but for that."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object
from tests.compiler.cluster.estate import emitted, of_kind, parsed
from tests.compiler.estate import estate

SOUND = parsed(emitted(estate()))


def test_what_we_emit_is_sound() -> None:
    assert lint_objects(SOUND) == ()


def spoilt(kind: str, name: str, spoil: Callable[[Any], object]) -> set[str]:
    objects = deepcopy(SOUND)
    spoil(of_kind(objects, kind)[name]["spec"])
    return {trap.code for trap in lint_objects(objects)}


AT_A_ROUTE = {"name": "sp-clients", "namespace": "sallyport"}
FAULTS: list[tuple[str, str, str, Callable[[Any], object]]] = [
    ("policy_kinds", "Policy", "sp-clients", lambda spec: spec.update(accessControl={"allow": ["10.0.0.0/8"]})),
    ("policy_kinds", "Policy", "sp-clients", lambda spec: spec.pop("ingressMTLS")),
    ("plus_only", "Policy", "sp-clients", lambda spec: (spec.pop("ingressMTLS"), spec.update(oidc={}))),
    ("snippets", "VirtualServerRoute", "sp-payments", lambda spec: first(spec).update({"location-snippets": "x"})),
    ("snippets", "Policy", "sp-payments-verify", lambda spec: spec["externalAuth"].update(authSnippets="x")),
    ("loose_pattern", "HTTPRouteGroup", "sp-payments", lambda spec: match(spec).update(pathRegex="/a")),
    ("pattern_too_long", "HTTPRouteGroup", "sp-payments", lambda spec: match(spec).update(pathRegex=f"^{'a' * 4000}$")),
    ("same_match", "HTTPRouteGroup", "sp-payments", lambda spec: spec["matches"].append(match(spec))),
    ("dangling", "TrafficTarget", "sp-payments-closed", lambda spec: spec["rules"][0].update(matches=["gone"])),
    ("dangling", "TrafficTarget", "sp-payments-closed", lambda spec: spec["rules"][0].update(name="gone")),
    ("no_namespace", "TrafficTarget", "sp-payments-closed", lambda spec: spec["sources"][0].pop("namespace")),
    ("dangling", "VirtualServerRoute", "sp-payments", lambda spec: first(spec)["policies"][0].update(name="gone")),
    ("unasked", "VirtualServerRoute", "sp-payments", lambda spec: first(spec).pop("policies")),
    ("unasked", "HTTPRoute", "sp-payments", lambda spec: spec["rules"][0].update(filters=[])),
    ("mtls_at_a_route", "VirtualServerRoute", "sp-payments", lambda spec: first(spec)["policies"].append(AT_A_ROUTE)),
]


def first(spec: Any) -> Any:
    return spec["subroutes"][0]


def match(spec: Any) -> Any:
    return spec["matches"][0]


@pytest.mark.parametrize(("code", "kind", "name", "spoil"), FAULTS)
def test_a_fault_is_found(code: str, kind: str, name: str, spoil: Callable[[Any], object]) -> None:
    assert code in spoilt(kind, name, spoil)


def test_a_server_that_asks_for_certificates_needs_tls_and_its_routes() -> None:
    [name] = [name for name in of_kind(SOUND, "VirtualServer") if "api-shop-test" in name]
    assert "mtls_without_tls" in spoilt("VirtualServer", name, lambda spec: spec.pop("tls"))
    assert "dangling" in spoilt("VirtualServer", name, lambda spec: spec["routes"][0].update(route="shop/gone"))


@pytest.mark.parametrize(
    ("part", "text"), [("name", "Sp"), ("namespace", ""), ("namespace", "a/b"), ("name", "x" * 64)]
)
def test_a_name_is_a_dns_label(part: str, text: str) -> None:
    objects = deepcopy(SOUND)
    objects[0]["metadata"][part] = text
    assert "illegal_name" in {trap.code for trap in lint_objects(objects)}


def limit(own_name: str, rate: str = "3r/m", /, **source: str) -> Object:
    spec = {"name": own_name, "destination": {"kind": "Service", "name": "x"}, "rate": rate, "sources": [source]}
    metadata = {"name": own_name, "namespace": "shop"}
    return {"apiVersion": "specs.smi.nginx.com/v1alpha2", "kind": "RateLimit", "metadata": metadata, "spec": spec}


def test_two_limits_of_one_pair_are_found_however_they_are_written() -> None:
    textual = [limit("a", kind="Deployment", name="cart"), limit("b", kind="Deployment", name="cart")]
    semantic = [textual[0], limit("b", kind="Deployment", name="cart", namespace="shop")]
    other = [textual[0], limit("b", kind="Deployment", name="cart", namespace="elsewhere")]
    assert {trap.code for trap in lint_objects(textual)} == {"duplicate_limit"}
    assert {trap.code for trap in lint_objects(semantic)} == {"duplicate_limit"}
    assert lint_objects(other) == ()


def test_two_targets_of_one_source_and_destination_are_found() -> None:
    [found] = [one for one in SOUND if one["kind"] == "TrafficTarget" and "from-cart" in one["metadata"]["name"]]
    again = deepcopy(found)
    again["metadata"]["name"] = "again"
    assert "same_pair" in {trap.code for trap in lint_objects([*SOUND, again])}
    again["spec"]["destination"]["port"] = 1
    assert "same_pair" not in {trap.code for trap in lint_objects([*SOUND, again])}


@pytest.mark.parametrize("rate", ["3r/,", "0r/m", "3", "3r/h", "r/s", "3r/m "])
def test_a_rate_is_checked_beyond_what_the_schema_does(rate: str) -> None:
    assert {trap.code for trap in lint_objects([limit("a", rate, kind="Deployment", name="cart")])} == {"bad_rate"}


@pytest.mark.parametrize("weights", [[0, 0], []])
def test_a_split_sends_calls_somewhere(weights: list[int]) -> None:
    backends = [{"service": str(place), "weight": weight} for place, weight in enumerate(weights)]
    metadata = {"name": "x", "namespace": "shop"}
    split = {"kind": "TrafficSplit", "metadata": metadata, "spec": {"service": "x", "backends": backends}}
    assert {trap.code for trap in lint_objects([split])} == {"weights"}


def _policy(*peers: Object) -> Object:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": list(peers)}]}
    metadata = {"name": "p", "namespace": "shop"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("peer", "code"),
    [
        ({"ipBlock": {"cidr": "203.0.113.0/28"}}, None),
        ({"ipBlock": {"cidr": "2001:db8::/48", "except": ["2001:db8::/64"]}}, None),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, None),
        ({"podSelector": {}}, None),
        ({"ipBlock": {"cidr": "203.0.113.0/28"}, "podSelector": {}}, "block_mixed"),
        ({"ipBlock": {"cidr": "203.0.113.1/28"}}, "block_loose"),
        ({"ipBlock": {"cidr": "partner"}}, "block_loose"),
        ({"ipBlock": {"cidr": "203.0.113.0/28", "except": ["203.0.114.0/30"]}}, "block_loose"),
        ({"ipBlock": {"cidr": "203.0.113.0/28", "except": ["203.0.113.0/28"]}}, "block_loose"),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, "block_everybody"),
    ],
)
def test_a_block_of_addresses_stands_alone_and_means_what_it_says(peer: Object, code: str | None) -> None:
    assert {trap.code for trap in lint_objects([_policy(peer)])} == ({code} if code else set())
