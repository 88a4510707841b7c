"""What NGINX Service Mesh is told, and what a reviewer is told about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.compiler.emitters.cluster import emit_service, emit_traps
from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object
from apps.compiler.emitters.cluster.regexes import LONGEST
from apps.compiler.graph import (
    AccessGraph,
    Breaker,
    Grant,
    MeshExposure,
    Point,
    Route,
    Subject,
    SubjectKind,
    TrafficRule,
    Variant,
)
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import ClusterSurroundings
from tests.compiler.cluster.estate import SURROUNDINGS, of_kind, parsed
from tests.compiler.estate import BOTH, CART, CART_CALLER, CART_ID, HOUR, MESH, NIGHT, PAYMENTS, estate

SMI = replace(SURROUNDINGS, emitters=frozenset({"smi"}))


def objects(graph: AccessGraph, surroundings: ClusterSurroundings = SMI) -> tuple[Object, ...]:
    return parsed(emit_service(service_slice(graph, "payments"), "payments", surroundings))


def targets(graph: AccessGraph, surroundings: ClusterSurroundings = SMI) -> dict[str, Object]:
    return of_kind(objects(graph, surroundings), "TrafficTarget")


def test_one_target_holds_all_that_one_account_may_do() -> None:
    more = Grant("g-2", CART_ID, "payments", frozenset({"order", "newest"}), MESH, NIGHT)
    found = targets(replace(estate(), grants=(*estate().grants, more)))
    [cart] = [one["spec"] for name, one in found.items() if "from-cart" in name]
    assert cart == {
        "destination": {"kind": "ServiceAccount", "name": "payments", "namespace": "shop", "port": 9202},
        "rules": [
            {
                "kind": "HTTPRouteGroup",
                "name": "sp-payments",
                "matches": ["charge-post-0", "newest-get-0", "order-get-0", "order-head-0"],
            }
        ],
        "sources": [{"kind": "ServiceAccount", "name": "cart", "namespace": "shop"}],
    }


def test_people_and_agents_come_as_the_ingress() -> None:
    [ingress] = [one["spec"] for name, one in targets(estate()).items() if "from-nginx-ingress" in name]
    assert ingress["sources"] == [{"kind": "ServiceAccount", "name": "nginx-ingress", "namespace": "nginx-ingress"}]
    assert ingress["rules"][0]["matches"] == ["newest-get-0", "order-get-0", "order-head-0", "refund-post-0"]


def test_time_passes_by_compiling_again() -> None:
    late = replace(SMI, at=NIGHT + 18 * HOUR)
    [ingress] = [one["spec"] for name, one in targets(estate(), late).items() if "from-nginx-ingress" in name]
    assert ingress["rules"][0]["matches"] == ["newest-get-0", "order-get-0", "order-head-0"]
    assert targets(estate(), replace(SMI, at=0)).keys() == {"sp-payments-closed"}


def test_a_service_without_grants_stays_closed() -> None:
    """In a mesh that lets everything pass which no target speaks of, the last target is never the last."""
    found = targets(replace(estate(), grants=()))
    assert found["sp-payments-closed"]["spec"]["sources"][0]["name"] == "sallyport-nobody"
    assert lint_objects(objects(replace(estate(), grants=()))) == ()


def test_a_grant_changes_the_target_of_its_account_only() -> None:
    without = replace(estate(), grants=tuple(grant for grant in estate().grants if grant.id != "g-cart"))
    before, after = objects(without), objects(estate())
    assert [one["metadata"]["name"] for one in after if one not in before] == [
        name for name in targets(estate()) if "from-cart" in name
    ]
    assert [one for one in before if one not in after] == []


def test_every_pattern_is_anchored_and_every_party_has_a_namespace() -> None:
    group = of_kind(objects(estate()), "HTTPRouteGroup")["sp-payments"]["spec"]["matches"]
    assert {match["name"]: match["pathRegex"] for match in group if match["name"].startswith(("charge", "closed"))} == {
        "charge-post-0": "^/charges$",
        "closed": "^$",
    }
    assert lint_objects(objects(estate())) == ()


def test_a_limit_on_a_workload_and_a_share_of_everybody_are_carried() -> None:
    routes = frozenset(route.id for route in PAYMENTS.routes)
    limit = TrafficRule("t-limit", CART_ID, "payments", routes, MESH, 0, calls_per_minute=30)
    looser = replace(limit, id="t-looser", calls_per_minute=60)
    share = TrafficRule("t-share", "", "payments", routes, MESH, 0, percent=10, variant="v2")
    service = replace(PAYMENTS, variants=(Variant("v2", 9203),))
    graph = replace(estate(), services={"payments": service, "cart": CART}, traffic=(limit, looser, share))
    [rate] = of_kind(objects(graph), "RateLimit").values()
    assert rate["spec"]["rate"] == "30r/m"
    assert rate["spec"]["sources"] == [{"kind": "Deployment", "name": "cart", "namespace": "shop"}]
    [split] = of_kind(objects(graph), "TrafficSplit").values()
    assert split["spec"] == {
        "service": "payments",
        "backends": [{"service": "payments-usual", "weight": 90}, {"service": "payments-v2", "weight": 10}],
    }
    assert lint_objects(objects(graph)) == ()
    assert {"traffic_rule_left_out", "share_not_by_caller"} <= codes(graph, graph)


ALL = frozenset(route.id for route in PAYMENTS.routes)
BREAKER = TrafficRule("t-breaker", "", "payments", ALL, MESH, 0, breaker=Breaker(5, 30))


def test_a_breaker_of_the_whole_service_is_carried_and_what_it_counts_is_said() -> None:
    graph = replace(estate(), traffic=(BREAKER,))
    assert of_kind(objects(graph), "CircuitBreaker").keys() == {"sp-payments-breaker"}
    [breaker] = of_kind(objects(graph), "CircuitBreaker").values()
    destination = {"kind": "Service", "name": "payments", "namespace": "shop"}
    assert breaker["spec"] == {"destination": destination, "errors": 5, "timeoutSeconds": 30}
    assert breaker["metadata"]["namespace"] == "shop"
    assert "breaker_by_caller" in codes(graph, graph)
    assert "traffic_rule_left_out" not in codes(graph, graph)
    assert lint_objects(objects(graph)) == ()


def test_where_calls_are_shared_each_version_has_a_breaker_of_its_own() -> None:
    share = TrafficRule("t-share", "", "payments", ALL, MESH, 0, percent=10, variant="v2")
    service = replace(PAYMENTS, variants=(Variant("v2", 9203),))
    graph = replace(estate(), services={"payments": service, "cart": CART}, traffic=(BREAKER, share))
    found = of_kind(objects(graph), "CircuitBreaker")
    assert {name: one["spec"]["destination"]["name"] for name, one in found.items()} == {
        "sp-payments-breaker-usual": "payments-usual",
        "sp-payments-breaker-v2": "payments-v2",
    }


@pytest.mark.parametrize(
    "less",
    [
        {"subject": "person:ada"},
        {"percent": 50},
        {"routes": frozenset({"charge"})},
        {"points": frozenset({Point.EDGE})},
    ],
)
def test_a_breaker_of_less_than_everything_is_no_object(less: dict[str, object]) -> None:
    graph = replace(estate(), traffic=(replace(BREAKER, **less),))  # type: ignore[arg-type]  # passed on as given
    assert of_kind(objects(graph), "CircuitBreaker") == {}
    assert ("traffic_rule_left_out" in codes(graph, graph)) == ("points" not in less)


def test_what_treats_somebody_apart_is_left_out_and_said() -> None:
    rule = TrafficRule("t", "person:ada", "payments", frozenset({"charge"}), MESH, 0, variant="", calls_per_minute=3)
    graph = replace(estate(), traffic=(rule,))
    assert of_kind(objects(graph), "RateLimit") == {}
    assert "traffic_rule_left_out" in codes(graph, graph)


def codes(before: AccessGraph, after: AccessGraph, surroundings: ClusterSurroundings = SMI) -> set[str]:
    slices = [service_slice(g, "payments") if "payments" in g.services else AccessGraph() for g in (before, after)]
    return {trap.code for trap in emit_traps(after, *slices, PAYMENTS, surroundings)}


NOTHING = AccessGraph()


@pytest.mark.parametrize(
    ("code", "before", "after", "surroundings"),
    [
        ("first_target_closes", NOTHING, estate(), SMI),
        ("last_target_opens", estate(), NOTHING, SMI),
        ("identity_unproved", estate(), estate(), replace(SMI, mtls="permissive")),
        ("identity_unproved", estate(), estate(), replace(SMI, mtls="off")),
        ("ingress_unasked", estate(), estate(), SMI),
        ("ingress_unasked", estate(), estate(), replace(SMI, emitters=frozenset({"smi", "nic"}), verifier="")),
        ("ends_by_console", estate(), estate(), SMI),
        ("starts_by_console", estate(), estate(), replace(SMI, at=NIGHT)),
    ],
)
def test_a_trap_is_told(code: str, before: AccessGraph, after: AccessGraph, surroundings: ClusterSurroundings) -> None:
    assert code in codes(before, after, surroundings)


@pytest.mark.parametrize(
    ("code", "before", "after", "surroundings"),
    [
        ("first_target_closes", estate(), estate(), SMI),
        ("first_target_closes", NOTHING, estate(), replace(SMI, access_control="deny")),
        ("last_target_opens", estate(), NOTHING, replace(SMI, access_control="deny")),
        ("last_target_opens", estate(), replace(estate(), grants=()), SMI),
        ("identity_unproved", estate(), estate(), SMI),
        ("ingress_unasked", estate(), estate(), replace(SMI, emitters=frozenset({"smi", "nic"}))),
    ],
)
def test_and_only_where_it_is_one(
    code: str, before: AccessGraph, after: AccessGraph, surroundings: ClusterSurroundings
) -> None:
    assert code not in codes(before, after, surroundings)


def test_who_is_no_service_account_is_named() -> None:
    odd = Subject("workload:spiffe://elsewhere.test/batch", SubjectKind.WORKLOAD, "batch")
    grant = Grant("g-odd", odd.id, "payments", frozenset({"charge"}), MESH, 0)
    graph = replace(estate(), subjects={**estate().subjects, odd.id: odd}, grants=(*estate().grants, grant))
    assert "caller_unseen" in codes(graph, graph)
    unseen = replace(PAYMENTS, mesh=MeshExposure("shop", "spiffe://elsewhere.test/payments", 1, 2))
    graph = replace(estate(), services={"payments": unseen})
    assert objects(graph) == ()
    assert "server_unseen" in codes(graph, graph)


def test_a_path_that_nginx_cannot_hold_is_left_out_and_told() -> None:
    """In the objects it would keep the mesh from taking the next change over, and that may be a revocation."""
    deep = Route("deep", frozenset({"GET"}), "".join(f"/{{p{place}}}" for place in range(10)))
    grant = Grant("g-deep", CART_ID, "payments", frozenset({"deep"}), MESH, NIGHT)
    services = {"payments": replace(PAYMENTS, routes=(*PAYMENTS.routes, deep))}
    graph = replace(estate(), services=services, grants=(*estate().grants, grant))
    made = objects(graph)
    [cart] = [one["spec"] for name, one in of_kind(made, "TrafficTarget").items() if "from-cart" in name]
    assert cart["rules"][0]["matches"] == ["charge-post-0"]
    matches = of_kind(made, "HTTPRouteGroup")["sp-payments"]["spec"]["matches"]
    assert max(len(match["pathRegex"]) for match in matches) <= LONGEST
    assert lint_objects(made) == ()
    assert "pattern_too_long" in codes(graph, graph)
    assert "pattern_too_long" not in codes(estate(), estate())


def test_a_workload_that_may_come_by_the_edge_comes_as_the_ingress_too() -> None:
    inside = replace(estate(), grants=(Grant("g", CART_ID, "payments", frozenset({"charge"}), MESH, NIGHT),))
    assert [name for name in targets(inside) if "from-nginx-ingress" in name] == []
    round_about = replace(inside, grants=(replace(inside.grants[0], points=BOTH),))
    [ingress] = [one["spec"] for name, one in targets(round_about).items() if "from-nginx-ingress" in name]
    assert ingress["rules"][0]["matches"] == ["charge-post-0"]
    assert "ingress_unasked" not in codes(inside, inside)
    assert "ingress_unasked" in codes(round_about, round_about)


def test_two_services_behind_one_account_and_port_are_told_apart_by_nothing() -> None:
    assert PAYMENTS.mesh is not None
    twin = replace(CART, mesh=PAYMENTS.mesh)
    graph = replace(estate(), services={"payments": PAYMENTS, "cart": twin})
    assert "account_shared" in codes(graph, graph)
    other_port = replace(CART, mesh=replace(PAYMENTS.mesh, upstream_port=1))
    assert "account_shared" not in codes(graph, replace(graph, services={"payments": PAYMENTS, "cart": other_port}))


def test_a_workload_of_the_ingress_account_and_people_share_one_target() -> None:
    name = "workload:spiffe://shop.test/ns/nginx-ingress/sa/nginx-ingress"
    grant = Grant("g-in", name, "payments", frozenset({"charge"}), BOTH, 0)
    subject = replace(CART_CALLER, id=name)
    graph = replace(estate(), subjects={**estate().subjects, name: subject}, grants=(*estate().grants, grant))
    [ingress] = [one["spec"] for key, one in targets(graph).items() if "from-nginx-ingress" in key]
    assert "charge-post-0" in ingress["rules"][0]["matches"]
    assert Point.MESH in grant.points
