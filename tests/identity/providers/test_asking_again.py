"""While somebody is signed in, the provider is asked again: tokens rotate, groups follow, and who is gone is out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import asking, handlers, services, tasks
from apps.identity.asking import Outcome
from apps.identity.errors import InvalidProvider
from apps.identity.models import GroupMember, ReceivedSignal, RefreshToken, SignIn
from apps.identity.models import Provider as Row
from apps.identity.providers.keys import keys_at
from apps.identity.providers.outgoing import Unreachable
from apps.identity.vault import unseal
from apps.outbox.models import Message
from tests.factories.identity import AT, person
from tests.factories.pages import signed_in as by_force
from tests.identity.providers.provider import Provider, Status, begin, facts, running_provider, set_up, sign_in

pytestmark = pytest.mark.django_db
REVOKED = "identity.refresh_token.released"


@pytest.fixture
def provider() -> Iterator[Provider]:
    cache.clear()
    with running_provider() as started:
        started.metadata = {"revocation_endpoint": f"{started.issuer}/revoke"}
        set_up(started, ask_again_minutes=10)
        yield started


def session(provider: Provider, **claims: Any) -> Client:
    client = Client()
    provider.claims = {"auth_time": int(time.time()) - 5, "groups": ["sallyport-pay"]} | claims
    assert sign_in(client, provider).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/access/").status_code == 200


def held() -> str:
    return unseal(RefreshToken.objects.get().token_sealed).decode()


def make_due() -> int:
    """Ten minutes have passed, and somebody has done something meanwhile."""
    row = RefreshToken.objects.get()
    past = datetime.now(UTC) - timedelta(seconds=1)
    SignIn.objects.filter(pk=row.sign_in_id).update(used_at=past)
    RefreshToken.objects.update(due_at=past, tried_at=past - timedelta(minutes=10))
    return row.pk


def ask() -> Outcome:
    return asking.ask_again(token_id=make_due(), at=datetime.now(UTC))


def why_it_ended() -> tuple[str, str]:
    event = Event.objects.filter(action="identity.session.ended").latest("seq")
    return event.actor_id, event.after["why"]


def test_a_refresh_token_is_asked_for_and_kept_sealed(provider: Provider) -> None:
    client = session(provider)
    assert provider.scope.split()[-1] == "offline_access"
    row = RefreshToken.objects.get()
    assert held() == "refresh-1"
    assert b"refresh-1" not in bytes(row.token_sealed)
    assert row.sign_in == SignIn.objects.get()
    assert (row.due_at - row.created_at, row.silent_since) == (timedelta(minutes=10), None)
    assert "refresh-1" not in str(dict(client.session))
    assert not Event.objects.filter(after__icontains="refresh-1").exists()


def test_none_is_asked_for_or_kept_unless_it_was_chosen(provider: Provider) -> None:
    services.change_provider(slug="okta", facts=facts(provider.issuer), actor=SYSTEM, at=AT)
    session(provider)
    assert "offline_access" not in provider.scope
    provider.scope = "offline_access"
    session(provider)
    assert not RefreshToken.objects.exists()


def test_each_answer_brings_the_next_token(provider: Provider) -> None:
    client = session(provider)
    before = RefreshToken.objects.get().asked_at
    for number in (2, 3):
        assert ask() == Outcome.ASKED
        assert held() == f"refresh-{number}"
    row = RefreshToken.objects.get()
    assert row.asked_at > before
    assert row.due_at - row.tried_at == timedelta(minutes=10)
    assert is_in(client)
    sent = [form for path, form in provider.asked if path == "/token"][-1]
    assert (sent["grant_type"], sent["refresh_token"]) == ("refresh_token", "refresh-2")


def test_a_provider_that_does_not_rotate_leaves_the_token(provider: Provider) -> None:
    session(provider)
    provider.said_instead = {"access_token": "x", "token_type": "Bearer"}
    assert ask() == Outcome.ASKED
    assert held() == "refresh-1"


def test_a_token_used_twice_ends_the_session_with_a_reason(provider: Provider) -> None:
    client = session(provider)
    sign_in_row = SignIn.objects.get()
    subject = sign_in_row.subject
    provider.refresh_tokens.append("somebody else has used it")
    assert ask() == Outcome.ENDED
    assert not is_in(client)
    words = (
        "Acme Okta does not let it go on: access was revoked or the account deactivated there, or a token used twice."
    )
    assert why_it_ended() == ("provider:okta", words)
    assert not RefreshToken.objects.exists()
    assert not Message.objects.filter(topic=REVOKED).exists(), "there is nothing left to revoke"
    assert subject.is_active
    said = ReceivedSignal.objects.get()
    assert (said.channel, said.kind, said.outcome, said.sessions) == ("refresh", "invalid_grant", "sessions_ended", 1)
    page = by_force(person("olga", roles=("administrator",))).get(f"/settings/who/{subject.key}/").content.decode()
    assert f"by Acme Okta: {words}" in page


@pytest.mark.parametrize(
    "answer",
    [
        Status(503, {}),
        Status(429, {"error": "slow_down"}),
        Status(401, {"error": "invalid_client"}),
        Status(400, {"error": "invalid_scope"}),
        Status(400, {"error": ["invalid_grant"]}),
        ["no object"],
    ],
)
def test_whatever_says_nothing_of_the_person_leaves_the_session(provider: Provider, answer: Any) -> None:
    client = session(provider)
    provider.said_instead = answer
    assert ask() == Outcome.SILENT
    first = RefreshToken.objects.get().silent_since
    assert ask() == Outcome.SILENT
    row = RefreshToken.objects.get()
    assert (row.silent_since, is_in(client), held()) == (first, True, "refresh-1")
    assert row.asked_at < row.tried_at
    page = client.get(f"/settings/who/{row.sign_in.subject.key}/").content.decode()
    assert "could not be asked since" in page
    provider.said_instead = ...
    assert ask() == Outcome.ASKED
    assert RefreshToken.objects.get().silent_since is None
    page = client.get(f"/settings/who/{row.sign_in.subject.key}/").content.decode()
    assert "asked again" in page
    assert "could not be asked" not in page


@pytest.mark.parametrize(
    "renewed",
    [
        {"sub": "00u2"},
        {"iss": "https://elsewhere.test"},
        {"aud": "another"},
        {"auth_time": 1_700_000_000},
        {"nonce": "another"},
        {"exp": 1_700_000_000},
    ],
)
def test_an_answer_about_somebody_else_ends_the_session(provider: Provider, renewed: dict[str, Any]) -> None:
    client = session(provider)
    provider.renewed = renewed
    assert ask() == Outcome.ENDED
    assert not is_in(client)
    assert why_it_ended() == ("provider:okta", "Acme Okta answered about somebody else, or not as it must.")
    assert Message.objects.get(topic=REVOKED).key == str(RefreshToken.objects.get().pk)
    assert held() == "refresh-2", "the one it gave last is the one to revoke"


def test_the_first_nonce_may_be_said_again_and_the_time_left_out(provider: Provider) -> None:
    session(provider)
    provider.renewed = {"nonce": provider.nonce, "auth_time": None}
    assert ask() == Outcome.ASKED


def test_keys_that_cannot_be_fetched_leave_the_session(provider: Provider) -> None:
    """The provider took the refresh token, so the person is good; what its new token says waits for the next time."""
    client = session(provider)
    provider.key = type(provider.key).generate_key(2048, {"kid": "k2"})
    provider.broken = {"/keys"}
    keys_at.cache_clear()  # another worker, which has none yet
    assert ask() == Outcome.ASKED
    assert (is_in(client), held()) == (True, "refresh-2")


def test_groups_follow(provider: Provider) -> None:
    session(provider)
    provider.renewed = {"groups": ["sallyport-new", "sallyport-pay"]}
    assert ask() == Outcome.ASKED
    assert set(GroupMember.objects.values_list("group__name", flat=True)) == {"sallyport-new", "sallyport-pay"}
    provider.renewed = {"groups": []}
    assert ask() == Outcome.ASKED
    assert not GroupMember.objects.exists()
    assert SignIn.objects.exists()


class TestDue:
    """About whom is asked."""

    def test_only_about_sessions_that_were_used_since(self, provider: Provider) -> None:
        session(provider)
        pk = make_due()
        RefreshToken.objects.update(tried_at=datetime.now(UTC))
        assert asking.list_due(at=datetime.now(UTC)) == []
        assert asking.ask_again(token_id=pk, at=datetime.now(UTC)) == Outcome.NOTHING

    def test_a_request_notes_that_the_session_is_used(self, provider: Provider) -> None:
        client = session(provider)
        assert SignIn.objects.get().used_at is None
        client.get("/access/")
        first = SignIn.objects.get().used_at
        assert first is not None
        client.get("/access/")
        assert SignIn.objects.get().used_at == first, "once a minute is enough"

    def test_others_cost_nothing(self, provider: Provider) -> None:
        client = by_force(person("zed"))
        client.get("/access/")
        assert "asks_again" not in client.session

    def test_not_before_its_time(self, provider: Provider) -> None:
        session(provider)
        make_due()
        assert len(asking.list_due(at=datetime.now(UTC))) == 1
        RefreshToken.objects.update(due_at=datetime.now(UTC) + timedelta(minutes=1))
        assert asking.list_due(at=datetime.now(UTC)) == []

    def test_a_provider_that_is_off_is_not_asked(self, provider: Provider) -> None:
        session(provider)
        make_due()
        services.switch_provider(slug="okta", enabled=False, actor=SYSTEM, at=AT)
        assert asking.list_due(at=datetime.now(UTC)) == []

    def test_beat_asks_and_stops_asking_who_is_silent(self, provider: Provider) -> None:
        for _ in range(5):
            session(provider)
        past = datetime.now(UTC) - timedelta(seconds=1)
        SignIn.objects.update(used_at=past)
        RefreshToken.objects.update(due_at=past, tried_at=past - timedelta(minutes=10))
        provider.asked.clear()
        provider.broken = {"/token"}
        tasks.ask_again()
        assert provider.count("/token") == 3
        provider.broken = set()
        provider.said_instead = {"access_token": "x", "token_type": "Bearer"}
        tasks.ask_again()
        assert provider.count("/token") == 5, "those three wait for their next time"


class TestEnding:
    """A session that ends gives its refresh token back."""

    def released(self) -> None:
        for message in Message.objects.filter(topic=REVOKED).order_by("pk"):
            for _ in range(2):
                handlers.refresh_token_released(key=message.key, payload={}, at=datetime.now(UTC))

    def revoked(self, provider: Provider) -> list[tuple[str, str]]:
        return [(form["token"], form["token_type_hint"]) for path, form in provider.asked if path == "/revoke"]

    def test_signing_out_revokes_it_later_and_not_in_the_request(self, provider: Provider) -> None:
        client = session(provider)
        client.post("/sign-out/")
        assert self.revoked(provider) == []
        self.released()
        assert self.revoked(provider) == [("refresh-1", "refresh_token")]
        assert not RefreshToken.objects.exists()

    def test_so_do_being_thrown_out_and_signing_in_again(self, provider: Provider) -> None:
        client = session(provider)
        assert sign_in(client, provider).status_code == 302
        self.released()
        assert self.revoked(provider) == [("refresh-1", "refresh_token")]
        assert held() == "refresh-2"
        subject = SignIn.objects.get().subject
        services.end_sessions(subject_key=subject.key, actor=SYSTEM, at=AT, why="a test")
        self.released()
        assert self.revoked(provider)[-1] == ("refresh-2", "refresh_token")

    def test_a_session_that_is_alive_keeps_its_token(self, provider: Provider) -> None:
        session(provider)
        services.revoke_released(token_id=RefreshToken.objects.get().pk, at=AT)
        assert (self.revoked(provider), RefreshToken.objects.count()) == ([], 1)

    def test_a_provider_that_is_silent_is_told_again(self, provider: Provider) -> None:
        session(provider).post("/sign-out/")
        provider.broken = {"/revoke"}
        with pytest.raises(Unreachable):
            self.released()
        assert RefreshToken.objects.count() == 1
        services.forget_refresh_tokens(at=datetime.now(UTC) + timedelta(hours=23))
        assert RefreshToken.objects.count() == 1
        services.forget_refresh_tokens(at=datetime.now(UTC) + timedelta(hours=25))
        assert RefreshToken.objects.count() == 0

    def test_one_that_knows_no_revocation_is_only_forgotten(self, provider: Provider) -> None:
        session(provider).post("/sign-out/")
        row = RefreshToken.objects.get().provider
        row.endpoints.pop("revocation_endpoint")
        row.save(update_fields=["endpoints"])
        self.released()
        assert (self.revoked(provider), RefreshToken.objects.count()) == ([], 0)

    def test_a_trial_and_a_refused_sign_in_keep_none(self, provider: Provider) -> None:
        admin = by_force(person("olga", roles=("administrator",)))
        sent = begin(admin, provider, purpose="trial")
        assert "offline_access" in sent["scope"][0]
        assert sent["max_age"] == ["900"]
        assert "prompt" not in sent
        provider.claims = {"auth_time": None}
        page = admin.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]}).content.decode()
        assert "It was asked with max_age and did not say auth_time" in page
        assert "It gave no refresh token" not in page
        services.change_provider(
            slug="okta",
            facts=facts(provider.issuer, ask_again_minutes=10, creates_people=False),
            actor=SYSTEM,
            at=AT,
        )
        assert sign_in(Client(), provider).status_code == 403
        self.released()
        assert [token for token, _ in self.revoked(provider)] == ["refresh-1", "refresh-2"]

    def test_a_trial_says_when_none_is_given(self, provider: Provider) -> None:
        admin = by_force(person("olga", roles=("administrator",)))
        sent = begin(admin, provider, purpose="trial")
        provider.scope = "openid"
        page = admin.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]}).content.decode()
        assert "It gave no refresh token, so it cannot be asked again" in page


class TestSetUp:
    def test_minutes_are_bounded_and_google_is_left_out(self) -> None:
        wrong = services.providers.faults_of(facts("https://id.test", ask_again_minutes=241))
        assert wrong["ask_again_minutes"] == ["Between 1 and 240 minutes."]
        google = facts("https://accounts.google.com", tenant_claim="hd", tenant="shop.test", ask_again_minutes=10)
        with pytest.raises(InvalidProvider) as refused:
            services.add_provider(slug="google", facts=google, client_secret="x", actor=SYSTEM, at=AT)
        assert list(refused.value.fields) == ["ask_again_minutes"]

    def test_the_form_keeps_and_clears_it(self, provider: Provider) -> None:
        admin = by_force(person("olga", roles=("administrator",)))
        page = admin.get("/settings/providers/okta/edit/").content.decode()
        assert 'name="asks_again"' in page
        assert 'value="10"' in page
        form = {"name": "Okta", "issuer": provider.issuer, "client_id": "console", "scopes": "openid"}
        form |= {"subject_claim": "sub", "algorithms": "RS256", "client_auth": "client_secret_basic"}
        kept = {"asks_again": "on", "ask_again_minutes": "30"}
        assert admin.post("/settings/providers/okta/edit/", form | kept).status_code == 302
        assert Row.objects.get().ask_again_minutes == 30
        assert admin.post("/settings/providers/okta/edit/", form | {"ask_again_minutes": "30"}).status_code == 302
        assert Row.objects.get().ask_again_minutes == 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_ask_once(provider: Provider) -> None:
    """The second finds the row locked and leaves it, so that no token is used twice."""
    session(provider)
    pk = make_due()
    outcomes: list[Outcome] = []
    together = threading.Barrier(2)

    def work() -> None:
        together.wait(5)
        outcomes.append(asking.ask_again(token_id=pk, at=datetime.now(UTC)))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert sorted(outcomes) == [Outcome.ASKED, Outcome.NOTHING]
    assert held() == "refresh-2"
