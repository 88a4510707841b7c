"""/preview/ and /decide/: questions only. A token that reads may put them, and nothing changes."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.models import AccessRequest
from apps.audit.models import Event
from tests.api.calling import Caller, refused
from tests.factories.access import HOUR, Shop, active_grant

ASK = {"service": "payments", "routes": ["refund"], "duration": HOUR}
CALL = {"service": "payments", "method": "POST", "path": "/refunds", "point": "edge"}


def test_a_preview_says_who_approves_and_what_would_change(there: Shop) -> None:
    ada = Caller(there.ada, scopes=("read",))
    before = Event.objects.count()
    body = ada.post("preview/", ASK).json()
    assert (body["can_be_sent"], body["blockers"], body["already"]) == (True, [], [])
    assert [[who["key"] for who in one["people"]] for one in body["approvals"]] == [["person:bea", "person:ben"]]
    assert body["max_duration"] == 24 * HOUR
    assert len(body["changes"]) == 1
    assert (AccessRequest.objects.count(), Event.objects.count()) == (0, before)


def test_a_preview_names_what_stands_against_it(there: Shop) -> None:
    body = Caller(there.ada).post("preview/", {**ASK, "duration": 25 * HOUR}).json()
    assert (body["can_be_sent"], [one["code"] for one in body["blockers"]]) == (False, ["duration_too_long"])


def test_a_preview_says_what_is_open_already(there: Shop, at: datetime) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    assert any(grant.public_id in line for line in Caller(there.ada).post("preview/", ASK).json()["already"])


def test_a_preview_is_of_ones_own_asks(there: Shop) -> None:
    assert refused(Caller(there.bot).post("preview/", {**ASK, "subject": "person:ada"})) == (403, "not_your_subject")


def test_no_grant_no_entry(there: Shop) -> None:
    body = Caller(there.ada, scopes=("read",)).post("decide/", CALL).json()
    assert body == {
        "allowed": False,
        "reason": "no_grant",
        "sentence": "Nobody has opened this to you.",
        "grants": [],
        "route": "refund",
        "guardrail": None,
    }


def test_a_decision_costs_eight_queries_whatever_others_hold(there: Shop, at: datetime) -> None:
    ada = Caller(there.ada, scopes=("read",))
    ada.post("decide/", CALL)
    for other in (there.bot, there.dan):
        active_grant(other, there.ben, at=at)
    with CaptureQueriesContext(connection) as asked:
        ada.post("decide/", CALL)
    assert len(asked) == 8


def test_a_grant_lets_in_and_is_named(there: Shop, at: datetime) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    body = Caller(there.ada).post("decide/", CALL).json()
    assert (body["allowed"], body["reason"], body["grants"]) == (True, "granted", [grant.public_id])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "/a//b"}, "bad_path"),
        ({"path": "/nothing"}, "no_route"),
        ({"method": "BREW"}, "no_route"),
        ({"service": "nothing"}, "no_service"),
    ],
)
def test_every_reason_is_an_answer_not_an_error(there: Shop, changes: dict[str, str], reason: str) -> None:
    answer = Caller(there.ada).post("decide/", {**CALL, **changes})
    assert (answer.status_code, answer.json()["reason"]) == (200, reason)


@pytest.mark.parametrize(("who", "status"), [("cyd", 200), ("flo", 200), ("ben", 403), ("bot", 403)])
def test_about_others_only_those_who_watch_may_ask(there: Shop, who: str, status: int) -> None:
    answer = Caller(getattr(there, who)).post("decide/", {**CALL, "subject": "person:ada"})
    assert answer.status_code == status
