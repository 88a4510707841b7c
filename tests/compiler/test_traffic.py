"""What becomes of a call that is let in, by the reference: who goes where, and that a rule allows nothing."""

from __future__ import annotations

from dataclasses import replace

from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.diff import diff
from apps.compiler.graph import AccessGraph, Grant, Point, Subject, SubjectKind, TrafficRule, Variant
from apps.compiler.impact import Call
from apps.compiler.slices import service_slice
from apps.compiler.traffic import UNTREATED, Traffic, Treatment, clashes, is_inside, share
from apps.compiler.traffic_trials import MOST_TURNS, turns_of
from apps.compiler.traffic_words import Rerouting, rerouting, rule_words
from tests.compiler.estate import BOTH, HOUR, MESH, NIGHT, PAYMENTS

ADA = Subject("person:ada", SubjectKind.PERSON, "Ada", teams=frozenset({"team:beta"}))
BEN = Subject("person:ben", SubjectKind.PERSON, "Ben")
BETA = Subject("team:beta", SubjectKind.TEAM, "Beta")
ORDER = frozenset({"order"})
SERVICE = replace(PAYMENTS, variants=(Variant("v2", 9302), Variant("v3", 9303)))


def rule(rule_id: str = "t1", subject: str = "", **more: object) -> TrafficRule:
    given: dict[str, object] = {"service": "payments", "routes": ORDER, "points": BOTH, "starts_at": 0, **more}
    return TrafficRule(rule_id, subject, **given)  # type: ignore[arg-type]  # passed on as given


def estate(*rules: TrafficRule) -> AccessGraph:
    grants = tuple(Grant(f"g-{who.name}", who.id, "payments", ORDER, BOTH, 0) for who in (ADA, BEN))
    people = {one.id: one for one in (ADA, BEN, BETA)}
    return AccessGraph(people, {"payments": SERVICE}, grants, traffic=rules)


def treated(
    graph: AccessGraph, who: str = "person:ada", path: str = "/orders/7", point: Point = Point.MESH, at: int = NIGHT
) -> Treatment:
    decision = Pdp(graph).decide(who, Action("GET"), Resource("payments", path), Context(point), at)
    return Traffic(graph).treat(decision, who, "payments", point, at)


def test_a_team_goes_to_another_version_and_nobody_else() -> None:
    graph = estate(rule(subject="team:beta", variant="v2"))
    assert treated(graph) == Treatment(variant="v2", rules=("t1",))
    assert treated(graph, "person:ben") == UNTREATED


def test_the_edge_sends_a_version_to_its_own_origin_and_the_mesh_has_none() -> None:
    elsewhere = replace(SERVICE, variants=(Variant("v2", 9302, "blue"),))
    graph = replace(estate(rule(subject="team:beta", variant="v2")), services={"payments": elsewhere})
    assert treated(graph, point=Point.EDGE) == Treatment(variant="v2", rules=("t1",), origin="blue")
    assert treated(graph, point=Point.MESH).origin == treated(graph, "person:ben", point=Point.EDGE).origin == ""


def test_a_rule_is_tried_from_each_side_of_its_share_and_at_its_turns() -> None:
    half = rule("half", variant="v2", percent=50, starts_at=NIGHT, ends_at=NIGHT + 60)
    inside, outside = sorted((ADA.id, BEN.id), key=lambda who: not is_inside(half, who))
    assert (is_inside(half, inside), is_inside(half, outside)) == (True, False)
    turns = [*turns_of(estate(half), SERVICE, Point.EDGE)]
    assert turns[:2] == [(inside, "order", NIGHT), (outside, "order", NIGHT)]
    assert [at - NIGHT for who, _, at in turns[2:] if who == inside] == [-1, 59, 60]
    betas = rule("betas", subject="team:beta", variant="v2", starts_at=NIGHT)
    assert {who for who, _, _ in turns_of(estate(betas), SERVICE, Point.EDGE)} == {ADA.id, BEN.id}
    assert [*turns_of(replace(estate(betas), grants=()), SERVICE, Point.EDGE)] == []


def test_the_rule_that_changed_is_tried_however_many_there_are() -> None:
    rules = [rule(f"t{number:02}", starts_at=NIGHT + number) for number in range(40)]
    turns = [*turns_of(estate(*rules), SERVICE, Point.EDGE, first={"t03"})]
    assert len(turns) == MOST_TURNS
    assert [at - NIGHT for _, _, at in turns[:2]] == [3, 2]


def test_a_rule_allows_nothing() -> None:
    graph = replace(estate(rule(variant="v2")), grants=())
    assert treated(graph) == UNTREATED
    assert treated(estate(rule(variant="v2")), path="/charges") == UNTREATED


def test_whoever_is_inside_a_share_stays_inside_when_it_grows() -> None:
    people = [f"person:p{number}" for number in range(1000)]
    inside = {
        percent: {who for who in people if is_inside(rule(f"t{percent}", variant="v2", percent=percent), who)}
        for percent in (1, 10, 50, 99, 100)
    }
    assert inside[1] < inside[10] < inside[50] < inside[99] < inside[100] == set(people)
    assert [len(inside[percent]) for percent in (10, 50)] == [98, 512]


def test_the_draw_is_the_same_everywhere_for_good() -> None:
    """The doors compute the same; a changed draw would move people between versions."""
    drawn = [share("payments", variant, "person:ada") for variant in ("v2", "v3", "")]
    assert drawn == [59, 58, 63]


def test_the_more_personal_rule_is_told_first() -> None:
    everybody, team = (
        rule("t1", variant="v2"),
        rule("t2", "team:beta", variant="v3", set_headers=(("X-Canary", "team"),)),
    )
    own = rule("t3", "person:ada", set_headers=(("X-Canary", "own"),), remove_headers=("Prefer",))
    graph = estate(everybody, team, own)
    assert treated(graph) == Treatment("v3", (("X-Canary", "own"),), ("Prefer",), (), ("t3", "t2", "t1"))
    assert treated(graph, "person:ben") == Treatment(variant="v2", rules=("t1",))


def test_a_rule_counts_from_its_start_to_before_its_end_at_its_doors() -> None:
    graph = estate(rule(variant="v2", points=MESH, starts_at=NIGHT, ends_at=NIGHT + HOUR))
    found = [treated(graph, at=at).variant for at in (NIGHT - 1, NIGHT, NIGHT + HOUR - 1, NIGHT + HOUR)]
    assert found == ["", "v2", "v2", ""]
    assert treated(graph, point=Point.EDGE) == UNTREATED


def test_every_limit_that_applies_is_owed_and_counts_each_caller_apart() -> None:
    graph = estate(rule("t1", calls_per_minute=30), rule("t2", "team:beta", calls_per_minute=60))
    assert treated(graph).limits == (("t2 person:ada", 60), ("t1 person:ada", 30))
    assert treated(graph, "person:ben").limits == (("t1 person:ben", 30),)


def test_a_version_that_is_gone_leaves_the_usual_one() -> None:
    graph = estate(rule(variant="v9", set_headers=(("X-Canary", "on"),)))
    assert treated(graph) == Treatment(set_headers=(("X-Canary", "on"),), rules=("t1",))


def test_the_slice_of_a_service_treats_as_the_whole() -> None:
    graph = estate(rule(subject="team:beta", variant="v2"), rule("t2", service="cart", variant="v2"))
    piece = service_slice(graph, "payments")
    assert [one.id for one in piece.traffic] == ["t1"]
    assert treated(piece) == treated(graph)


PEOPLE = {one.id: one for one in (ADA, BEN, BETA)}


def test_rules_clash_where_one_call_cannot_have_both() -> None:
    beta, all_of_them = rule("t1", "team:beta", variant="v2"), rule("t2", variant="v3", percent=10)
    assert clashes(beta, all_of_them, PEOPLE) == ("one sends to v2, the other to v3",)
    assert clashes(beta, replace(all_of_them, subject="person:ada"), PEOPLE) != ()
    assert clashes(beta, replace(all_of_them, subject="person:ben"), PEOPLE) == ()
    assert clashes(beta, replace(all_of_them, routes=frozenset({"charge"})), PEOPLE) == ()
    assert clashes(beta, replace(all_of_them, variant="v2"), PEOPLE) == (), "a share that grows is no contradiction"


def test_headers_clash_too() -> None:
    sets, removes = rule(set_headers=(("Prefer", "a"),)), rule(remove_headers=("Prefer",))
    assert clashes(sets, removes, PEOPLE) == ('one sets Prefer to "a", the other removes Prefer',)
    assert clashes(sets, sets, PEOPLE) == ()
    assert clashes(rule(calls_per_minute=1), rule(calls_per_minute=2), PEOPLE) == (), "both limits count"


def test_the_words_of_a_rule_and_of_its_coming_and_going() -> None:
    canary = rule(variant="v2", percent=10, ends_at=NIGHT + 18 * HOUR)
    words = (
        "calls of 10 % of all callers to GET or HEAD /orders/{id} on Payments go to v2, "
        "from the edge and inside the mesh until Fri 27 Nov 2026 18:00 UTC"
    )
    graph = estate(canary)
    assert rule_words(graph, canary) == words
    assert [change.sentence for change in diff(estate(), graph).changes] == [f"From now on {words}."]
    assert [change.kind for change in diff(graph, estate()).changes] == ["traffic_removed"]
    full = rule(subject="team:beta", set_headers=(("X-Canary", "on"),), remove_headers=("X-Debug",), calls_per_minute=5)
    assert 'Beta to GET or HEAD /orders/{id} on Payments carry X-Canary "on", lose X-Debug and are let' in rule_words(
        graph, full
    )


def test_a_replay_tells_how_many_calls_would_have_gone_elsewhere() -> None:
    calls = [
        Call(who, "GET", "payments", path, Point.MESH, NIGHT)
        for who, path in (
            ("person:ada", "/orders/1"),
            ("person:ada", "/orders/2"),
            ("person:ben", "/orders/1"),
            ("person:ada", "/charges"),
        )
    ]
    assert rerouting(calls, estate(), estate(rule(subject="team:beta", variant="v2"))) == Rerouting(2, 1, (("v2", 2),))
    assert rerouting(calls, estate(), estate()) == Rerouting(0, 0, ())
