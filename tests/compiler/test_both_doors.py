"""Where the two doors differ for a holder, and what is missing for them to agree."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.compiler.both_doors import Held, Missing, held_at
from apps.compiler.decide import entitlements
from apps.compiler.graph import AccessGraph, Grant, Guardrail, Point, Service, Subject, SubjectKind
from tests.agreement.strategies import graphs, moments
from tests.compiler.estate import BOTH, CART_ID, EDGE, MESH, NIGHT, PAYMENTS, estate

ADA = Grant("g1", "person:ada", "payments", frozenset({"refund"}), EDGE, NIGHT)
CART = Grant("g2", CART_ID, "payments", frozenset({"charge"}), MESH, NIGHT)


def held(*grants: Grant, service: Service = PAYMENTS, unproven: Collection[str] = ()) -> tuple[Held, ...]:
    return held_at(estate(), service, grants, unproven)


def missing(*grants: Grant, service: Service = PAYMENTS, unproven: Collection[str] = ()) -> list[tuple[Missing, ...]]:
    return [gap.missing for one in held(*grants, service=service, unproven=unproven) for gap in one.gaps]


def test_both_doors_agree_and_a_workload_needs_the_mesh_alone() -> None:
    whole = replace(ADA, points=BOTH)
    assert missing(whole, CART) == []
    assert [(one.subject, sorted(one.edge), sorted(one.mesh)) for one in held(whole, CART)] == [
        ("person:ada", ["refund"], ["refund"]),
        (CART_ID, [], ["charge"]),
    ]


def test_the_edge_alone_lacks_a_claim_the_mesh_knows() -> None:
    [one] = held(ADA)
    [gap] = one.gaps
    assert (gap.missing, gap.shut, gap.by_asking, gap.routes) == (
        (Missing.CLAIM,),
        Point.MESH,
        True,
        frozenset({"refund"}),
    )
    assert gap.sentence == (
        "The edge lets Ada call POST /orders/{id}/refunds. The mesh has no grant for the claim sub person:ada of the"
        " Txn-Token."
    )


def test_the_mesh_alone_lacks_the_header_only_the_edge_gives() -> None:
    assert missing(replace(ADA, points=MESH)) == [(Missing.HEADER, Missing.CLAIM)]


def test_a_workload_at_the_edge_alone_lacks_its_service_account_inside() -> None:
    [one] = held(replace(CART, points=EDGE))
    assert one.gaps[0].missing == (Missing.SERVICE_ACCOUNT,)
    assert one.gaps[0].sentence.endswith("The mesh has no grant for service account cart in namespace shop.")


def test_a_team_closes_the_gap_of_its_member_and_not_of_a_stranger() -> None:
    team = replace(ADA, id="g3", subject="team:storefront", points=MESH)
    assert [one.subject for one in held(ADA, team) if one.gaps] == ["team:storefront"]
    assert [one.subject for one in held(replace(ADA, subject="person:ben"), team) if one.gaps] == [
        "person:ben",
        "team:storefront",
    ]


def test_a_suspended_team_closes_nothing() -> None:
    team = replace(ADA, id="g3", subject="team:storefront", points=MESH)
    graph = estate()
    asleep = replace(graph.subjects["team:storefront"], active=False)
    graph = replace(graph, subjects={**graph.subjects, asleep.id: asleep})
    found = held_at(graph, PAYMENTS, [ADA, team])
    assert [(one.subject, sorted(one.mesh), len(one.gaps)) for one in found] == [
        ("person:ada", [], 1),
        ("team:storefront", [], 0),
    ]


def test_who_is_suspended_may_call_nothing() -> None:
    [one] = held_at(estate(), PAYMENTS, [replace(ADA, subject="person:dan", points=BOTH)])
    assert (one.edge, one.mesh, one.gaps) == (frozenset(), frozenset(), ())


def walled(*grants: Grant, points: frozenset[Point], methods: frozenset[str] = frozenset()) -> tuple[Held, ...]:
    wall = Guardrail("k", "Never.", services=frozenset({"payments"}), points=points, methods=methods)
    return held_at(replace(estate(), guardrails=(wall,)), PAYMENTS, grants)


def test_a_guardrail_at_one_door_is_a_gap_that_no_request_closes() -> None:
    [one] = walled(replace(ADA, points=BOTH), points=MESH)
    assert (sorted(one.edge), sorted(one.mesh)) == (["refund"], [])
    [gap] = one.gaps
    assert (gap.shut, gap.missing, gap.by_asking) == (Point.MESH, (), False)
    assert gap.sentence == "The edge lets Ada call POST /orders/{id}/refunds. A guardrail forbids it at the mesh."
    [one] = walled(replace(ADA, points=EDGE), points=MESH)
    assert [(gap.shut, gap.by_asking) for gap in one.gaps] == [(Point.MESH, False)]
    [one] = walled(replace(ADA, points=BOTH), points=BOTH)
    assert (one.edge, one.mesh, one.gaps) == (frozenset(), frozenset(), ())


def test_a_guardrail_across_some_methods_of_a_route_names_them() -> None:
    order = replace(ADA, routes=frozenset({"order"}), points=BOTH)
    [one] = walled(order, points=EDGE, methods=frozenset({"HEAD"}))
    assert (sorted(one.edge), sorted(one.mesh)) == (["order"], ["order"])
    [gap] = one.gaps
    assert gap.sentence == "The mesh lets Ada call HEAD /orders/{id}. A guardrail forbids it at the edge."


def test_a_workload_needs_no_edge_whatever_guardrails_say_there() -> None:
    assert [one.gaps for one in walled(CART, points=EDGE)] == [()]
    [one] = walled(replace(CART, points=BOTH), points=MESH)
    assert [gap.shut for gap in one.gaps] == [Point.MESH]


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.data())
def test_the_map_says_of_each_door_what_decide_says(graph: AccessGraph, data: st.DataObject) -> None:
    """Of whoever holds something of its own: routes of which it may call some method."""
    graph, at = replace(graph, denials=()), data.draw(moments(graph))
    for service in graph.services.values():
        running = [
            one
            for one in graph.grants
            if one.service == service.id and one.starts_at <= at and (one.ends_at is None or at < one.ends_at)
        ]
        may = {(row.subject, row.route, row.point) for row in entitlements(graph, service.id, at)}
        for one in held_at(graph, service, running):
            if graph.subjects[one.subject].kind is not SubjectKind.TEAM:
                told = {(one.subject, route, Point.EDGE) for route in one.edge}
                told |= {(one.subject, route, Point.MESH) for route in one.mesh}
                assert told == {way for way in may if way[0] == one.subject}


def test_what_the_catalogue_does_not_name_is_not_to_be_had_by_asking() -> None:
    [one] = held(ADA, service=replace(PAYMENTS, mesh=None))
    assert (one.gaps[0].missing, one.gaps[0].by_asking) == ((Missing.NAMESPACE, Missing.SERVICE_ACCOUNT), False)
    [one] = held(replace(ADA, points=MESH), service=replace(PAYMENTS, edge=None))
    assert (one.gaps[0].missing, one.gaps[0].by_asking) == ((Missing.HOST,), False)


def test_whoever_cannot_prove_itself_lacks_its_claim() -> None:
    whole = replace(ADA, points=BOTH)
    assert missing(whole, unproven={"person:ada"}) == [(Missing.CLAIM,)]


def test_a_workload_whose_id_is_no_service_account_is_told() -> None:
    odd = Subject("workload:spiffe://shop.test/cart", SubjectKind.WORKLOAD, "odd")
    graph = replace(estate(), subjects={odd.id: odd})
    [one] = held_at(graph, PAYMENTS, [replace(CART, subject=odd.id)])
    assert one.gaps[0].missing == (Missing.NAMESPACE, Missing.SERVICE_ACCOUNT)


def test_routes_that_are_gone_count_nowhere() -> None:
    [one] = held(replace(ADA, routes=frozenset({"former"})))
    assert (one.edge, one.mesh, one.gaps) == (frozenset(), frozenset(), ())
