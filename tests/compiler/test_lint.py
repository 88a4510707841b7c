"""Each finding has an example that shows it and a neighbour that does not."""

from __future__ import annotations

from dataclasses import replace

from apps.compiler.graph import AccessGraph, Grant, Guardrail, Point, SubjectKind
from apps.compiler.lint import Code, Finding, Severity, lint
from tests.compiler.estate import BOTH, CART, CART_ID, EDGE, HOUR, MESH, NIGHT, PAYMENTS, estate

ALL_ROUTES = frozenset(route.id for route in PAYMENTS.routes)
REFUND = Grant("g1", "person:ada", "payments", frozenset({"refund"}), BOTH, NIGHT, NIGHT + HOUR)


def findings(*grants: Grant, graph: AccessGraph | None = None, at: int = NIGHT) -> tuple[Finding, ...]:
    return lint(replace(graph or estate(), grants=grants), at)


def codes(*grants: Grant, graph: AccessGraph | None = None, at: int = NIGHT) -> list[tuple[Code, tuple[str, ...]]]:
    return [(finding.code, finding.grant_ids) for finding in findings(*grants, graph=graph, at=at)]


def test_a_decent_grant_is_not_mentioned() -> None:
    assert findings(REFUND) == ()


def test_what_has_ended_is_not_mentioned() -> None:
    wrong = replace(REFUND, subject="person:gone")
    assert findings(wrong, at=NIGHT + HOUR) == ()
    assert codes(wrong, at=NIGHT + HOUR - 1) == [(Code.ORPHANED, ("g1",))]


def test_orphans_name_what_is_gone() -> None:
    [finding] = findings(replace(REFUND, routes=frozenset({"refund", "former"}), subject="person:gone"))
    assert finding == Finding(
        Code.ORPHANED,
        Severity.ERROR,
        "person:gone and former are gone, but a grant still names it.",
        ("g1",),
        "payments",
    )
    assert codes(replace(REFUND, service="former")) == [(Code.ORPHANED, ("g1",))]


def test_duplicates_and_shadows() -> None:
    twin = replace(REFUND, id="g2")
    assert codes(REFUND, twin) == [(Code.DUPLICATE, ("g1", "g2"))]
    wider = replace(REFUND, id="g2", ends_at=NIGHT + 2 * HOUR)
    assert codes(REFUND, wider) == [(Code.SHADOWED, ("g1", "g2"))]
    later = replace(wider, starts_at=NIGHT + 1)
    assert codes(REFUND, later) == []


def test_a_team_grant_shadows_a_members_but_not_a_strangers() -> None:
    team = replace(REFUND, id="g2", subject="team:storefront")
    [finding] = findings(REFUND, team)
    assert (finding.code, finding.grant_ids) == (Code.SHADOWED, ("g1", "g2"))
    assert finding.sentence.endswith(", by Storefront.")
    assert codes(replace(REFUND, subject="person:ben"), team) == []


def test_too_wide_is_everything_for_long() -> None:
    wide = replace(REFUND, routes=ALL_ROUTES, ends_at=None)
    assert codes(wide) == [(Code.TOO_WIDE, ("g1",))]
    assert codes(replace(wide, ends_at=NIGHT + 30 * 24 * HOUR)) == []
    assert codes(replace(wide, ends_at=NIGHT + 30 * 24 * HOUR + 1)) == [(Code.TOO_WIDE, ("g1",))]
    assert codes(replace(wide, routes=ALL_ROUTES - {"charge"})) == []
    assert codes(replace(wide, subject=CART_ID)) == []


def test_grants_that_can_never_work() -> None:
    graph = estate()
    closed = replace(graph, services={**graph.services, "payments": replace(PAYMENTS, edge=None)})
    walled = replace(graph, guardrails=(Guardrail("k", "Never.", kinds=frozenset({SubjectKind.PERSON})),))
    never = [(Code.NEVER_EFFECTIVE, ("g1",))]
    assert codes(replace(REFUND, starts_at=NIGHT + 2 * HOUR)) == never
    assert codes(replace(REFUND, subject="person:dan")) == never
    assert codes(replace(REFUND, points=EDGE), graph=closed) == never
    assert codes(REFUND, graph=walled) == never
    assert codes(replace(REFUND, routes=frozenset())) == never
    edge_wall = replace(walled.guardrails[0], points=frozenset({Point.EDGE}))
    assert codes(REFUND, graph=replace(walled, guardrails=(edge_wall,))) == [(Code.MESH_WITHOUT_EDGE, ("g1",))]


def test_one_door_is_not_enough_from_outside() -> None:
    assert codes(replace(REFUND, points=EDGE)) == [(Code.EDGE_WITHOUT_MESH, ("g1",))]
    assert codes(replace(REFUND, points=MESH)) == [(Code.MESH_WITHOUT_EDGE, ("g1",))]
    assert codes(replace(REFUND, points=EDGE), replace(REFUND, id="g2", points=MESH)) == []
    assert codes(replace(REFUND, points=MESH, subject=CART_ID)) == []


def test_the_other_door_may_be_opened_by_a_team() -> None:
    assert codes(replace(REFUND, points=EDGE), replace(REFUND, id="g2", points=MESH, subject="team:storefront")) == [
        (Code.MESH_WITHOUT_EDGE, ("g2",))
    ]


def test_a_service_with_one_door_needs_one() -> None:
    graph = estate()
    inside = replace(graph, services={**graph.services, "cart": replace(CART, edge=None)})
    assert codes(Grant("g1", "person:ada", "cart", frozenset({"read"}), MESH, NIGHT), graph=inside) == []
