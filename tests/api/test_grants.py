"""/grants/: what is open, and handing it back."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.api.calling import Caller, refused
from tests.factories.access import HOUR, Shop, active_grant


def test_a_grant_says_how_long_and_how_each_door_stands(there: Shop, at: datetime) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    body = Caller(there.ada).get(f"grants/{grant.public_id}/").json()
    assert grant.request is not None
    assert (body["id"], body["request"], body["state"]) == (grant.public_id, grant.request.public_id, "active")
    assert (body["subject"]["key"], body["service"], body["routes"]) == ("person:ada", "payments", ["refund"])
    assert (body["duration"], body["ended_at"], body["error"]) == (HOUR, None, "")
    assert [door["point"] for door in body["doors"]] == ["edge", "mesh"]


def test_one_sees_what_concerns_one(there: Shop, at: datetime) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    for who, sees in ((there.ada, True), (there.bea, True), (there.flo, True), (there.dan, False), (there.bot, False)):
        listed = [row["id"] for row in Caller(who).get("grants/").json()["results"]]
        assert listed == ([grant.public_id] if sees else [])
        assert Caller(who).get(f"grants/{grant.public_id}/").status_code == (200 if sees else 404)


def test_the_list_is_filtered_and_paged(there: Shop, at: datetime) -> None:
    made = [active_grant(there.ada, there.ben, routes=(route,), at=at).public_id for route in ("list", "read", "purge")]
    ada = Caller(there.ada)
    first = ada.get("grants/", limit=2, state="active").json()
    assert [row["id"] for row in first["results"]] == made[:0:-1]
    rest = ada.get("grants/", limit=2, state="active", after=first["after"]).json()
    assert ([row["id"] for row in rest["results"]], rest["after"]) == ([made[0]], None)
    assert ada.get("grants/", state="revoked").json() == {"results": [], "after": None}


@pytest.mark.parametrize(("who", "state"), [("ada", "handed_back"), ("ben", "revoked"), ("cyd", "revoked")])
def test_holders_hand_back_and_owners_and_security_revoke(there: Shop, at: datetime, who: str, state: str) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    body = Caller(getattr(there, who)).post(f"grants/{grant.public_id}/end/", {"why": "Done."}).json()
    assert (body["state"], body["end_reason"]) == (state, "Done.")
    assert {door["state"] for door in body["doors"]} == {"closing"}


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [("flo", 403, "not_yours_to_end"), ("dan", 404, "unknown_grant"), ("bot", 404, "unknown_grant")],
)
def test_nobody_else_ends_it(there: Shop, at: datetime, who: str, status: int, code: str) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    assert refused(Caller(getattr(there, who)).post(f"grants/{grant.public_id}/end/")) == (status, code)
    grant.refresh_from_db()
    assert grant.state == "active"


def test_it_ends_once(there: Shop, at: datetime) -> None:
    grant = active_grant(there.ada, there.ben, at=at)
    ada = Caller(there.ada)
    ada.post(f"grants/{grant.public_id}/end/")
    assert refused(ada.post(f"grants/{grant.public_id}/end/")) == (409, "grant_ended")
