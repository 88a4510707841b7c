"""A service that fails too often is left alone: what a node remembers, and what a breaker would have done."""

from __future__ import annotations

from dataclasses import replace

from apps.compiler.breakers import Answer, Breakers, Breaking, breaking
from apps.compiler.diff import diff
from apps.compiler.graph import AccessGraph, Breaker, Grant, Point, Subject, SubjectKind, TrafficRule, Variant
from apps.compiler.impact import Call
from apps.compiler.traffic import UNTREATED, clashes
from apps.compiler.traffic_words import rule_words
from tests.compiler.estate import BOTH, MESH, NIGHT, PAYMENTS
from tests.compiler.test_traffic import ORDER, PEOPLE, estate, rule, treated

THREE = Breaker(3, 10)
NAME = ("t1", "")


def trips(memory: Breakers, *times: float, breaker: Breaker = THREE) -> list[bool]:
    return [memory.failed(NAME, breaker, at) for at in times]


def test_so_many_failures_within_so_many_seconds_trip_it_for_as_long() -> None:
    memory = Breakers()
    assert trips(memory, 0, 5, 9) == [False, False, True]
    assert [memory.rest(NAME, at) for at in (9, 18.5, 19)] == [10, 0.5, 0]


def test_the_seconds_are_counted_back_from_each_failure() -> None:
    assert trips(Breakers(), 0, 6, 10, 15.9) == [False, False, False, True]
    assert trips(Breakers(), 0, 10, 20, 30) == [False] * 4
    assert trips(Breakers(), 7, breaker=Breaker(1, 10)) == [True]


def test_what_was_under_way_when_it_tripped_is_not_held_against_the_service() -> None:
    memory = Breakers()
    assert trips(memory, 0, 1, 2, 3, 11.9) == [False, False, True, False, False]
    assert memory.rest(NAME, 12) == 0
    assert trips(memory, 12, 13, 14) == [False, False, True]


def test_each_rule_and_each_version_is_counted_apart() -> None:
    memory = Breakers()
    assert trips(memory, 1, 2, 3)[-1]
    assert [memory.rest(name, 3) for name in (("t1", "v2"), ("t2", ""))] == [0, 0]


def test_whoever_the_rule_is_about_owes_it_at_the_mesh_and_nobody_else() -> None:
    graph = estate(rule(subject="team:beta", breaker=THREE))
    assert treated(graph).breakers == (("t1", 3, 10),)
    assert treated(graph, "person:ben") == UNTREATED


def test_two_breakers_of_one_call_clash_unless_they_are_alike() -> None:
    one, other = rule(breaker=THREE), rule("t2", breaker=Breaker(1, 60))
    told = (
        "one leaves the service alone for 10 s after 3 errors within 10 s, the other for 60 s after 1 error within 60 s"
    )
    assert clashes(one, other, PEOPLE) == (told,)
    assert clashes(one, replace(other, breaker=THREE), PEOPLE) == ()
    assert clashes(one, replace(other, routes=frozenset({"charge"})), PEOPLE) == ()
    assert clashes(one, rule("t3", calls_per_minute=1), PEOPLE) == ()


def test_a_plan_says_what_it_does_and_that_the_edge_has_none() -> None:
    inside, everywhere = rule(points=MESH, breaker=THREE), rule(points=BOTH, breaker=THREE)
    words = "are turned away for 10 s after 3 errors within 10 s"
    assert f"{words}, inside the mesh" in rule_words(estate(), inside)
    assert f"{words} (in the mesh alone: the edge has no breaker), from the edge" in rule_words(estate(), everywhere)
    [change] = diff(estate(), estate(everywhere)).changes
    assert (change.kind, words in change.sentence) == ("traffic_added", True)


def answers(*told: tuple[float, int], who: str = "person:ada") -> list[Answer]:
    call = Call(who, "GET", "payments", "/orders/7", Point.MESH, NIGHT)
    return [Answer(call, status, at) for at, status in told]


def test_a_replay_tells_how_often_it_would_have_tripped_and_whom_it_would_have_turned_away() -> None:
    new = estate(rule(breaker=THREE))
    told = answers((0, 500), (1, 200), (2, 503), (3, 499), (4, 502), (5, 200), (13.9, 500), (14, 200), (15, 500))
    assert breaking(told, estate(), new) == Breaking(failed=4, tripped=1, turned_away=2)
    assert breaking(told, new, new) == Breaking(), "what stands already is no change"
    assert breaking(answers((0, 500), who="person:eve"), estate(), new) == Breaking(), (
        "who is not let in is not counted"
    )


def test_a_replay_counts_versions_apart() -> None:
    ada = Subject("person:ada", SubjectKind.PERSON)
    service = replace(PAYMENTS, variants=(Variant("v2", 9302),))
    grants = tuple(Grant(f"g-{who}", who, "payments", ORDER, MESH, 0) for who in ("person:ada", "person:ben"))
    rules = (
        TrafficRule("t1", "", "payments", ORDER, MESH, 0, breaker=Breaker(2, 10)),
        TrafficRule("t2", "person:ada", "payments", ORDER, MESH, 0, variant="v2"),
    )
    people = {ada.id: ada, "person:ben": replace(ada, id="person:ben")}
    new = AccessGraph(people, {"payments": service}, grants, traffic=rules)
    told = [*answers((0, 500)), *answers((1, 500), who="person:ben"), *answers((2, 500)), *answers((3, 200))]
    assert breaking(told, replace(new, traffic=()), new) == Breaking(failed=3, tripped=1, turned_away=1)
