"""Several providers side by side: each at its own addresses, and none answers for another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.identity import services
from apps.identity.models import Login, SignIn, Subject
from apps.identity.vault import unseal
from tests.factories.identity import AT, person, user
from tests.identity.providers.provider import (
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
        yield started


def test_the_sign_in_page_offers_those_that_are_switched_on(client: Client, provider: Provider) -> None:
    services.add_provider(
        slug="later", facts=facts("https://later.test", name="Later"), client_secret="x", actor=SYSTEM, at=AT
    )
    page = client.get("/sign-in/?next=/access/").content.decode()
    assert "Sign in with Acme Okta" in page
    assert "/oidc/okta/authenticate/?next=%2Faccess%2F" in page
    assert "Later" not in page


@pytest.mark.parametrize("path", ["authenticate/", "callback/"])
def test_an_unknown_provider_has_no_addresses(client: Client, path: str) -> None:
    assert client.get(f"/oidc/nowhere/{path}").status_code == 404


def test_nobody_signs_in_at_a_provider_that_is_switched_off(client: Client, provider: Provider) -> None:
    state = begin(client, provider)["state"][0]
    services.switch_provider(slug="okta", enabled=False, actor=SYSTEM, at=AT)
    assert client.get("/oidc/okta/authenticate/").status_code == 404
    assert client.get("/oidc/okta/callback/", {"code": "c", "state": state}).status_code == 404
    assert not signed_in(client)


def test_one_provider_cannot_answer_for_another(client: Client, provider: Provider) -> None:
    """The mix-up attack: the answer to a sign-in begun at one is brought to the other's callback."""
    with running_provider() as other:
        set_up(other, "other", client_id="console-there")
        state = begin(client, provider)["state"][0]
        other.asked.clear()
        answer = client.get("/oidc/other/callback/", {"code": "c0de", "state": state})
        assert (answer.status_code, other.asked) == (403, [])
        again = client.get("/oidc/okta/callback/", {"code": "c0de", "state": state})
    assert again.status_code == 403, "the state is used up"
    assert not signed_in(client)


def test_a_provider_that_promised_to_name_itself_must(client: Client, provider: Provider) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    endpoints = provider.document()
    services.note_discovery(slug="okta", endpoints=endpoints, actor=SYSTEM, at=AT)
    assert sign_in(client, provider).status_code == 403
    assert sign_in(client, provider, iss=f"{provider.issuer}/").status_code == 403
    assert sign_in(client, provider, iss=provider.issuer).status_code == 302


def test_the_same_subject_at_two_providers_is_two_people(client: Client, provider: Provider) -> None:
    with running_provider() as other:
        set_up(other, "other")
        sign_in(client, provider)
        sign_in(Client(), other, "other")
    assert Login.objects.filter(sub="00u1").count() == 2
    assert Subject.objects.count() == 2


def test_the_session_notes_where_it_came_from_and_has_a_new_key(client: Client, provider: Provider) -> None:
    provider.claims = {"sid": "s-1", "acr": "urn:x", "auth_time": 1_772_000_000}
    begin(client, provider)
    before = client.session.session_key
    sign_in(client, provider)
    row = SignIn.objects.get()
    assert row.session_key == client.session.session_key != before
    assert row.provider is not None
    assert (row.provider.slug, row.sub, row.sid, row.acr) == ("okta", "00u1", "s-1", "urn:x")
    assert row.authenticated_at is not None
    assert int(row.authenticated_at.timestamp()) == 1_772_000_000
    assert unseal(row.id_token_sealed).count(b".") == 2
    assert "id_token" not in str(dict(client.session))


def test_signing_in_again_changes_the_key_and_leaves_one_note(client: Client, provider: Provider) -> None:
    sign_in(client, provider)
    before = client.session.session_key
    sign_in(client, provider)
    assert SignIn.objects.get().session_key == client.session.session_key != before


ENTRA = {"subject_claim": "oid", "tenant_claim": "tid", "tenant": "t-1"}


@pytest.mark.parametrize(
    ("row", "claims", "status", "known_as"),
    [
        (ENTRA, {"oid": "o-1", "tid": "t-1"}, 302, "o-1"),
        (ENTRA, {"oid": "o-1", "tid": "t-2"}, 403, None),
        (ENTRA, {"oid": "o-1"}, 403, None),
        (ENTRA, {"tid": "t-1"}, 403, None),
        (ENTRA, {"tid": "t-1", "oid": 7}, 403, None),
        ({"tenant_claim": "hd", "tenant": "shop.test"}, {"hd": "shop.test"}, 302, "00u1"),
        ({"tenant_claim": "hd", "tenant": "shop.test"}, {"hd": "other.test"}, 403, None),
        ({"allowed_domains": ["shop.test"]}, {"email": "a@SHOP.test", "email_verified": True}, 302, "00u1"),
        ({"allowed_domains": ["shop.test"]}, {"email": "a@shop.test", "email_verified": "true"}, 302, "00u1"),
        ({"allowed_domains": ["shop.test"]}, {"email": "a@shop.test"}, 403, None),
        ({"allowed_domains": ["shop.test"]}, {"email": "a@shop.test", "email_verified": False}, 403, None),
        ({"allowed_domains": ["shop.test"]}, {"email": "a@evil.test", "email_verified": True}, 403, None),
        ({"allowed_domains": ["shop.test"]}, {"email": "a@shop.test@evil.test", "email_verified": True}, 403, None),
        ({"allowed_domains": ["shop.test"]}, {"email": ["a@shop.test"], "email_verified": True}, 403, None),
    ],
)
def test_a_row_says_which_accounts_of_a_provider_it_is_for(
    client: Client, provider: Provider, row: dict[str, Any], claims: dict[str, Any], status: int, known_as: str | None
) -> None:
    services.change_provider(slug="okta", facts=facts(provider.issuer, **row), actor=SYSTEM, at=AT)
    provider.claims = claims
    assert sign_in(client, provider).status_code == status
    assert list(Login.objects.values_list("sub", flat=True)) == ([known_as] if known_as else [])


def test_the_userinfo_endpoint_overrules_nothing_that_is_signed(client: Client, provider: Provider) -> None:
    services.change_provider(slug="okta", facts=facts(provider.issuer, **ENTRA), actor=SYSTEM, at=AT)
    provider.claims = {"tid": "t-2", "oid": "o-2"}
    provider.userinfo = {"tid": "t-1", "oid": "o-1"}
    assert sign_in(client, provider).status_code == 403


def test_what_cannot_be_stored_or_shown_in_a_name_is_left_out(client: Client, provider: Provider) -> None:
    provider.claims = {"preferred_username": "ada\x00"}
    provider.userinfo = {"name": "A\x00da\u202e\ud800"}
    assert sign_in(client, provider).status_code == 302
    assert Subject.objects.get().name == "Ada"


def test_the_client_secret_is_sent_as_the_row_says(client: Client, provider: Provider) -> None:
    services.change_provider(
        slug="okta", facts=facts(provider.issuer, client_auth="client_secret_post"), actor=SYSTEM, at=AT
    )
    sign_in(client, provider)
    form = next(form for path, form in provider.asked if path == "/token")
    assert (form["client_secret"], form["authorization"]) == ("client-secret", "")


def test_nobody_is_signed_out_because_a_sign_in_failed(client: Client, provider: Provider) -> None:
    client.force_login(user(person("olga")))
    state = begin(client, provider)["state"][0]
    assert client.get("/oidc/okta/callback/", {"error": "login_required", "state": state}).status_code == 403
    assert client.get("/access/").status_code == 200
