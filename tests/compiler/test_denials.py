"""Whoever is turned away is turned away: the reference, the edge's item and code, and the mesh's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.compiler.acceptance import decision_table
from apps.compiler.decide import Action, Context, Decision, Pdp, Resource, entitlements
from apps.compiler.diff import diff
from apps.compiler.doors import EdgeCall, EdgeDoor
from apps.compiler.emitters.edgekv import GROUP, emit_item, subject_hash
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.emitters.nginx_policy import denied_rows
from apps.compiler.emitters.nginx_trials import trials
from apps.compiler.graph import AccessGraph, Cause, Denial, Guardrail, Point, SubjectKind
from apps.compiler.reasons import Reason
from apps.compiler.slices import service_slice, split
from apps.localedge.runner import EdgeRunner, Result
from apps.rollout.snapshots import from_json, to_json
from tests.agreement.strategies import TokenFault
from tests.compiler.estate import CART_ID, CONSOLE, DENIALS, FORGE, HOUR, NIGHT, PAYMENTS, SURROUNDINGS, estate

ORDER = Action("GET"), Resource("payments", "/orders/7")
UNTIL = NIGHT + 305


def denied(*denials: Denial) -> AccessGraph:
    return replace(estate(), denials=denials)


def of_ben(graph: AccessGraph, at: int, issued: int | None) -> Decision:
    return Pdp(graph).decide("person:ben", *ORDER, Context(Point.EDGE, issued), at)


def test_a_suspension_turns_away_whatever_is_shown_until_its_last_second() -> None:
    graph = denied(Denial("person:ben", Cause.SUSPENDED, UNTIL))
    refused = Decision(False, Reason.SUBJECT_REVOKED)
    assert [of_ben(graph, UNTIL - 1, issued) for issued in (None, NIGHT, UNTIL - 1)] == [refused] * 3
    assert of_ben(graph, UNTIL, NIGHT).allowed


def test_revoked_tokens_are_those_made_out_until_then() -> None:
    graph = denied(Denial("person:ben", Cause.REVOKED, UNTIL, issued_until=NIGHT))
    assert of_ben(graph, NIGHT + 60, NIGHT) == Decision(False, Reason.TOKEN_REVOKED)
    assert of_ben(graph, NIGHT + 60, NIGHT + 1) == Decision(True, Reason.GRANTED, ("g-ben",), "order")
    assert of_ben(graph, NIGHT + 60, None).allowed, "a workload in the mesh shows no token"
    assert of_ben(graph, UNTIL, NIGHT).allowed


def test_an_undone_suspension_speaks_of_tokens() -> None:
    graph = denied(Denial("person:ben", Cause.SUSPENDED, UNTIL, issued_until=NIGHT))
    assert of_ben(graph, NIGHT, NIGHT).reason is Reason.TOKEN_REVOKED


def test_the_strongest_cause_is_told() -> None:
    graph = denied(*(Denial("person:ben", cause, UNTIL, NIGHT) for cause in reversed(Cause)))
    assert of_ben(graph, NIGHT, NIGHT).reason is Reason.TOKEN_REVOKED
    whole = denied(Denial("person:ben", Cause.BUDGET, UNTIL), Denial("person:ben", Cause.SUSPENDED, UNTIL))
    assert of_ben(whole, NIGHT, NIGHT).reason is Reason.SUBJECT_REVOKED


def test_a_denial_comes_before_routes_guardrails_and_unknown_names_but_after_the_path() -> None:
    wall = Guardrail("never", "Never.", kinds=frozenset({SubjectKind.PERSON}))
    graph = replace(denied(Denial("person:dan", Cause.SUSPENDED, UNTIL)), guardrails=(wall,))
    paths = {"/orders/7": Reason.SUBJECT_REVOKED, "/nowhere/at/all": Reason.SUBJECT_REVOKED, "/a//b": Reason.BAD_PATH}
    door = EdgeDoor(graph)
    told = {
        path: door.judge(EdgeCall("api.shop.test", "GET", f"/payments{path}"), None, "person:dan", NIGHT).reason
        for path in paths
    }
    assert told == paths
    assert Pdp(graph).decide("person:dan", *ORDER, Context(Point.EDGE), NIGHT).reason is Reason.SUBJECT_REVOKED
    assert Pdp(graph).decide("person:dan", *ORDER, Context(Point.EDGE), UNTIL).reason is Reason.UNKNOWN_SUBJECT


def test_a_denial_is_known_where_it_says() -> None:
    graph = denied(Denial("person:ben", Cause.SUSPENDED, UNTIL, services=frozenset({"cart"})))
    assert of_ben(graph, NIGHT, NIGHT).allowed
    assert (
        Pdp(graph).decide("person:ben", Action("GET"), Resource("cart", "/"), Context(Point.EDGE), NIGHT).reason
        is Reason.SUBJECT_REVOKED
    )
    assert service_slice(graph, "payments").denials == ()
    assert service_slice(graph, "cart").denials == graph.denials


def test_a_member_whose_team_holds_the_grant_is_turned_away() -> None:
    graph = denied(Denial("person:ada", Cause.SUSPENDED, UNTIL))
    assert Pdp(estate()).decide("person:ada", Action("GET"), Resource("cart", "/"), Context(Point.EDGE), NIGHT).allowed
    told = Pdp(graph).decide("person:ada", Action("GET"), Resource("cart", "/"), Context(Point.EDGE), NIGHT)
    assert told.reason is Reason.SUBJECT_REVOKED
    assert {row.subject for row in entitlements(estate(), "cart", NIGHT)} == {"person:ada"}
    assert entitlements(graph, "cart", NIGHT) == ()


def test_the_item_names_hashes_moments_and_reasons_only() -> None:
    item = emit_item(service_slice(denied(*DENIALS), "payments"), "payments", SURROUNDINGS)
    hashes = {name: subject_hash(name, "salt") for name in ("person:dan", "person:ben", "agent:release-bot")}
    assert json.loads(item.content)["denied"] == {
        hashes["person:dan"]: [["subject_revoked", UNTIL, None]],
        hashes["person:ben"]: [["token_revoked", UNTIL, NIGHT]],
        hashes["agent:release-bot"]: [["budget_spent", NIGHT + HOUR + 60, None]],
    }
    assert b"person:" not in item.content


def test_an_item_without_denials_is_as_it_was() -> None:
    assert "denied" not in json.loads(emit_item(service_slice(estate(), "payments"), "payments", SURROUNDINGS).content)


def test_the_meshs_rows() -> None:
    assert list(denied_rows(denied(*DENIALS), PAYMENTS)) == [
        ("denied payments agent:release-bot", f'[["budget_spent",{NIGHT + HOUR + 60},null]]'),
        ("denied payments person:ben", f'[["token_revoked",{UNTIL},{NIGHT}]]'),
        ("denied payments person:dan", f'[["subject_revoked",{UNTIL},null]]'),
    ]


def test_both_decision_tables_try_the_denials_at_their_seconds() -> None:
    graph = denied(*DENIALS)
    at_edge = {(t.subject, t.at - NIGHT, t.issued - NIGHT, t.reason.value) for t in decision_table(graph, NIGHT)}
    assert at_edge >= {
        ("person:dan", 304, 304, "subject_revoked"),
        ("person:dan", 305, 304, "no_grant"),
        ("person:ben", 304, 0, "token_revoked"),
        ("agent:release-bot", 3659, 3659, "budget_spent"),
    }
    assert not any(
        subject == "person:ben" and issued == 1 and reason == "token_revoked" for subject, _, issued, reason in at_edge
    )
    inside = {(row[1], row[4] - NIGHT, row[5]) for row in json.loads(trials(graph, PAYMENTS))}
    assert inside >= {("person:dan", 304, "subject_revoked"), ("person:ben", 0, "token_revoked")}
    assert ("person:ben", 1, "token_revoked") not in inside


def test_the_change_in_words() -> None:
    told = [change.sentence for change in diff(estate(), denied(*DENIALS[:2])).changes]
    assert told == [
        "Ben is turned away: tokens revoked, tokens made out until Fri 27 Nov 2026 00:00 UTC, "
        "until Fri 27 Nov 2026 00:05 UTC.",
        "Dan is turned away: suspended, until Fri 27 Nov 2026 00:05 UTC.",
    ]
    assert diff(denied(DENIALS[0]), estate()).changes[0].sentence.startswith("The denial of Dan goes: suspended")


def test_a_slice_is_kept_with_its_denials() -> None:
    assert from_json(json.loads(json.dumps(to_json(denied(*DENIALS))))).denials == tuple(
        sorted(DENIALS, key=lambda one: one.subject)
    )
    old = {name: value for name, value in to_json(estate()).items() if name != "denials"}
    assert from_json(old).denials == ()


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeRunner]:
    graph = denied(*DENIALS)
    files = {artifact.path: artifact.content for artifact in emit_code(graph, SURROUNDINGS)}
    items = {
        (SURROUNDINGS.namespace, GROUP, service): emit_item(part, service, SURROUNDINGS).content.decode()
        for service, part in split(graph)
    }
    with EdgeRunner(files, items) as running:
        yield running


def at_edge(edge: EdgeRunner, subject: str, *, at: int, issued: int, actor: str | None = None) -> Result:
    claims: dict[str, object] = {
        "iss": CONSOLE,
        "aud": "sallyport-edge",
        "sub": subject,
        "iat": issued,
        "exp": at + 300,
    }
    if actor is not None:
        claims["act"] = {"sub": actor}
    headers = {"Authorization": list(FORGE.make(claims, TokenFault.NONE, at).values)}
    return edge.run({"method": "GET", "host": "api.shop.test", "path": "/payments/orders/7", "headers": headers}, at)


@pytest.mark.parametrize(
    ("subject", "actor", "issued", "status", "reason", "retry"),
    [
        ("person:dan", None, NIGHT, 403, "subject_revoked", None),
        ("person:ben", None, NIGHT, 401, "token_revoked", None),
        ("agent:release-bot", None, NIGHT, 429, "budget_spent", ["3600"]),
        ("person:ben", "agent:release-bot", NIGHT + 1, 429, "budget_spent", ["3600"]),
        ("person:ben", "agent:release-bot", NIGHT, 401, "token_revoked", None),
    ],
    ids=["suspended", "signed out", "budget", "budget of the actor", "subject first"],
)
def test_what_the_edge_says(
    edge: EdgeRunner, subject: str, actor: str | None, issued: int, status: int, reason: str, retry: list[str] | None
) -> None:
    answer = at_edge(edge, subject, at=NIGHT + 60, issued=issued, actor=actor)
    body = json.loads(answer["body"])
    assert (answer["status"], body["reason"], body.get("request_url")) == (status, reason, None)
    assert {name.lower(): value for name, value in answer["headers"].items()}.get("retry-after") == retry


def test_the_context_token_says_how_old_the_callers_token_is(edge: EdgeRunner) -> None:
    first = at_edge(edge, "person:ben", at=NIGHT + 60, issued=NIGHT + 1)
    assert first["action"] == "forward"
    assert json.loads(first["variables"]["PMUSER_SP_V"])["i"] == NIGHT + 1
    assert CART_ID not in first["variables"]["PMUSER_SP_V"]
