"""Approving for a sensitive service takes a fresh sign-in; so does linking another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from apps.access.models import AccessRequest
from apps.audit.actors import SYSTEM
from apps.identity import services
from apps.identity.models import Login, SignIn, Subject
from tests.factories import access
from tests.factories.identity import AT, api_token, person
from tests.factories.pages import signed_in as by_force
from tests.identity.providers.provider import Provider, begin, facts, running_provider, set_up, sign_in

pytestmark = pytest.mark.django_db
OLD = 3600


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        set_up(started)
        yield started


@pytest.fixture
def shop() -> access.Shop:
    return access.shop()


def ago(seconds: int) -> int:
    return int(time.time()) - seconds


def as_ben(provider: Provider, shop: access.Shop, *, proved: int | None, **claims: Any) -> Client:
    """Ben owns what is asked for, and came by the provider."""
    if not Login.objects.exists():
        services.link_login(issuer=provider.issuer, sub="00u1", subject_key=shop.ben.key, actor=SYSTEM, at=AT)
    client = Client()
    provider.claims = {"auth_time": None if proved is None else ago(proved)} | claims
    assert sign_in(client, provider).status_code == 302
    return client


def sensitive(shop: access.Shop) -> AccessRequest:
    asked = access.ask(shop.ada, at=datetime.now(UTC))
    asked.service.sensitivity = "sensitive"
    asked.service.save(update_fields=["sensitivity"])
    return asked


def approve(client: Client, asked: AccessRequest, verdict: str = "approve") -> str:
    """What became of it."""
    address = f"/requests/{asked.public_id}/review"
    assert client.post(address, {"verdict": verdict}, headers={"Referer": "http://testserver/"}).status_code == 302
    asked.refresh_from_db()
    return "denied" if asked.state == "denied" else "taken" if asked.reviews.exists() else "refused"


def test_an_old_sign_in_does_not_approve(provider: Provider, shop: access.Shop) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=OLD)
    assert approve(client, asked) == "refused"
    page = client.get(f"/requests/{asked.public_id}/").content.decode()
    way = f"/oidc/okta/authenticate/?purpose=step_up&amp;next=%2Frequests%2F{asked.public_id}%2F"
    assert "Sign in again to approve" in page
    assert way in page
    assert 'value="approve"' not in page


def test_a_fresh_one_does(provider: Provider, shop: access.Shop) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=10)
    assert 'value="approve"' in client.get(f"/requests/{asked.public_id}/").content.decode()
    assert approve(client, asked) == "taken"


def test_how_old_is_a_setting(provider: Provider, shop: access.Shop, settings: LazySettings) -> None:
    settings.SALLYPORT_STEP_UP_SECONDS = OLD + 60
    assert approve(as_ben(provider, shop, proved=OLD), sensitive(shop)) == "taken"


def test_when_nobody_knows_when_it_is_not_fresh(provider: Provider, shop: access.Shop) -> None:
    assert approve(as_ben(provider, shop, proved=None), sensitive(shop)) == "refused"


def test_denying_and_what_is_not_sensitive_need_nothing(provider: Provider, shop: access.Shop) -> None:
    client = as_ben(provider, shop, proved=OLD)
    plain = access.ask(shop.ada, at=datetime.now(UTC))
    plain.service.sensitivity = "internal"
    plain.service.save(update_fields=["sensitivity"])
    assert approve(client, plain) == "taken"


def test_a_denial_is_taken_from_an_old_session(provider: Provider, shop: access.Shop) -> None:
    assert approve(as_ben(provider, shop, proved=OLD), sensitive(shop), "deny") == "denied"


def test_many_at_once_are_held_to_it_too(provider: Provider, shop: access.Shop) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=OLD)
    client.post("/requests/decide", {"request": asked.public_id, "verdict": "approve", "sure": "1"})
    assert not asked.reviews.exists()
    assert "is sensitive" in client.get("/requests/").content.decode()


def test_a_session_at_the_api_is_held_to_it_and_told_where_to_go(provider: Provider, shop: access.Shop) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=OLD)
    address = f"/api/v1/requests/{asked.public_id}/review/"
    answer = client.post(address, {"verdict": "approve"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "step_up_needed")
    assert answer.json()["step_up_url"].startswith("/oidc/okta/authenticate/?purpose=step_up&next=")
    many = client.post(
        "/api/v1/inbox/", {"requests": [asked.public_id], "verdict": "approve"}, content_type="application/json"
    )
    assert many.status_code == 200
    assert not asked.reviews.exists()


def by_token(shop: access.Shop, path: str, body: dict[str, Any]) -> Any:
    _, plain = api_token(shop.ben)
    headers = {"Authorization": f"Bearer {plain}"}
    return Client().post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def test_an_api_token_does_not_approve_and_is_told_the_page(shop: access.Shop) -> None:
    asked = sensitive(shop)
    page = f"http://127.0.0.1:8000/requests/{asked.public_id}/"
    answer = by_token(shop, f"requests/{asked.public_id}/review/", {"verdict": "approve"})
    assert answer.status_code == 403
    assert (answer.json()["code"], answer.json()["approve_url"]) == ("step_up_required", page)
    assert page in answer.json()["detail"]
    many = by_token(shop, "inbox/", {"requests": [asked.public_id], "verdict": "approve"})
    assert many.json()["results"][0]["code"] == "step_up_required"
    assert not asked.reviews.exists()


def test_an_api_token_denies_and_approves_what_is_not_sensitive(shop: access.Shop) -> None:
    plain = access.ask(shop.ada, at=datetime.now(UTC))
    plain.service.sensitivity = "internal"
    plain.service.save(update_fields=["sensitivity"])
    assert by_token(shop, f"requests/{plain.public_id}/review/", {"verdict": "approve"}).json()["state"] == "approved"
    asked = sensitive(shop)
    assert by_token(shop, f"requests/{asked.public_id}/review/", {"verdict": "deny"}).json()["state"] == "denied"


def test_a_provider_that_does_not_say_when_is_named_on_the_page(provider: Provider, shop: access.Shop) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=None)
    page = client.get(f"/requests/{asked.public_id}/").content.decode()
    assert "Acme Okta did not say when you signed in." in page
    sent = begin(client, provider, purpose="step_up")
    answer = client.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]})
    assert answer.status_code == 403
    assert "with Acme Okta nobody can approve for sensitive services" in answer.content.decode()
    provider.claims = {"auth_time": ago(OLD)}
    client = as_ben(provider, shop, proved=OLD)
    assert "did not say when" not in client.get(f"/requests/{asked.public_id}/").content.decode()


def test_the_demos_sign_in_counts_as_fresh(shop: access.Shop) -> None:
    client = Client()
    client.post(f"/demo/sign-in/{shop.ben.key}")
    SignIn.objects.update(authenticated_at=AT)
    assert approve(client, sensitive(shop)) == "taken"


def test_the_way_there_and_back(provider: Provider, shop: access.Shop) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=OLD)
    before = client.session.session_key
    target = f"/requests/{asked.public_id}/"
    sent = begin(client, provider, purpose="step_up", next=target)
    assert (sent["prompt"], sent["max_age"]) == (["login"], ["900"])
    assert "acr_values" not in sent
    provider.claims = {"auth_time": ago(2)}
    back = client.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]})
    assert (back.status_code, back["Location"]) == (302, target)
    assert client.session.session_key != before
    assert SignIn.objects.count() == 1
    assert approve(client, asked) == "taken"


@pytest.mark.parametrize("claims", [{"auth_time": None}, {"auth_time": ago(5000)}, {"auth_time": "now"}])
def test_asking_to_sign_in_again_is_not_enough(provider: Provider, shop: access.Shop, claims: dict[str, Any]) -> None:
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=OLD)
    sent = begin(client, provider, purpose="step_up")
    provider.claims = claims
    assert client.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]}).status_code == 403
    assert approve(client, asked) == "refused"


def test_a_stronger_sign_in_is_asked_for_and_checked(provider: Provider, shop: access.Shop) -> None:
    row = facts(provider.issuer, step_up_acr="urn:two")
    services.change_provider(slug="okta", facts=row, actor=SYSTEM, at=AT)
    asked = sensitive(shop)
    client = as_ben(provider, shop, proved=1, acr="urn:one")
    assert approve(client, asked) == "refused"
    for acr, status in (("urn:one", 403), ("urn:two", 302)):
        sent = begin(client, provider, purpose="step_up")
        assert sent["acr_values"] == ["urn:two"]
        provider.claims = {"auth_time": ago(1), "acr": acr}
        assert client.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]}).status_code == status
    assert approve(client, asked) == "taken"


def test_somebody_else_cannot_step_up_for_them(provider: Provider, shop: access.Shop) -> None:
    client = as_ben(provider, shop, proved=OLD)
    sent = begin(client, provider, purpose="step_up")
    provider.claims, provider.userinfo = {"auth_time": ago(1), "sub": "00u2"}, {"sub": "00u2"}
    answer = client.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]})
    assert (answer.status_code, b"somebody else" in answer.content) == (403, True)
    assert not Subject.objects.filter(logins__sub="00u2").exists()


class TestLinking:
    """A second way in, for oneself."""

    def start(self, client: Client) -> Any:
        return client.post("/settings/logins/link/other", headers={"Referer": "http://testserver/"})

    def walk(self, provider: Provider, other: Provider, shop: access.Shop, *, here: int, there: int | None) -> Any:
        client = as_ben(provider, shop, proved=here)
        page = self.start(client)
        if not client.session.get("oidc_states"):
            return page
        state = next(iter(client.session["oidc_states"]))
        other.nonce = client.session["oidc_states"][state]["nonce"]
        other.claims = {"sub": "second", "auth_time": None if there is None else ago(there)}
        other.userinfo = {"sub": "second"}
        return client.get("/oidc/other/callback/", {"code": "c", "state": state})

    @pytest.mark.parametrize(("here", "there", "linked"), [(10, 5, 1), (400, 5, 0), (10, 400, 0), (10, None, 0)])
    def test_both_proofs_must_be_minutes_old(
        self, provider: Provider, shop: access.Shop, here: int, there: int | None, linked: int
    ) -> None:
        with running_provider() as other:
            set_up(other, "other")
            self.walk(provider, other, shop, here=here, there=there)
        assert Login.objects.filter(sub="second", subject=shop.ben).count() == linked
        assert Subject.objects.filter(logins__sub="second").exclude(pk=shop.ben.pk).count() == 0

    def test_who_signed_in_long_ago_is_led_to_do_it_again(self, provider: Provider, shop: access.Shop) -> None:
        with running_provider() as other:
            set_up(other, "other")
            page = self.walk(provider, other, shop, here=400, there=5)
        back = f"/settings/who/{shop.ben.key}/".replace("/", "%2F").replace(":", "%3A")
        assert f"/oidc/okta/authenticate/?purpose=step_up&amp;next={back}" in page.content.decode()

    def test_what_belongs_to_somebody_stays_theirs(self, provider: Provider, shop: access.Shop) -> None:
        with running_provider() as other:
            set_up(other, "other")
            services.link_login(issuer=other.issuer, sub="second", subject_key=shop.ada.key, actor=SYSTEM, at=AT)
            answer = self.walk(provider, other, shop, here=10, there=5)
        assert (answer.status_code, b"already belongs" in answer.content) == (409, True)

    def test_an_address_alone_begins_no_link(self, provider: Provider, shop: access.Shop) -> None:
        client = as_ben(provider, shop, proved=1)
        begin(client, provider, purpose="link")
        assert [one["purpose"] for one in client.session["oidc_states"].values()] == ["sign_in"]
        assert client.get("/settings/logins/link/okta").status_code == 405

    def test_an_administrator_links_and_unlinks_and_its_sessions_end(self, provider: Provider) -> None:
        olga, ada = person("olga", roles=("administrator",)), person("ada")
        admin = by_force(olga)
        admin.post(f"/settings/who/{ada.key}/link", {"provider": "okta", "sub": "00u1"})
        client = Client()
        assert sign_in(client, provider).status_code == 302
        assert Login.objects.get().subject == ada
        admin.post(f"/settings/logins/{Login.objects.get().pk}/unlink")
        assert not Login.objects.exists()
        assert client.get("/access/").status_code == 302

    def test_nobody_else_does(self, provider: Provider) -> None:
        ada = person("ada")
        by_force(ada).post(f"/settings/who/{ada.key}/link", {"provider": "okta", "sub": "00u1"})
        assert not Login.objects.exists()
