"""/me/, /tokens/ and /subjects/."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.identity.models import ApiToken, Subject
from tests.api.calling import Caller, refused
from tests.factories import identity
from tests.factories.access import Shop


def test_me_says_who_one_is_and_whom_one_may_ask_for(there: Shop) -> None:
    body = Caller(there.ada).get("me/").json()
    assert body["subject"] == {"key": "person:ada", "kind": "person", "name": "Ada"}
    assert (body["roles"], [one["key"] for one in body["teams"]]) == ([], ["team:storefront"])
    assert [one["key"] for one in body["may_ask_for"]] == ["person:ada", "team:storefront", there.cart.key]
    assert Caller(there.cyd).get("me/").json()["roles"] == ["security"]


def test_a_token_is_shown_once_and_works(there: Shop) -> None:
    ada = Caller(there.ada)
    made = ada.post("tokens/", {"name": "laptop", "scopes": ["read"], "days": 2})
    assert made.status_code == 201
    body = made.json()
    assert (body["name"], body["scopes"], body["revoked_at"]) == ("laptop", ["read"], None)
    listed = ada.get("tokens/").json()["results"][0]
    assert listed["id"] == body["id"]
    assert "token" not in listed
    with_it = ada.client.get("/api/v1/me/", headers={"Authorization": f"Bearer {body['token']}"})
    assert with_it.json()["subject"]["key"] == "person:ada"


def test_a_revoked_token_opens_nothing(there: Shop) -> None:
    ada = Caller(there.ada)
    body = ada.post("tokens/", {"name": "laptop", "scopes": ["read"]}).json()
    assert ada.post(f"tokens/{body['id']}/revoke/").json()["revoked_at"] is not None
    again = ada.client.get("/api/v1/me/", headers={"Authorization": f"Bearer {body['token']}"})
    assert refused(again) == (401, "invalid_token")


def test_a_token_makes_none_that_may_do_more_than_itself(there: Shop) -> None:
    writer = Caller(there.ada, scopes=("read", "write"))
    assert refused(writer.post("tokens/", {"name": "t", "scopes": ["edge"]})) == (403, "scope_not_held")
    assert writer.post("tokens/", {"name": "t", "scopes": ["read"]}).status_code == 201
    assert ApiToken.objects.filter(name="t").count() == 1


def test_tokens_of_others_do_not_exist(there: Shop) -> None:
    token, _ = identity.api_token(there.ben)
    assert refused(Caller(there.ada).post(f"tokens/{token.pk}/revoke/")) == (404, "not_found")
    body = {"name": "t", "scopes": ["read"], "subject": "person:ben"}
    assert refused(Caller(there.ada).post("tokens/", body)) == (403, "may_not_issue_token")
    token.refresh_from_db()
    assert token.revoked_at is None


def test_the_owner_of_an_agent_makes_its_tokens(there: Shop) -> None:
    body = {"name": "ci", "scopes": ["read", "write"], "subject": "agent:release-bot"}
    made = Caller(there.dan).post("tokens/", body).json()
    bot = Caller().client.get("/api/v1/me/", headers={"Authorization": f"Bearer {made['token']}"})
    assert bot.json()["subject"]["key"] == "agent:release-bot"


def test_an_expired_token_opens_nothing(there: Shop, at: datetime) -> None:
    _, plain = identity.api_token(there.ada, at=at - timedelta(days=40), days=30)
    answer = Caller().client.get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"})
    assert refused(answer) == (401, "invalid_token")


def test_subjects_are_listed_by_key_and_kind(there: Shop) -> None:
    ada, seen, after = Caller(there.ada), [], ""
    while after is not None:
        page = ada.get("subjects/", limit=4, after=after).json()
        seen += [row["key"] for row in page["results"]]
        after = page["after"]
    assert seen == sorted(Subject.objects.values_list("key", flat=True))
    teams = ada.get("subjects/", kind="team").json()["results"]
    assert [row["key"] for row in teams] == ["team:payments", "team:storefront"]
    assert [row["key"] for row in ada.get("subjects/", query="cyd").json()["results"]] == ["person:cyd"]


def test_a_team_names_its_members_and_a_person_its_teams(there: Shop) -> None:
    ada = Caller(there.ada)
    team = ada.get("subjects/team:payments/").json()
    assert [(row["member"]["key"], row["role"]) for row in team["members"]] == [
        ("person:bea", "owner"),
        ("person:ben", "owner"),
    ]
    ben = ada.get("subjects/person:ben/").json()
    assert [(row["team"]["key"], row["role"]) for row in ben["memberships"]] == [("team:payments", "owner")]
    assert ada.get("subjects/agent:release-bot/").json()["owner"] == "person:dan"
    assert ada.get(f"subjects/{there.cart.key}/").json()["team"] == "team:storefront"
    assert refused(ada.get("subjects/person:nobody/")) == (404, "unknown_subject")


def test_mail_addresses_are_not_told(there: Shop) -> None:
    assert "email" not in Caller(there.ada).get("subjects/person:ben/").json()


def test_security_suspends_and_reinstates(there: Shop) -> None:
    cyd, dan = Caller(there.cyd), Caller(there.dan)
    assert cyd.post("subjects/person:dan/suspend/", {"why": "Lost laptop."}).json()["state"] == "suspended"
    assert refused(dan.get("me/")) == (401, "suspended")
    assert cyd.post("subjects/person:dan/reinstate/").json()["state"] == "active"
    assert dan.get("me/").status_code == 200


@pytest.mark.parametrize("who", ["ada", "flo", "bot"])
def test_nobody_else_suspends(there: Shop, who: str) -> None:
    answer = Caller(getattr(there, who)).post("subjects/person:ben/suspend/")
    assert refused(answer) == (403, "may_not_suspend")
    assert Subject.objects.get(key="person:ben").state == "active"
