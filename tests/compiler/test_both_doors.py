"""Where the two doors differ for a holder, and what is missing for them to agree."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from apps.compiler.both_doors import Held, Missing, held_at
from apps.compiler.graph import Grant, Point, Service, Subject, SubjectKind
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
    assert [one.subject for one in held_at(graph, PAYMENTS, [ADA, team]) if one.gaps] == [
        "person:ada",
        "team:storefront",
    ]


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
