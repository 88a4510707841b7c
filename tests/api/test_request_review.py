"""/requests/<id>/review/ and /cancel/: who decides, who never does, and who may withdraw."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access.models import Grant, Review
from tests.api.calling import Caller, refused
from tests.factories.access import Shop, ask


def test_an_owner_approves_and_the_grant_comes_with_the_answer(there: Shop, at: datetime) -> None:
    request = ask(there.ada, at=at)
    body = Caller(there.ben).post(f"requests/{request.public_id}/review/", {"verdict": "approve", "comment": "Fine."})
    assert body.status_code == 200
    answered = body.json()
    assert answered["state"] == "approved"
    assert [(one["reviewer"]["key"], one["verdict"], one["comment"]) for one in answered["reviews"]] == [
        ("person:ben", "approve", "Fine.")
    ]
    grant = Grant.objects.get()
    assert (answered["grant"]["id"], answered["grant"]["state"]) == (grant.public_id, "pending")
    assert [(door["point"], door["state"]) for door in answered["grant"]["doors"]] == [
        ("edge", "opening"),
        ("mesh", "opening"),
    ]


def test_a_denial_decides(there: Shop, at: datetime) -> None:
    request = ask(there.ada, at=at)
    answer = Caller(there.ben).post(f"requests/{request.public_id}/review/", {"verdict": "deny"})
    assert (answer.json()["state"], answer.json()["grant"]) == ("denied", None)
    assert Grant.objects.count() == 0


@pytest.mark.parametrize(
    ("asker", "who", "status", "code"),
    [
        ("ada", "ada", 403, "self_approval"),
        ("ben", "ben", 403, "self_approval"),
        ("bot", "dan", 403, "owner_of_asking_agent"),
        ("bot", "bot", 403, "agents_never_decide"),
        ("ada", "eve", 403, "not_an_approver"),
        ("ada", "cyd", 403, "not_an_approver"),
        ("ada", "dan", 404, "unknown_request"),
        ("ada", "cart", 404, "unknown_request"),
    ],
)
def test_nobody_else_decides_and_nothing_changes(
    there: Shop, at: datetime, asker: str, who: str, status: int, code: str
) -> None:
    request = ask(getattr(there, asker), at=at)
    answer = Caller(getattr(there, who)).post(f"requests/{request.public_id}/review/", {"verdict": "approve"})
    assert refused(answer) == (status, code)
    request.refresh_from_db()
    assert (request.state, Review.objects.count(), Grant.objects.count()) == ("pending", 0, 0)


def test_it_is_decided_once(there: Shop, at: datetime) -> None:
    request = ask(there.ada, at=at)
    Caller(there.ben).post(f"requests/{request.public_id}/review/", {"verdict": "approve"})
    late = Caller(there.bea).post(f"requests/{request.public_id}/review/", {"verdict": "deny"})
    assert refused(late) == (409, "request_not_open")
    assert Grant.objects.count() == 1


def test_a_verdict_is_approve_or_deny(there: Shop, at: datetime) -> None:
    request = ask(there.ada, at=at)
    answer = Caller(there.ben).post(f"requests/{request.public_id}/review/", {"verdict": "perhaps"})
    assert refused(answer) == (400, "invalid")
    assert sorted(answer.json()["fields"]) == ["verdict"]


def test_the_asker_withdraws_and_nobody_else_does(there: Shop, at: datetime) -> None:
    request = ask(there.ada, at=at)
    path = f"requests/{request.public_id}/cancel/"
    assert refused(Caller(there.ben).post(path)) == (403, "not_yours_to_cancel")
    assert refused(Caller(there.dan).post(path)) == (404, "unknown_request")
    assert Caller(there.ada).post(path, {"why": "Solved."}).json()["state"] == "cancelled"
    assert refused(Caller(there.ada).post(path)) == (409, "request_not_open")


def test_the_owner_of_an_agent_withdraws_for_it(there: Shop, at: datetime) -> None:
    request = ask(there.bot, at=at)
    assert Caller(there.dan).post(f"requests/{request.public_id}/cancel/").json()["state"] == "cancelled"
