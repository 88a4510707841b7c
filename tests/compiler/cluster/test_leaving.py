"""The way out of NGINX Service Mesh: what is told of a service, and that no call is shut out without being named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.compiler.emitters.cluster import emit_traps
from apps.compiler.emitters.cluster.leaving import Verdict, aspects, replay
from apps.compiler.graph import AccessGraph, Breaker, Grant, Point, Subject, SubjectKind, TrafficRule
from apps.compiler.impact import Call
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import ClusterSurroundings
from apps.compiler.traffic import EVERYBODY
from tests.compiler.estate import CART_ID, MESH, NIGHT, PAYMENTS, estate

CLUSTER = ClusterSurroundings("east", "https://c.test", "shop.test", frozenset({"smi"}), mtls="strict", at=NIGHT)
GUARDED = replace(
    CLUSTER, emitters=frozenset({"smi", "nic", "networkpolicy"}), verifier="sallyport/verifier:8080",
    upstream_tls_secret="door", upstream_ca_secret="mesh-ca",
)  # fmt: skip
ADS = "workload:spiffe://shop.test/ns/shop/sa/ads"


def told(surroundings: ClusterSurroundings, graph: AccessGraph | None = None) -> dict[str, str]:
    found = graph or estate()
    return {one.name: one.verdict.value for one in aspects(found, found.services["payments"], surroundings)}


def call(subject: str, method: str = "POST", path: str = "/charges") -> Call:
    return Call(subject, method, "payments", path, Point.MESH, NIGHT)


def test_what_becomes_of_each_part() -> None:
    assert told(CLUSTER) == {
        "Who may call which route": Verdict.EQUAL,
        "Why a call was refused": Verdict.GAINED,
        "How callers prove who they are": Verdict.TO_DO,
        "gRPC and plain TCP between pods": Verdict.LOST,
        "People and agents from outside": Verdict.TO_DO,
        "Other ports of the pod": Verdict.TO_DO,
        "When access ends": Verdict.GAINED,
    }
    guarded = told(GUARDED)
    assert guarded["People and agents from outside"] == Verdict.GAINED
    assert guarded["Other ports of the pod"] == Verdict.EQUAL


def test_a_gateway_does_not_get_past_a_door_and_both_sides_say_so() -> None:
    gateway = replace(GUARDED, emitters=frozenset({"smi", "gateway"}), gateway="gateways/outside")
    assert told(gateway)["People and agents from outside"] == Verdict.LOST
    part = service_slice(estate(), "payments")
    found = {trap.code: trap.severity for trap in emit_traps(estate(), part, part, PAYMENTS, gateway)}
    assert found["door_shut"] == "error"


@pytest.mark.parametrize("half", ["upstream_tls_secret", "upstream_ca_secret"])
def test_half_of_what_leads_to_a_door_is_no_door(half: str) -> None:
    graph, some = estate(), replace(GUARDED, **{half: ""}, emitters=frozenset({"nic", "networkpolicy"}))  # type: ignore[arg-type]  # a field
    assert told(some)["People and agents from outside"] == Verdict.TO_DO
    part = service_slice(graph, "payments")
    found = {trap.code: trap.severity for trap in emit_traps(graph, part, part, PAYMENTS, some)}
    assert found["pods_unguarded"] == "warning"
    assert found["netpol_whole_port"] == "warning"


def test_what_the_mesh_cannot_see_is_gained_and_what_nobody_calls_has_nobody_to_lose() -> None:
    abroad = Subject("workload:spiffe://other.test/ns/a/sa/b", SubjectKind.WORKLOAD)
    grant = Grant("g", abroad.id, "payments", frozenset({"charge"}), MESH, NIGHT)
    graph = replace(estate(), subjects={**estate().subjects, abroad.id: abroad}, grants=(grant,))
    assert told(CLUSTER, graph)["Who may call which route"] == Verdict.GAINED
    assert told(CLUSTER, graph)["How callers prove who they are"] == Verdict.EQUAL
    assert "gRPC and plain TCP between pods" not in told(CLUSTER, graph)


def test_versions_and_limits_are_spoken_of_where_there_are_some() -> None:
    every = frozenset(route.id for route in PAYMENTS.routes)
    canary = TrafficRule("t1", EVERYBODY, "payments", every, MESH, NIGHT, NIGHT + 60, variant="v2", percent=10)
    limit = TrafficRule("t2", EVERYBODY, "payments", every, MESH, NIGHT, NIGHT + 60, calls_per_minute=5)
    breaker = TrafficRule("t3", EVERYBODY, "payments", every, MESH, NIGHT, NIGHT + 60, breaker=Breaker(5, 30))
    found = told(CLUSTER, replace(estate(), traffic=(canary, limit, breaker)))
    assert found["Leaving a failing service alone"] == Verdict.GAINED
    assert found["Versions"] == Verdict.GAINED
    assert found["Calls a minute"] == Verdict.EQUAL


def test_workloads_fare_alike_on_both_sides() -> None:
    calls = [call(CART_ID), call(CART_ID, "GET", "/orders/7"), call(ADS), call(CART_ID, "POST", "/charges/../orders")]
    found = replay(estate(), PAYMENTS, CLUSTER, calls)
    assert (found.calls, found.newly_denied, found.newly_allowed) == (4, 0, 0)


def test_a_person_whom_nobody_asked_is_named_as_shut_out_unless_the_ingress_asks_already() -> None:
    eve = [call("person:ada", "GET", "/orders/7"), call("person:ada", "GET", "/orders/8")]
    found = replay(estate(), PAYMENTS, CLUSTER, eve)
    [one] = found.denied
    assert (one.call.subject, one.times, found.newly_denied) == ("person:ada", 2, 2)
    assert one.why == "Nobody has opened this to you."
    assert replay(estate(), PAYMENTS, GUARDED, eve).newly_denied == 0


@pytest.mark.parametrize(("mode", "shut_out"), [("allow", 1), ("deny", 0)])
def test_a_service_that_the_mesh_cannot_guard_is_open_in_allow_mode(mode: str, shut_out: int) -> None:
    assert PAYMENTS.mesh is not None
    moved = replace(PAYMENTS, mesh=replace(PAYMENTS.mesh, workload="spiffe://shop.test/vm/payments"))
    graph = replace(estate(), services={"payments": moved})
    found = replay(graph, moved, replace(CLUSTER, access_control=mode), [call(ADS), call(CART_ID)])
    assert (found.newly_denied, found.newly_allowed) == (shut_out, 1 - shut_out)
