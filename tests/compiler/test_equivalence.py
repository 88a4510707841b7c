"""Two graphs with other grants: what the finite comparison says is what decide() says of calls it never saw."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.equivalence import Comparison, compare, prove, without
from apps.compiler.graph import AccessGraph, Grant, Guardrail, Point, Subject, SubjectKind
from apps.compiler.hygiene import losses, removable
from tests.agreement.strategies import T0, Situation, situations
from tests.compiler.estate import BOTH, EDGE, HOUR, MESH, NIGHT, estate

EXAMPLES = int(os.environ.get("SALLYPORT_EQUIVALENCE_EXAMPLES", "12"))
QUIET = {"max_examples": EXAMPLES, "deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
ADA = Grant("g1", "person:ada", "payments", frozenset({"refund"}), BOTH, NIGHT, NIGHT + HOUR)
TEAM = replace(ADA, id="g2", subject="team:storefront", starts_at=NIGHT - HOUR, ends_at=None)


def differing(situation: Situation, after: AccessGraph) -> set[tuple[str, str, str, Point]]:
    """Who fares otherwise on which route, of all the calls of a situation from T0 on, with tokens of several ages."""
    before, now = Pdp(situation.graph), Pdp(after)
    found = set()
    for case, point in product(situation.cases, Point):
        if case.service is None or case.at < T0:
            continue
        for issued in (None, case.at, case.at - 30, case.at - 1000):
            asked = (
                case.subject,
                Action(case.method),
                Resource(case.service, case.path),
                Context(point, issued),
                case.at,
            )
            one, other = before.decide(*asked), now.decide(*asked)
            if one.allowed != other.allowed:
                found.add((case.subject, str(one.route), case.method, point))
    return found


def told(comparison: Comparison) -> set[tuple[str, str, str, Point]]:
    return {(subject, one.route, one.method, one.point) for one in comparison.differences for subject in one.subjects}


@settings(**QUIET)
@given(st.data())
def test_no_call_differs_that_was_not_told_and_every_difference_told_is_one(data: st.DataObject) -> None:
    situation = data.draw(situations(faulty=0))
    ids = [grant.id for grant in situation.graph.grants]
    gone = data.draw(st.frozensets(st.sampled_from(ids), max_size=4)) if ids else frozenset()
    after = without(situation.graph, gone)
    found = compare(situation.graph, after, T0)
    assert differing(situation, after) <= told(found)
    assert bool(found.differences) is bool(told(found))
    alike = [(one, subject) for one in found.differences for subject in one.subjects]
    before, now = Pdp(situation.graph), Pdp(after)
    for one, subject in alike:
        path = path_to(situation.graph, one.service, one.route, one.method)
        asked = (subject, Action(one.method), Resource(one.service, path), Context(one.point), one.at)
        assert (before.decide(*asked).allowed, now.decide(*asked).allowed) == (True, False)
        assert before.decide(*asked).route == one.route


def path_to(graph: AccessGraph, service: str, route: str, method: str) -> str:
    template = next(one.template for one in graph.services[service].routes if one.id == route)
    return "/".join("zzzzzzzzzzzzzzzz" if part.startswith("{") else part for part in template.split("/"))


@settings(**QUIET)
@given(situations(faulty=0))
def test_what_is_called_removable_goes_without_a_trace_and_is_all_that_can(situation: Situation) -> None:
    graph = situation.graph
    gone = {one.grant.id for one in removable(graph, T0)}
    after = without(graph, gone)
    proof = prove(graph, after, T0)
    assert proof.is_safe
    assert differing(situation, after) == set()
    assert removable(after, T0) == ()
    for one in removable(graph, T0):
        assert {other.id for other in one.by} <= {grant.id for grant in after.grants}


def graph_of(*grants: Grant, **more: object) -> AccessGraph:
    return replace(estate(), grants=grants, denials=(), **more)  # type: ignore[arg-type]  # passed on as given


def test_a_member_whose_team_holds_the_same_loses_nothing() -> None:
    graph = graph_of(ADA, TEAM)
    proof = prove(graph, without(graph, {"g1"}), NIGHT)
    assert proof.is_safe
    assert (proof.as_it_is.subjects, proof.as_it_is.cases) == (1, 2 * 2), (
        "one caller, one route at two doors, until it ends and after"
    )


def test_a_team_whose_members_hold_the_same_does() -> None:
    """Whoever joins it tomorrow would miss it."""
    graph = graph_of(replace(ADA, ends_at=None), TEAM)
    proof = prove(graph, without(graph, {"g2"}), NIGHT)
    assert proof.as_it_is.differences == ()
    assert {one.subjects for one in proof.ever.differences} == {("person:dan", "person:new in team:storefront")}
    assert not proof.is_safe


def test_what_stands_behind_a_guardrail_is_not_called_safe() -> None:
    wall = Guardrail("k", "Never.", kinds=frozenset({SubjectKind.PERSON}))
    graph = graph_of(ADA, guardrails=(wall,))
    proof = prove(graph, without(graph, {"g1"}), NIGHT)
    assert (proof.as_it_is.differences, len(proof.ever.differences)) == ((), 2)
    assert not proof.is_safe


def test_two_that_follow_one_another_stand_in_for_a_third_and_a_gap_of_a_second_does_not() -> None:
    wide = replace(ADA, routes=frozenset({"refund", "order"}))
    first, second = replace(wide, id="a", ends_at=NIGHT + 60), replace(wide, id="b", starts_at=NIGHT + 60)
    graph = graph_of(ADA, first, second)
    assert [(one.grant.id, [by.id for by in one.by]) for one in removable(graph, NIGHT)] == [("g1", ["a", "b"])]
    late = replace(second, starts_at=NIGHT + 61)
    graph = graph_of(ADA, first, late)
    [one, *_] = prove(graph, without(graph, {"g1"}), NIGHT).as_it_is.differences
    assert (one.at, one.before.allowed, one.after.allowed) == (NIGHT + 60, True, False)


def test_the_past_does_not_count() -> None:
    graph = graph_of(ADA, replace(TEAM, starts_at=NIGHT + 10))
    assert not prove(graph, without(graph, {"g1"}), NIGHT).is_safe
    assert prove(graph, without(graph, {"g1"}), NIGHT + 10).is_safe


def test_graphs_that_differ_in_more_are_not_compared() -> None:
    graph = graph_of(ADA)
    with pytest.raises(ValueError, match="more than their grants"):
        compare(graph, replace(graph, guardrails=()), NIGHT)


def test_losses_name_everybody_and_what_at_which_door() -> None:
    eve = Subject("person:eve", SubjectKind.PERSON, "Eve", teams=frozenset({"team:storefront"}))
    base = graph_of(replace(TEAM, routes=frozenset({"refund", "order"})), replace(ADA, id="g3", points=MESH))
    graph = replace(base, subjects={**base.subjects, eve.id: eve})
    after = without(graph, {"g2"})
    assert [one.sentence for one in losses(graph, compare(graph, after, NIGHT).differences)] == [
        f"{name} could no longer call GET or HEAD /orders/{{id}} and POST /orders/{{id}}/refunds"
        " from the edge and inside the mesh on Payments."
        for name in ("Ada", "Eve")
    ]
    at_one_door = graph_of(replace(ADA, points=EDGE))
    lost = losses(at_one_door, compare(at_one_door, without(at_one_door, {"g1"}), NIGHT).differences)
    assert [one.sentence for one in lost] == [
        "Ada could no longer call POST /orders/{id}/refunds from the edge on Payments."
    ]
