"""Proving ourselves without a secret: assertions that our own key signs, and changing the key without a gap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import KeySet

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services
from apps.identity.errors import InvalidProvider, LastClientKey, NotAnAdministrator, TooManySecrets
from apps.identity.models import ClientKey, Preset, RefreshToken, SignIn
from apps.identity.models import Provider as Row
from apps.identity.providers import renewing
from apps.identity.providers.client_auth import ASSERTION_TYPE, assertion, audience_at, find_signing_key
from apps.identity.providers.discovery import examine
from apps.identity.vault import unseal
from tests.factories.identity import AT, person
from tests.factories.pages import signed_in as by_force
from tests.identity.providers.provider import CLIENT_ID, Provider, facts, running_provider, set_up, sign_in, signed_in

pytestmark = pytest.mark.django_db
BY_KEY = {"client_auth": "private_key_jwt"}
DAY = timedelta(days=1)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        started.metadata = {
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "revocation_endpoint": f"{started.issuer}/revoke",
        }
        set_up(started, ask_again_minutes=10, **BY_KEY)
        yield started


def published() -> KeySet:
    answer = Client().get("/oidc/okta/jwks.json")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "public, max-age=300")
    return KeySet.import_key_set(answer.json())


def make(at: datetime) -> ClientKey:
    return services.make_client_key(provider_slug="okta", actor=SYSTEM, at=at)


def kid_that_signs(at: datetime) -> str:
    key = find_signing_key(Row.objects.get(), at=at)
    assert key is not None
    return key.kid


def test_the_code_the_refresh_and_the_revocation_are_signed(provider: Provider) -> None:
    client = Client()
    provider.claims = {"auth_time": int(time.time())}
    assert sign_in(client, provider).status_code == 302
    assert signed_in(client)
    row, at = Row.objects.get(), datetime.now(UTC)
    renewing.renew(row, unseal(RefreshToken.objects.get().token_sealed).decode(), at=at)
    renewing.revoke(row, "refresh-1", at=at)
    sent = [form for path, form in provider.asked if path in {"/token", "/revoke"}]
    assert [form.get("grant_type") for form in sent] == ["authorization_code", "refresh_token", None]
    seen = set()
    for form in sent:
        assert form["client_assertion_type"] == ASSERTION_TYPE
        assert form["client_id"] == CLIENT_ID
        assert form["authorization"] == ""
        assert "client_secret" not in form
        token = jwt.decode(form["client_assertion"], published(), algorithms=["RS256"])
        assert token.header["kid"] == kid_that_signs(at)
        claims = token.claims
        assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT_ID, CLIENT_ID, f"{provider.issuer}/token")
        assert claims["exp"] - claims["iat"] == 120
        seen.add(claims["jti"])
    assert len(seen) == 3


def test_only_public_halves_are_published_and_the_private_is_sealed(provider: Provider) -> None:
    found = Client().get("/oidc/okta/jwks.json").json()["keys"]
    assert [sorted(one) for one in found] == [["alg", "e", "kid", "kty", "n", "use"]]
    key = ClientKey.objects.get()
    assert b"PRIVATE KEY" not in bytes(key.private_sealed)
    assert unseal(key.private_sealed).startswith(b"-----BEGIN")
    assert not Event.objects.filter(after__icontains="-----BEGIN").exists()


def test_a_provider_without_keys_publishes_none_and_a_stranger_is_not_there() -> None:
    with running_provider() as there:
        set_up(there)
        assert Client().get("/oidc/okta/jwks.json").json() == {"keys": []}
    assert Client().get("/oidc/nobody/jwks.json").status_code == 404


class TestChangingOver:
    def test_the_new_one_is_published_a_day_before_it_signs_and_the_old_one_a_day_after(
        self, provider: Provider
    ) -> None:
        old, at = ClientKey.objects.get(), datetime.now(UTC)
        new = make(at)
        assert {key.kid for key in published().keys} == {old.kid, new.kid}
        assert kid_that_signs(at) == old.kid
        assert kid_that_signs(at + DAY) == new.kid
        old.refresh_from_db()
        assert old.ends_at == at + 2 * DAY
        assert services.forget_client_keys(at=at + 2 * DAY - timedelta(seconds=1)) == 0
        assert services.forget_client_keys(at=at + 2 * DAY) == 1
        assert ClientKey.objects.get() == new

    def test_two_at_once_and_no_more(self, provider: Provider) -> None:
        at = datetime.now(UTC)
        make(at)
        with pytest.raises(TooManySecrets):
            make(at + DAY)
        make(at + 2 * DAY)

    def test_a_key_that_leaked_is_taken_away_and_the_other_signs_at_once(self, provider: Provider) -> None:
        old, at = ClientKey.objects.get(), datetime.now(UTC)
        with pytest.raises(LastClientKey):
            services.take_client_key_away(provider_slug="okta", key_id=old.pk, actor=SYSTEM, at=at)
        new = make(at)
        services.take_client_key_away(provider_slug="okta", key_id=old.pk, actor=SYSTEM, at=at)
        assert kid_that_signs(at) == new.kid
        assert [key.kid for key in published().keys] == [new.kid]
        make(at)
        services.take_client_key_away(
            provider_slug="okta", key_id=ClientKey.objects.latest("pk").pk, actor=SYSTEM, at=at
        )
        new.refresh_from_db()
        assert new.ends_at is None, "nothing follows it any more"

    def test_the_buttons_are_for_administrators_and_on_the_record(self, provider: Provider) -> None:
        first = ClientKey.objects.get()
        zed, admin = by_force(person("zed")), by_force(person("olga", roles=("administrator",)))
        zed.post("/settings/providers/okta/keys")
        assert ClientKey.objects.count() == 1
        admin.post("/settings/providers/okta/keys")
        page = admin.get("/settings/providers/okta/").content.decode()
        assert "2 keys of this console" in page
        assert "signs now" in page
        assert "signs from" in page
        assert "Make a new key" not in page
        assert page.count("-----BEGIN PUBLIC KEY-----") == 2
        assert "PRIVATE" not in page
        assert "http://127.0.0.1:8000/oidc/okta/jwks.json" in page
        zed.post(f"/settings/providers/okta/keys/{first.pk}")
        assert ClientKey.objects.count() == 2
        admin.post(f"/settings/providers/okta/keys/{first.pk}")
        assert ClientKey.objects.count() == 1
        actions = Event.objects.filter(action__startswith="identity.client_key").order_by("seq")
        assert [(one.action.rpartition(".")[2], one.actor_id) for one in actions] == [
            ("made", "system"),
            ("made", "person:olga"),
            ("taken_away", "person:olga"),
        ]
        with pytest.raises(NotAnAdministrator):
            services.make_client_key(provider_slug="okta", actor=person("zed").actor, at=AT)


class TestSetUp:
    @pytest.mark.parametrize(
        ("metadata", "said", "usable"),
        [
            ({"token_endpoint_auth_methods_supported": ["client_secret_post"]}, "you chose private_key_jwt", False),
            ({"token_endpoint_auth_methods_supported": None}, "It wants client_secret_basic, and you", False),
            ({"token_endpoint_auth_signing_alg_values_supported": ["ES256"]}, "this console signs with RS256", False),
            ({"claims_supported": ["sub", "email"]}, "It does not list the claim auth_time", True),
            ({"scopes_supported": ["openid", "profile", "email"]}, "does not list the scope offline_access", True),
            ({"grant_types_supported": ["authorization_code"]}, "does not list the grant type refresh_token", True),
        ],
    )
    def test_the_test_names_what_the_provider_cannot(
        self, provider: Provider, metadata: dict[str, Any], said: str, usable: bool
    ) -> None:
        provider.metadata |= metadata
        report = examine(Row.objects.get(), at=datetime.now(UTC))
        assert said in " ".join(problem.words for problem in report.problems)
        assert report.is_usable is usable

    def test_a_key_that_is_missing_is_named(self, provider: Provider) -> None:
        ClientKey.objects.all().delete()
        report = examine(Row.objects.get(), at=datetime.now(UTC))
        assert "There is no key of this console to sign with." in [problem.words[:45] for problem in report.problems]
        answer = sign_in(Client(), provider)
        assert (answer.status_code, SignIn.objects.count()) == (502, 0)

    def test_choosing_it_later_makes_the_first_key(self) -> None:
        with running_provider() as there:
            set_up(there)
            assert ClientKey.objects.count() == 0
            for _ in range(2):
                services.change_provider(slug="okta", facts=facts(there.issuer, **BY_KEY), actor=SYSTEM, at=AT)
            assert ClientKey.objects.count() == 1

    def test_entra_wants_a_certificate_and_is_refused(self) -> None:
        issuer = "https://login.microsoftonline.com/8f0c2c1e-0000-4000-8000-000000000001/v2.0"
        entra = facts(issuer, preset="entra", tenant_claim="tid", tenant="8f0c", **BY_KEY)
        with pytest.raises(InvalidProvider) as refused:
            services.add_provider(slug="entra", facts=entra, client_secret="", actor=SYSTEM, at=AT)
        assert "certificate" in refused.value.fields["client_auth"][0]

    def test_auth0_is_addressed_by_its_issuer(self, provider: Provider) -> None:
        row = Row.objects.get()
        row.preset, row.issuer = Preset.AUTH0, "https://shop.eu.auth0.com/"
        assert audience_at(row) == "https://shop.eu.auth0.com/"
        claims = jwt.decode(assertion(row, at=datetime.now(UTC)), published(), algorithms=["RS256"]).claims
        assert claims["aud"] == "https://shop.eu.auth0.com/"
