"""Plans in words: complete, exact, and silent when nothing changes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.compiler.artifacts import Artifact
from apps.compiler.diff import Change, diff, raw_diff
from apps.compiler.graph import AccessGraph, EdgeExposure, Grant, Route
from tests.agreement.strategies import graphs
from tests.compiler.estate import BEN, CART, EDGE, GRANTS, HOUR, NIGHT, NO_AGENT_MONEY, PAYMENTS, estate


def sentences(old: AccessGraph, new: AccessGraph) -> list[str]:
    return [change.sentence for change in diff(old, new).changes]


def with_grants(*grants: Grant) -> AccessGraph:
    return replace(estate(), grants=grants)


def test_a_new_grant_reads_like_a_permission() -> None:
    assert diff(with_grants(), with_grants(GRANTS[0])).changes == (
        Change(
            "grant_added",
            "Ada may call POST /orders/{id}/refunds on Payments from the edge and inside the mesh "
            "until Fri 27 Nov 2026 18:00 UTC.",
            "payments",
            "person:ada",
            "g-ada",
        ),
    )


def test_a_removed_grant_reads_like_a_loss() -> None:
    assert sentences(estate(), with_grants(*GRANTS[:-1])) == [
        "Storefront may no longer call GET / on Cart from the edge and inside the mesh without an end."
    ]


def test_a_changed_grant_tells_both_sides() -> None:
    longer = replace(GRANTS[0], ends_at=NIGHT + 20 * HOUR, points=EDGE)
    assert sentences(with_grants(GRANTS[0]), with_grants(longer)) == [
        "Ada may call POST /orders/{id}/refunds on Payments from the edge until Fri 27 Nov 2026 20:00 UTC, "
        "starting Fri 27 Nov 2026 00:00 UTC. Until now: Ada may call POST /orders/{id}/refunds on Payments "
        "from the edge and inside the mesh until Fri 27 Nov 2026 18:00 UTC, starting Fri 27 Nov 2026 00:00 UTC."
    ]


def test_people_come_go_and_are_suspended() -> None:
    graph = estate()
    suspended = replace(BEN, active=False, teams=frozenset({"team:storefront"}))
    assert sentences(graph, replace(graph, subjects={**graph.subjects, BEN.id: suspended})) == [
        "Ben (person:ben) is suspended and may do nothing.",
        "Ben (person:ben) joins Storefront.",
    ]
    without = {key: subject for key, subject in graph.subjects.items() if key != BEN.id}
    assert sentences(graph, replace(graph, subjects=without)) == ["Ben (person:ben) is no longer known."]
    assert sentences(replace(graph, subjects=without), graph) == ["Ben (person:ben) is known."]


def test_services_move_and_change_their_routes() -> None:
    graph = estate()
    moved = replace(
        CART,
        name="Basket",
        edge=EdgeExposure("shop.test", "/basket"),
        mesh=None,
        routes=(Route("read", frozenset({"GET", "HEAD"}), "/"), Route("add", frozenset({"POST"}), "/items")),
    )
    assert sentences(graph, replace(graph, services={**graph.services, "cart": moved})) == [
        "Cart is now called Basket.",
        "Basket is at the edge as shop.test/basket; it was at the edge as shop.test.",
        "Basket is not in the mesh; it was in the mesh as spiffe://shop.test/ns/shop/sa/cart "
        "(shop, port 9101, application port 9201).",
        "Basket answers POST /items.",
        "Basket no longer answers DELETE /.",
        "Basket answers GET or HEAD / where it answered GET /.",
    ]


def test_a_new_service_tells_its_routes() -> None:
    graph = estate()
    kinds = [change.kind for change in diff(replace(graph, services={"cart": CART}), graph).changes]
    assert kinds == ["service_added", *["route_added"] * len(PAYMENTS.routes)]


def test_guardrails_tell_what_they_select() -> None:
    graph = estate()
    told = "Agents do not move money: for every agent, on Payments, methods POST (no-agent-money)."
    assert sentences(graph, replace(graph, guardrails=())) == [f"A guardrail falls: {told}"]
    assert sentences(replace(graph, guardrails=()), graph) == [f"A new guardrail stands: {told}"]
    wider = replace(NO_AGENT_MONEY, services=frozenset())
    [moved] = sentences(graph, replace(graph, guardrails=(wider,)))
    assert moved.startswith("A guardrail moves: Agents do not move money: for every agent, on every service")


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[AccessGraph, AccessGraph]:
    """Two graphs that share some of their parts."""
    old, other = draw(graphs()), draw(graphs())
    parts = {
        name: getattr(other, name) for name in ("subjects", "services", "grants", "guardrails") if draw(st.booleans())
    }
    return old, replace(old, **parts)


def canonical(graph: AccessGraph) -> object:
    return dict(graph.subjects), dict(graph.services), set(graph.grants), set(graph.guardrails)


@settings(max_examples=80, deadline=None)
@given(neighbours())
def test_a_plan_is_empty_exactly_when_nothing_differs(pair: tuple[AccessGraph, AccessGraph]) -> None:
    old, new = pair
    assert (diff(old, new).changes == ()) == (canonical(old) == canonical(new))
    assert diff(new, new).changes == ()


def test_raw_text_is_told_per_artifact() -> None:
    def artifact(path: str, text: str) -> Artifact:
        return Artifact.of(path, "text/plain", text.encode())

    old = [artifact("a", "1\n2\n"), artifact("b", "x\n"), artifact("c", "same\n")]
    new = [artifact("a", "1\n3\n"), artifact("c", "same\n"), artifact("d", "y\n")]
    assert raw_diff(old, new) == {
        "a": "--- before/a\n+++ after/a\n@@ -1,2 +1,2 @@\n 1\n-2\n+3",
        "b": "--- before/b\n+++ after/b\n@@ -1 +0,0 @@\n-x",
        "d": "--- before/d\n+++ after/d\n@@ -0,0 +1 @@\n+y",
    }


def test_compact_json_is_laid_out_before_it_is_compared() -> None:
    old = Artifact.of("services/a", "application/json", b'{"v":1,"grants":[["g1",[0]],["g2",[0]]]}')
    new = Artifact.of("services/a", "application/json", b'{"v":1,"grants":[["g1",[0]],["g3",[0]]]}')
    text = raw_diff([old], [new])["services/a"]
    assert '-["g2",[0]]]}' in text
    assert '+["g3",[0]]]}' in text
