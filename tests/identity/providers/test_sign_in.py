from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services
from apps.identity.models import GroupRule, Login, SignIn, SpentToken, Subject
from apps.identity.models import Provider as Row
from tests.factories.identity import AT, person, team
from tests.identity.providers.provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Provider,
    begin,
    facts,
    running_provider,
    set_up,
    sign_in,
    signed_in,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        set_up(started)
        started.asked.clear()
        yield started


def change(provider: Provider, **changes: Any) -> None:
    services.change_provider(slug="okta", facts=facts(provider.issuer, **changes), actor=SYSTEM, at=AT)


def test_the_whole_way(client: Client, provider: Provider) -> None:
    asked = begin(client, provider)
    assert asked["code_challenge_method"] == ["S256"]
    assert (asked["response_type"], asked["client_id"]) == (["code"], [CLIENT_ID])
    back = client.get("/oidc/okta/callback/", {"code": "c0de", "state": asked["state"][0], "iss": provider.issuer})
    assert (back.status_code, back["Location"]) == (302, "/access/")
    path, form = provider.asked[0]
    assert (path, form["code"], "code_verifier" in form) == ("/token", "c0de", True)
    assert form["authorization"].startswith("Basic ")
    assert CLIENT_SECRET not in form.values()
    login = Login.objects.get()
    assert (login.issuer, login.sub, login.subject.key) == (provider.issuer, "00u1", "person:ada")
    assert (login.subject.name, login.subject.email) == ("Ada Lovelace", "ada@shop.test")
    assert login.subject.console_roles.count() == 0
    assert Event.objects.latest("seq").action == "identity.session.started"
    assert signed_in(client)


def test_groups_of_a_sign_in_become_teams_by_rule_and_a_token_without_any_changes_none(
    client: Client, provider: Provider
) -> None:
    change(provider, groups_claim=("groups",))
    payments = team("payments")
    row = Row.objects.get(slug="okta")
    GroupRule.objects.create(
        provider=row, match="exact", pattern="sallyport-pay", team=payments, team_role="member", created_at=AT
    )
    provider.claims = {"groups": ["sallyport-pay", "others"]}
    sign_in(client, provider)
    assert list(payments.memberships.values_list("member__key", "role")) == [("person:ada", "member")]
    provider.claims = {}
    sign_in(Client(), provider)
    assert payments.memberships.count() == 1
    provider.claims = {"groups": ["others"]}
    sign_in(Client(), provider)
    assert payments.memberships.count() == 0


def test_the_second_time_it_is_the_same_person_whatever_they_are_called_by_then(
    client: Client, provider: Provider
) -> None:
    sign_in(client, provider)
    provider.claims = {"preferred_username": "countess"}
    provider.userinfo = {"name": "Countess", "email": "other@shop.test"}
    sign_in(Client(), provider)
    assert Subject.objects.get().key == "person:ada"
    assert Login.objects.count() == 1


def test_an_address_or_a_name_takes_over_nobody(client: Client, provider: Provider) -> None:
    """Somebody at the provider who calls themselves like an existing person becomes another person."""
    services.upsert_subject(key="person:ada", name="Ada Lovelace", email="ada@shop.test", actor=SYSTEM, at=AT)
    sign_in(client, provider)
    key = Login.objects.get().subject.key
    assert key.startswith("person:ada-")
    assert len(key) == len("person:ada-") + 10


def test_the_same_subject_at_another_issuer_is_somebody_else(client: Client, provider: Provider) -> None:
    ada = person("ada")
    services.link_login(issuer="https://other.test", sub="00u1", subject_key=ada.key, actor=SYSTEM, at=AT)
    sign_in(client, provider)
    assert Login.objects.exclude(issuer="https://other.test").get().subject != ada


def test_a_linked_login_is_the_person_an_administrator_said(client: Client, provider: Provider) -> None:
    ada = person("ada")
    services.link_login(issuer=provider.issuer, sub="00u1", subject_key=ada.key, actor=SYSTEM, at=AT)
    sign_in(client, provider)
    assert Login.objects.get().subject == ada
    assert signed_in(client)


def test_a_login_belongs_to_one_person() -> None:
    services.link_login(issuer="i", sub="s", subject_key=person("ada").key, actor=SYSTEM, at=AT)
    with pytest.raises(services.LoginTaken):
        services.link_login(issuer="i", sub="s", subject_key=person("ben").key, actor=SYSTEM, at=AT)


def test_strangers_can_be_kept_out(client: Client, provider: Provider) -> None:
    change(provider, creates_people=False)
    answer = sign_in(client, provider)
    assert answer.status_code == 403
    assert b"does not know you yet" in answer.content
    assert not signed_in(client)
    assert Subject.objects.count() == 0


def test_a_suspended_person_is_refused_and_an_open_session_ends(client: Client, provider: Provider) -> None:
    sign_in(client, provider)
    services.suspend_subject(key="person:ada", actor=SYSTEM, at=AT)
    assert client.get("/access/").status_code == 302
    answer = sign_in(Client(), provider)
    assert answer.status_code == 403
    assert b"suspended" in answer.content


@pytest.mark.parametrize(
    ("claims", "userinfo"),
    [
        ({"aud": "another"}, {}),
        ({"iss": "http://elsewhere.test"}, {}),
        ({"exp": 1}, {}),
        ({"nonce": "replayed"}, {}),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, {}),
        ({}, {"sub": "00u2"}),
        ({}, {"sub": None}),
    ],
)
def test_what_cannot_be_trusted_ends_on_a_page_and_signs_nobody_in(
    client: Client, provider: Provider, claims: dict[str, Any], userinfo: dict[str, Any]
) -> None:
    provider.claims, provider.userinfo = claims, userinfo
    answer = sign_in(client, provider)
    assert answer.status_code == 403
    assert b"could not be trusted" in answer.content
    assert not signed_in(client)
    assert Subject.objects.count() == 0


def test_an_answer_of_another_provider_is_refused(client: Client, provider: Provider) -> None:
    answer = sign_in(client, provider, iss="http://elsewhere.test")
    assert answer.status_code == 403
    assert provider.asked == []


@pytest.mark.parametrize("broken", ["/token", "/userinfo"])
def test_a_provider_that_is_down_is_said_to_be_down(client: Client, provider: Provider, broken: str) -> None:
    provider.broken = {broken}
    answer = sign_in(client, provider)
    assert answer.status_code == 502
    assert not signed_in(client)


def test_an_unknown_or_used_state_is_refused(client: Client, provider: Provider) -> None:
    assert client.get("/oidc/okta/callback/", {"code": "c", "state": "invented"}).status_code == 403
    state = begin(client, provider)["state"][0]
    assert client.get("/oidc/okta/callback/", {"code": "c", "state": state}).status_code == 302
    assert client.get("/oidc/okta/callback/", {"code": "c", "state": state}).status_code == 403


def test_a_refusal_of_the_provider_is_shown(client: Client, provider: Provider) -> None:
    state = begin(client, provider)["state"][0]
    answer = client.get("/oidc/okta/callback/", {"error": "access_denied", "state": state})
    assert answer.status_code == 403
    assert b"did not sign you in" in answer.content


def test_one_is_never_sent_to_another_site(client: Client, provider: Provider) -> None:
    state = begin(client, provider, next="https://elsewhere.test/")["state"][0]
    back = client.get("/oidc/okta/callback/", {"code": "c", "state": state})
    assert back["Location"] == "/"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state": ""},
        {"code": "c"},
        {"state": "\x00", "code": "\x00"},
        {"state": "a" * 9000, "code": "c"},
        {"state": "__proto__", "code": "c", "iss": "\x00"},
        {"state": ["a", "b"], "code": ["c", "d"]},
        {"error": "<script>", "state": "x"},
        {"error": "\x00" * 100},
    ],
)
def test_whatever_comes_back_is_answered_with_a_page(client: Client, provider: Provider, query: dict[str, Any]) -> None:
    begin(client, provider)
    answer = client.get("/oidc/okta/callback/", query)
    assert answer.status_code == 403
    assert b"<script>" not in answer.content
    assert not signed_in(client)


@pytest.mark.parametrize("code", ["", "\x00", "é" * 3000, "c" * 60_000, "c&client_secret=x"])
def test_any_code_is_only_passed_on(client: Client, provider: Provider, code: str) -> None:
    state = begin(client, provider)["state"][0]
    answer = client.get("/oidc/okta/callback/", {"code": code, "state": state})
    assert answer.status_code in {302, 403}
    assert all(form["code"] == code for path, form in provider.asked if path == "/token")


@pytest.mark.parametrize(
    "token", [None, 7, {}, ["x"], "", "a.b.c", "a" * 20_000, "\x00", "ü.ü.ü"], ids=lambda token: str(token)[:6]
)
def test_a_token_endpoint_that_talks_nonsense_signs_nobody_in(
    client: Client, provider: Provider, token: object
) -> None:
    provider.said_instead = {"id_token": token, "access_token": token}
    answer = sign_in(client, provider)
    assert answer.status_code == 403
    assert not signed_in(client)


@pytest.mark.parametrize("said", [[], "x", None, 7, {}])
def test_an_answer_that_is_no_answer_signs_nobody_in(client: Client, provider: Provider, said: object) -> None:
    provider.said_instead = said
    assert sign_in(client, provider).status_code in {403, 502}
    assert not signed_in(client)


def test_the_break_glass_sign_in_is_a_session_like_any_other(client: Client) -> None:
    """So that it can be ended like any other."""
    services.create_operator(name="glass", password="break in case of fire", at=AT)
    client.post("/django-admin/login/", {"username": "person:glass", "password": "break in case of fire"})
    row = SignIn.objects.get()
    assert (row.session_key, row.subject.key, row.provider) == (client.session.session_key, "person:glass", None)
    services.end_sessions(subject_key="person:glass", actor=SYSTEM, at=AT, why="a test")
    assert client.get("/access/").status_code == 302


def test_what_is_remembered_of_sessions_goes_with_them(client: Client, provider: Provider) -> None:
    sign_in(client, provider)
    services.spend_token(issuer="i", jti="j", good_until=AT)
    services.forget_ended(at=datetime.now(UTC))
    assert (SignIn.objects.count(), SpentToken.objects.count()) == (1, 0)
    services.forget_ended(at=datetime.now(UTC) + timedelta(hours=9))
    assert SignIn.objects.count() == 0
