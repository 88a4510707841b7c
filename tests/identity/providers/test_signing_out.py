"""Signing out here signs out there; signing out there ends the session here."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services
from apps.identity.models import SignIn, SpentToken, Subject
from tests.factories.identity import AT, person
from tests.identity.providers.provider import CLIENT_ID, Provider, rsa_key, running_provider, set_up, sign_in

pytestmark = pytest.mark.django_db
ADDRESS = "/oidc/okta/backchannel-logout/"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        set_up(started)
        yield started


def session(provider: Provider, **claims: Any) -> Client:
    client = Client()
    provider.claims = claims
    assert sign_in(client, provider).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/access/").status_code == 200


def deliver(token: str) -> Any:
    return Client().post(ADDRESS, urlencode({"logout_token": token}), content_type="application/x-www-form-urlencoded")


def tell(provider: Provider, header: dict[str, Any] | None = None, **claims: Any) -> Any:
    return deliver(provider.logout_token(header, **claims))


def test_signing_out_goes_to_the_provider_with_the_hint(provider: Provider) -> None:
    client = session(provider, sid="s-1")
    page = client.post("/sign-out/").content.decode()
    assert not is_in(client)
    address = unescape(page.split('content="0;url=')[1].split('"')[0])
    assert address.startswith(f"{provider.issuer}/end?")
    asked = parse_qs(urlsplit(address).query)
    assert asked["id_token_hint"][0].count(".") == 2
    assert asked["post_logout_redirect_uri"] == ["http://127.0.0.1:8000/sign-in/"]
    assert asked["client_id"] == [CLIENT_ID]
    assert len(asked["state"][0]) == 32
    assert not SignIn.objects.exists()
    assert Event.objects.latest("seq").action == "identity.session.ended"


def test_without_a_place_for_it_there_one_is_signed_out_here(provider: Provider) -> None:
    provider.metadata = {"end_session_endpoint": None}
    services.note_discovery(slug="okta", endpoints=provider.document(), actor=SYSTEM, at=AT)
    client = session(provider)
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert not is_in(client)


@pytest.mark.parametrize("header", [{}, {"typ": "JWT"}, {"typ": "application/logout+jwt"}])
def test_a_named_session_ends_and_no_other(provider: Provider, header: dict[str, str]) -> None:
    first, second = session(provider, sid="s-1"), session(provider, sid="s-2")
    answer = tell(provider, sid="s-1", header=header)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert (is_in(first), is_in(second)) == (False, True)
    event = Event.objects.latest("seq")
    assert (event.action, event.actor_id, event.after["sessions"]) == ("identity.session.ended", "provider:okta", 1)
    assert Subject.objects.get().is_active


def test_a_person_without_a_session_named_leaves_all_of_theirs(provider: Provider) -> None:
    mine = [session(provider, sid="s-1"), session(provider, sid="s-2")]
    assert tell(provider, sub="00u1").status_code == 200
    assert [is_in(one) for one in mine] == [False, False]


def test_a_person_and_a_session_that_do_not_belong_together_end_nothing(provider: Provider) -> None:
    client = session(provider, sid="s-1")
    assert tell(provider, sub="00u2", sid="s-1").status_code == 200
    assert is_in(client)


def test_sessions_of_another_provider_go_on(provider: Provider) -> None:
    with running_provider() as other:
        set_up(other, "other")
        client = Client()
        sign_in(client, other, "other")
        assert tell(provider, sub="00u1").status_code == 200
    assert is_in(client)


def test_a_token_works_once(provider: Provider) -> None:
    session(provider, sid="s-1")
    assert tell(provider, sid="s-1", jti="j-1").status_code == 200
    again = session(provider, sid="s-1")
    refused = tell(provider, sid="s-1", jti="j-1")
    assert (refused.status_code, refused["Cache-Control"]) == (400, "no-store")
    assert is_in(again)


def test_nothing_to_end_is_no_fault(provider: Provider) -> None:
    assert tell(provider, sid="s-9").status_code == 200


def test_a_provider_that_is_switched_off_may_still_end_sessions(provider: Provider) -> None:
    client = session(provider, sid="s-1")
    services.switch_provider(slug="okta", enabled=False, actor=SYSTEM, at=AT)
    assert tell(provider, sid="s-1").status_code == 200
    assert not is_in(client)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"},
        {"nonce": ""},
        {"events": None},
        {"events": {}},
        {"events": [EVENT]},
        {"events": EVENT},
        {"events": {EVENT: "yes"}},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"sid": None},
        {"sid": ""},
        {"sid": "a\x00"},
        {"sid": 7},
        {"sub": ""},
        {"sub": ["00u1"]},
        {"iss": "https://elsewhere.test"},
        {"aud": "another"},
        {"iat": 1},
        {"iat": None},
        {"exp": 1},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": "secevent+jwt"}},
    ],
)
def test_a_token_that_proves_nothing_ends_nothing(provider: Provider, claims: dict[str, Any]) -> None:
    client = session(provider, sid="s-1")
    answer = tell(provider, **({"sid": "s-1"} | claims))
    assert (answer.status_code, answer["Cache-Control"]) == (400, "no-store")
    assert answer.json()["error"] == "invalid_request"
    assert is_in(client)
    assert not SpentToken.objects.exists()


def test_an_id_token_is_no_logout_token_and_the_other_way_round(provider: Provider) -> None:
    client = session(provider, sid="s-1")
    id_token = provider.id_token()
    assert deliver(id_token).status_code == 400
    provider.claims = {"events": {EVENT: {}}, "jti": "j", "nonce": None}
    assert sign_in(Client(), provider).status_code == 403
    assert is_in(client)


def test_somebody_elses_signature_ends_nothing(provider: Provider) -> None:
    client = session(provider, sid="s-1")
    provider.key, provider.published = rsa_key("k1"), [provider.key]
    assert tell(provider, sid="s-1").status_code == 400
    assert is_in(client)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("logout_token=", "application/x-www-form-urlencoded"),
        ("logout_token=a.b.c", "application/x-www-form-urlencoded"),
        ("logout_token=%00%ff", "application/x-www-form-urlencoded"),
        ("&".join(f"a{n}=1" for n in range(3000)), "application/x-www-form-urlencoded"),
        ("logout_token=" + "a" * 70_000, "application/x-www-form-urlencoded"),
        ('{"logout_token": "a.b.c"}', "application/json"),
        ("--x\r\n", "multipart/form-data; boundary=x"),
        ("--x\r\n", "multipart/form-data"),
        ("logout_token=a", "text/plain"),
    ],
)
def test_whatever_is_sent_the_answer_is_typed(provider: Provider, body: str, kind: str) -> None:
    answer = Client().post(ADDRESS, body, content_type=kind)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_unknown_provider_and_another_method_are_refused(provider: Provider) -> None:
    unknown = Client().post("/oidc/nowhere/backchannel-logout/", "", content_type="application/x-www-form-urlencoded")
    assert (unknown.status_code, unknown["Cache-Control"]) == (404, "no-store")
    assert Client().get(ADDRESS).status_code == 405


def test_everywhere_means_every_session(provider: Provider) -> None:
    first, second = session(provider, sid="s-1"), session(provider, sid="s-2")
    assert first.post("/settings/who/person:ada/sign-out-everywhere").status_code == 302
    assert (is_in(first), is_in(second)) == (False, False)


def test_sessions_are_ended_by_provider_or_by_name_and_the_count_is_said(provider: Provider) -> None:
    session(provider, sid="s-1")
    session(provider, sid="s-2")
    ada = Subject.objects.get()
    row = SignIn.objects.first()
    assert row is not None and row.provider is not None
    common: dict[str, Any] = {"subject_key": ada.key, "actor": SYSTEM, "at": AT, "why": "left"}
    assert services.end_sessions(**common, provider_id=row.provider.pk + 1) == 0
    assert services.end_sessions(**common, provider_id=row.provider.pk, sid="s-1") == 1
    assert services.end_sessions(**common) == 1
    before = Event.objects.count()
    assert services.end_sessions(**common) == 0
    assert services.end_sessions(**(common | {"subject_key": person("nobody").key})) == 0
    assert Event.objects.filter(action="identity.session.ended").count() == 2
    assert Event.objects.count() == before + 1, "only the new person"
