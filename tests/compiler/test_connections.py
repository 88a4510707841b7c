"""A service of plain TCP: one thing to do, which a grant names, decide() knows and words tell."""

from __future__ import annotations

import json
from dataclasses import replace

from apps.compiler.connections import CONNECT, METHOD, connect_route
from apps.compiler.decide import Action, Context, Decision, Pdp, Resource, entitlements
from apps.compiler.diff import diff
from apps.compiler.emitters.nginx import emit_shard, emit_static
from apps.compiler.graph import AccessGraph, Grant, Guardrail, MeshExposure, Point, Protocol, Service
from apps.compiler.reasons import Reason
from apps.rollout.snapshots import from_json, to_json
from tests.compiler.estate import CART_CALLER, CART_ID, HOUR, MESH, NIGHT, PAYMENTS
from tests.compiler.nginx.test_emit import SURROUNDINGS

EXPOSURE = MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/orders-db", 5432, 5432, Protocol.TCP)
DB = Service("orders-db", "Orders DB", (connect_route(5432),), None, EXPOSURE)
MAY_CONNECT = Grant("g-db", CART_ID, "orders-db", frozenset({CONNECT}), MESH, 0, NIGHT + 2 * HOUR)


def estate(*grants: Grant, service: Service = DB) -> AccessGraph:
    return AccessGraph({CART_ID: CART_CALLER}, {service.id: service, "payments": PAYMENTS}, grants)


def asked(
    graph: AccessGraph, method: str = METHOD, path: str = "/5432", service: str = "orders-db", at: int = NIGHT
) -> Decision:
    return Pdp(graph).decide(CART_ID, Action(method), Resource(service, path), Context(Point.MESH), at)


def test_to_connect_is_denied_until_a_grant_names_it() -> None:
    assert asked(estate()).reason is Reason.NO_GRANT
    assert asked(estate(MAY_CONNECT)) == Decision(True, Reason.GRANTED, ("g-db",), CONNECT)
    assert asked(estate(MAY_CONNECT), at=NIGHT + 2 * HOUR).reason is Reason.GRANT_EXPIRED


def test_nothing_else_is_known_of_it() -> None:
    graph = estate(MAY_CONNECT)
    for method, path in ((METHOD, "/5433"), (METHOD, "/"), (METHOD, "/5432/"), ("GET", "/5432"), ("connect", "/5432")):
        assert asked(graph, method, path).reason is Reason.NO_ROUTE
    assert asked(graph, METHOD, "/9202", "payments").reason is Reason.NO_ROUTE


def test_a_guardrail_stands_across_it() -> None:
    wall = Guardrail("no-db", "No databases.", services=frozenset({"orders-db"}))
    assert asked(replace(estate(MAY_CONNECT), guardrails=(wall,))).reason is Reason.GUARDRAIL


def test_who_may_connect_is_listed_like_any_access() -> None:
    [row] = entitlements(estate(MAY_CONNECT), "orders-db", NIGHT)
    assert (row.subject, row.route, row.methods, row.point) == (CART_ID, CONNECT, frozenset({METHOD}), Point.MESH)


def test_a_plan_speaks_of_a_port_and_not_of_a_path() -> None:
    [change] = diff(estate(), estate(MAY_CONNECT)).changes
    assert change.sentence == (
        "cart may call TCP port 5432 on Orders DB inside the mesh until Fri 27 Nov 2026 02:00 UTC."
    )
    moved = replace(DB, mesh=replace(EXPOSURE, port=5433, upstream_port=5433), routes=(connect_route(5433),))
    sentences = [one.sentence for one in diff(estate(), estate(service=moved)).changes]
    assert sentences == [
        "Orders DB is in the mesh as spiffe://shop.test/ns/shop/sa/orders-db (shop, plain TCP on port 5433); it was in "
        "the mesh as spiffe://shop.test/ns/shop/sa/orders-db (shop, plain TCP on port 5432).",
        "Orders DB answers TCP port 5433 where it answered TCP port 5432.",
    ]


def test_a_node_of_ours_gets_nothing_of_it() -> None:
    graph = estate(MAY_CONNECT)
    assert emit_shard(graph, "orders-db", SURROUNDINGS) == ()
    assert all(b"orders-db" not in one.content for one in emit_static(graph, SURROUNDINGS))


def test_what_was_compiled_is_remembered_whole() -> None:
    graph = replace(estate(MAY_CONNECT), services={DB.id: DB})
    assert from_json(json.loads(json.dumps(to_json(graph)))) == graph
