"""/requests/: asking, listing and looking at one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.access.models import AccessRequest
from tests.api.calling import Caller, refused
from tests.factories.access import HOUR, Shop, active_grant, ask

ASK = {"service": "payments", "routes": ["refund"], "duration": HOUR, "reason": "A customer waits."}


def names(answer: Any) -> list[str]:
    return [row["id"] for row in answer.json()["results"]]


def test_asking_opens_a_request_and_answers_with_all_of_it(there: Shop) -> None:
    answer = Caller(there.ada).post("requests/", ASK)
    assert answer.status_code == 201
    body = answer.json()
    request = AccessRequest.objects.get(public_id=body["id"])
    assert request.origin == "api"
    assert {name: body[name] for name in ("requester", "subject", "service", "routes", "points", "duration")} == {
        "requester": {"key": "person:ada", "name": "Ada"},
        "subject": {"key": "person:ada", "name": "Ada"},
        "service": "payments",
        "routes": ["refund"],
        "points": ["edge", "mesh"],
        "duration": HOUR,
    }
    assert (body["state"], body["decided_at"], body["grant"], body["reviews"]) == ("pending", None, None, [])
    need = body["requirements"][0]
    assert (need["count"], need["answered"]) == (1, [])
    assert [who["key"] for who in need["waiting"]] == ["person:bea", "person:ben"]
    assert body["resolved"]["rules"] == [
        {"slug": "owner-approves", "sentence": "The team that owns the service decides."}
    ]
    assert body["risk"]["level"] in {"low", "medium", "high"}


def test_an_agent_may_ask_for_itself_and_for_nobody_else(there: Shop) -> None:
    bot = Caller(there.bot)
    assert bot.post("requests/", ASK).json()["subject"]["key"] == "agent:release-bot"
    assert refused(bot.post("requests/", {**ASK, "subject": "person:ada"})) == (403, "not_your_subject")
    assert AccessRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"service": "nothing"}, 404, "unknown_service"),
        ({"routes": ["nothing"]}, 422, "unknown_route"),
        ({"routes": []}, 400, "invalid"),
        ({"points": ["roof"]}, 400, "invalid"),
        ({"duration": 0}, 400, "invalid"),
        ({"duration": 5}, 422, "bad_duration"),
        ({"duration": 25 * HOUR}, 422, "duration_too_long"),
        ({"reason": "\u0000"}, 400, "invalid"),
        ({"reason": "  "}, 400, "invalid"),
        ({"environment": "moon"}, 404, "unknown_environment"),
    ],
)
def test_an_ask_that_makes_no_sense_opens_nothing(there: Shop, changes: dict[str, Any], status: int, code: str) -> None:
    assert refused(Caller(there.ada).post("requests/", {**ASK, **changes})) == (status, code)
    assert AccessRequest.objects.count() == 0


def test_the_same_is_asked_once(there: Shop) -> None:
    ada = Caller(there.ada)
    ada.post("requests/", ASK)
    assert refused(ada.post("requests/", ASK)) == (409, "already_asked")


def test_a_complaint_names_the_input(there: Shop) -> None:
    body = Caller(there.ada).post("requests/", {}).json()
    assert sorted(body["fields"]) == ["duration", "reason", "routes", "service"]
    nothing = Caller(there.ada).post("requests/", {**ASK, "routes": []}).json()
    assert nothing["fields"] == {"routes": ["Choose at least one route."]}


def test_a_token_that_reads_does_not_ask(there: Shop) -> None:
    assert refused(Caller(there.ada, scopes=("read",)).post("requests/", ASK)) == (403, "missing_scope")


def test_one_sees_what_concerns_one(there: Shop, at: datetime) -> None:
    mine, bots = ask(there.ada, at=at), ask(there.bot, at=at)
    assert names(Caller(there.ada).get("requests/")) == [mine.public_id]
    assert names(Caller(there.ben).get("requests/")) == [bots.public_id, mine.public_id]
    assert names(Caller(there.cart).get("requests/")) == []
    assert refused(Caller(there.cart).get(f"requests/{mine.public_id}/")) == (404, "unknown_request")
    assert refused(Caller(there.ada).get("requests/req_nothing/")) == (404, "unknown_request")
    assert Caller(there.ben).get(f"requests/{mine.public_id}/").json()["id"] == mine.public_id


def test_the_list_is_filtered_exactly(there: Shop, at: datetime) -> None:
    mine, bots = ask(there.ada, at=at), ask(there.bot, at=at)
    granted = active_grant(there.ada, there.ben, routes=("list",), at=at)
    ben = Caller(there.ben)
    assert names(ben.get("requests/", subject="agent:release-bot")) == [bots.public_id]
    assert names(ben.get("requests/", requester="person:ada", state="pending")) == [mine.public_id]
    assert names(ben.get("requests/", state="approved")) == [granted.request.public_id]  # type: ignore[union-attr]
    assert names(ben.get("requests/", service="elsewhere")) == []
    assert refused(ben.get("requests/", state="lost")) == (400, "invalid")


def test_pages_follow_one_another_without_gap_or_overlap(there: Shop, at: datetime) -> None:
    made = [ask(there.ada, routes=(route,), at=at).public_id for route in ("list", "read", "refund", "purge")]
    ada, seen, after = Caller(there.ada), [], None
    for _ in range(4):
        page = ada.get("requests/", limit=3, **({"after": after} if after else {})).json()
        seen += [row["id"] for row in page["results"]]
        after = page["after"]
        if after is None:
            break
    assert seen == made[::-1]


def test_the_list_costs_the_same_however_long(
    there: Shop, at: datetime, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    ask(there.ada, at=at)
    ben = Caller(there.ben)
    with django_assert_max_num_queries(8) as one:
        ben.get("requests/")
    for route in ("list", "read", "purge"):
        ask(there.ada, routes=(route,), at=at)
        ask(there.bot, routes=(route,), at=at)
    with django_assert_max_num_queries(8) as many:
        assert len(names(ben.get("requests/"))) == 7
    assert len(many.captured_queries) <= len(one.captured_queries)


def test_one_request_with_its_grant_costs_eight_queries(
    there: Shop, at: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    granted = active_grant(there.ada, there.ben, routes=("list", "refund"), at=at)
    ada, path = Caller(there.ada), f"requests/{granted.request.public_id}/"  # type: ignore[union-attr]
    ada.get(path)
    with django_assert_num_queries(8):
        body = ada.get(path).json()
    assert body["grant"]["id"] == granted.public_id
    assert body["grant"]["routes"] == body["routes"] == ["list", "refund"]
