"""/inbox/: what waits for me, and answering many at once."""

from __future__ import annotations

from datetime import datetime

from apps.access.models import Grant
from tests.api.calling import Caller, refused
from tests.factories.access import Shop, ask


def test_it_holds_what_waits_for_ones_answer_the_oldest_first(there: Shop, at: datetime) -> None:
    first, second = ask(there.ada, at=at), ask(there.bot, at=at)
    held = [row["id"] for row in Caller(there.ben).get("inbox/").json()["results"]]
    assert held == [first.public_id, second.public_id]
    for who in (there.ada, there.bot, there.cyd):
        assert Caller(who).get("inbox/").json() == {"results": []}


def test_many_are_answered_and_each_says_what_became_of_it(there: Shop, at: datetime) -> None:
    asked, own = ask(there.ada, at=at), ask(there.ben, at=at)
    sent = {"requests": [asked.public_id, own.public_id, "req_nothing"], "verdict": "approve"}
    answer = Caller(there.ben).post("inbox/", sent)
    assert answer.status_code == 200
    assert [(row["id"], row["state"], row["code"]) for row in answer.json()["results"]] == [
        (asked.public_id, "approved", ""),
        (own.public_id, "", "self_approval"),
        ("req_nothing", "", "unknown_request"),
    ]
    assert Grant.objects.count() == 1


def test_an_agent_answers_none(there: Shop, at: datetime) -> None:
    asked = ask(there.bot, at=at)
    answer = Caller(there.bot).post("inbox/", {"requests": [asked.public_id], "verdict": "approve"})
    assert [row["code"] for row in answer.json()["results"]] == ["agents_never_decide"]
    assert Grant.objects.count() == 0


def test_nothing_to_answer_is_refused(there: Shop) -> None:
    assert refused(Caller(there.ben).post("inbox/", {"requests": [], "verdict": "approve"})) == (400, "invalid")
