"""The reference decision, by example and against brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings

from apps.compiler.decide import Action, Context, Decision, Entitlement, Pdp, Resource, decide, entitlements, kind_of
from apps.compiler.graph import NO_CALLERS, AccessGraph, Cause, Grant, Guardrail, Point, Route, SubjectKind
from apps.compiler.paths import parse_template, segments, specificity
from apps.compiler.reasons import TEXTS, Reason
from tests.agreement.strategies import Case, Situation, situations
from tests.compiler.estate import BOT, CART_ID, HOUR, NIGHT, estate


def ask(
    subject: str, method: str, path: str, *, service: str = "payments", point: Point = Point.EDGE, at: int = NIGHT
) -> Decision:
    return decide(estate(), subject, Action(method), Resource(service, path), Context(point), at)


def test_a_running_grant_allows() -> None:
    assert ask("person:ada", "POST", "/orders/7/refunds") == Decision(True, Reason.GRANTED, ("g-ada",), "refund")


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (NIGHT - 1, Reason.GRANT_NOT_STARTED),
        (NIGHT, Reason.GRANTED),
        (NIGHT + 18 * HOUR - 1, Reason.GRANTED),
        (NIGHT + 18 * HOUR, Reason.GRANT_EXPIRED),
    ],
)
def test_a_grant_runs_from_its_start_to_just_before_its_end(at: int, reason: Reason) -> None:
    decision = ask("person:ada", "POST", "/orders/7/refunds", at=at)
    assert (decision.reason, decision.grant_ids) == (reason, ("g-ada",))


@pytest.mark.parametrize(
    ("subject", "method", "path", "reason"),
    [
        ("person:eve", "POST", "/orders/7/refunds", Reason.UNKNOWN_SUBJECT),
        ("person:dan", "POST", "/orders/7/refunds", Reason.UNKNOWN_SUBJECT),
        ("person:ada", "POST", "/orders//refunds", Reason.BAD_PATH),
        ("person:ada", "POST", "/orders/7/refunds/", Reason.NO_ROUTE),
        ("person:ada", "PUT", "/orders/7/refunds", Reason.NO_ROUTE),
        ("person:ada", "POST", "/charges", Reason.NO_GRANT),
        ("person:ben", "POST", "/charges", Reason.GRANT_EXPIRED),
        (BOT.id, "GET", "/orders/7", Reason.GRANT_NOT_STARTED),
        (BOT.id, "POST", "/charges", Reason.GUARDRAIL),
        (CART_ID, "POST", "/charges", Reason.NO_GRANT),
    ],
)
def test_refusals_say_why(subject: str, method: str, path: str, reason: Reason) -> None:
    decision = ask(subject, method, path)
    assert (decision.allowed, decision.reason) == (False, reason)


def test_an_unknown_service_is_said_before_a_bad_path() -> None:
    assert ask("person:ada", "GET", "//", service="nowhere").reason is Reason.NO_SERVICE


def test_points_are_separate() -> None:
    assert ask(CART_ID, "POST", "/charges", point=Point.MESH).allowed
    assert not ask(CART_ID, "POST", "/charges", point=Point.EDGE).allowed


def test_a_team_grant_reaches_active_members_of_active_teams_only() -> None:
    assert ask("person:ada", "GET", "/", service="cart").grant_ids == ("g-team",)
    assert ask("person:ben", "GET", "/", service="cart").reason is Reason.NO_GRANT
    graph = estate()
    disbanded = replace(graph.subjects["team:storefront"], active=False)
    graph = replace(graph, subjects={**graph.subjects, disbanded.id: disbanded})
    decision = decide(graph, "person:ada", Action("GET"), Resource("cart", "/"), Context(Point.EDGE), NIGHT)
    assert decision.reason is Reason.NO_GRANT


def test_the_most_specific_route_with_the_method_is_meant() -> None:
    assert ask("person:ben", "GET", "/orders/newest").route == "newest"
    assert ask("person:ben", "HEAD", "/orders/newest").route == "order"


def test_a_team_itself_calls_nobody_whatever_it_holds() -> None:
    """As at the doors: a comparison of two graphs looks at callers, so a team must not be one."""
    found = ask("team:storefront", "GET", "/", service="cart")
    assert (found.allowed, found.reason) == (False, Reason.UNKNOWN_SUBJECT)


def test_a_guardrail_on_a_team_holds_for_its_members() -> None:
    never = Guardrail("never", "Never.", subjects=frozenset({"team:storefront"}))
    graph = replace(estate(), guardrails=(never,))
    decision = decide(graph, "person:ada", Action("GET"), Resource("cart", "/"), Context(Point.EDGE), NIGHT)
    assert (decision.reason, decision.guardrail) == (Reason.GUARDRAIL, "never")


def test_entitlements_expand_teams_and_heed_guardrails() -> None:
    assert entitlements(estate(), "cart", NIGHT) == (
        Entitlement("person:ada", "read", frozenset({"GET"}), Point.EDGE, ("g-team",), None),
        Entitlement("person:ada", "read", frozenset({"GET"}), Point.MESH, ("g-team",), None),
    )
    later = [row for row in entitlements(estate(), "payments", NIGHT + HOUR) if row.subject == BOT.id]
    assert [(row.route, row.point, row.ends_at) for row in later] == [
        ("order", Point.EDGE, NIGHT + 2 * HOUR),
        ("order", Point.MESH, NIGHT + 2 * HOUR),
    ]
    assert entitlements(estate(), "nowhere", NIGHT) == ()


def test_kinds_are_read_from_ids() -> None:
    found = [kind_of(name) for name in ("person:ada", "agent:x", CART_ID, "team:x", "person", "nobody", "")]
    team = SubjectKind.TEAM
    assert found == [SubjectKind.PERSON, SubjectKind.AGENT, SubjectKind.WORKLOAD, team, team, team, team]


def test_every_reason_has_words() -> None:
    assert set(TEXTS) == set(Reason)


# Brute force: the rules read aloud, on the whole graph each time.


def brute_force(graph: AccessGraph, case: Case, point: Point) -> tuple[bool, Reason]:
    who = graph.subjects.get(case.subject)
    turned_away = brute_force_denial(graph, case)
    if who is None or not who.active or who.kind in NO_CALLERS:
        return False, turned_away or Reason.UNKNOWN_SUBJECT
    if case.service not in graph.services:
        return False, Reason.NO_SERVICE
    path = segments(case.path)
    if path is None:
        return False, Reason.BAD_PATH
    if turned_away is not None:
        return False, turned_away
    route = brute_force_route(graph, case, path)
    if route is None:
        return False, Reason.NO_ROUTE
    mine = {who.id, *(t for t in who.teams if t in graph.subjects and graph.subjects[t].active)}
    for rail in graph.guardrails:
        kind_or_name = (not rail.kinds and not rail.subjects) or who.kind in rail.kinds
        named = kind_or_name or {who.id, *who.teams} & rail.subjects
        selected = [
            (rail.services, case.service),
            (rail.routes, route.id),
            (rail.methods, case.method),
            (rail.points, point),
        ]
        if named and all(not chosen or value in chosen for chosen, value in selected):
            return False, Reason.GUARDRAIL
    held = [g for g in graph.grants if g.subject in mine and g.service == case.service]
    return brute_force_time([g for g in held if route.id in g.routes and point in g.points], case.at)


def brute_force_denial(graph: AccessGraph, case: Case) -> Reason | None:
    if case.service not in graph.services:
        return None
    standing = [
        one
        for one in graph.denials
        if one.subject == case.subject
        and case.at < one.until
        and (one.issued_until is None or case.at - case.age <= one.issued_until)
        and (not one.services or case.service in one.services)
    ]
    if any(one.cause is Cause.SUSPENDED and one.issued_until is None for one in standing):
        return Reason.SUBJECT_REVOKED
    if any(one.cause is not Cause.BUDGET for one in standing):
        return Reason.TOKEN_REVOKED
    return Reason.BUDGET_SPENT if standing else None


def brute_force_route(graph: AccessGraph, case: Case, path: tuple[str, ...]) -> Route | None:
    assert case.service is not None
    fitting = []
    for route in graph.services[case.service].routes:
        template = parse_template(route.template)
        same = len(template) == len(path) and all(
            t == p if t is not None else p for t, p in zip(template, path, strict=True)
        )
        if same and case.method in route.methods:
            fitting.append(route)
    return min(fitting, key=lambda route: (specificity(parse_template(route.template)), route.id), default=None)


def brute_force_time(held: list[Grant], at: int) -> tuple[bool, Reason]:
    if any(g.starts_at <= at and (g.ends_at is None or at < g.ends_at) for g in held):
        return True, Reason.GRANTED
    if any(at < g.starts_at for g in held):
        return False, Reason.GRANT_NOT_STARTED
    return False, Reason.GRANT_EXPIRED if held else Reason.NO_GRANT


@settings(max_examples=35, deadline=None)
@given(situations(faulty=0))
def test_decide_is_what_brute_force_says(situation: Situation) -> None:
    pdp = Pdp(situation.graph)
    for case in situation.cases:
        for point in Point:
            resource = Resource(case.service or "nowhere", case.path)
            context = Context(point, case.at - case.age)
            found = pdp.decide(case.subject, Action(case.method), resource, context, case.at)
            assert (found.allowed, found.reason) == brute_force(situation.graph, case, point), case


@settings(max_examples=30, deadline=None)
@given(situations(faulty=0))
def test_entitlements_are_what_decide_would_allow(situation: Situation) -> None:
    graph = situation.graph
    for case in islice(situation.cases, 0, None, 7):
        if case.service is None or kind_of(case.subject) is SubjectKind.TEAM:
            continue
        decision = decide(
            graph, case.subject, Action(case.method), Resource(case.service, case.path), Context(Point.EDGE), case.at
        )
        rows = entitlements(graph, case.service, case.at)
        held = [r for r in rows if (r.subject, r.route, r.point) == (case.subject, decision.route, Point.EDGE)]
        assert decision.allowed == any(case.method in row.methods for row in held)
