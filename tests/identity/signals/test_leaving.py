"""The one use case behind every signal: who may bring the news, and what it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from apps.access.models import Grant
from apps.audit.actors import SYSTEM, Actor
from apps.audit.models import Event
from apps.identity import services, tasks
from apps.identity.errors import InvalidSubject, MayNotSuspend, UnknownSubject
from apps.identity.models import ApiToken, Provider, SignIn, Subject
from apps.identity.services import Left
from tests.factories import access, identity
from tests.identity.signals.world import deliver, is_in, now, recorded, signed_in

pytestmark = pytest.mark.django_db
OKTA = Actor(id="provider:okta", name="Okta")


def leave(subject: Subject, actor: Actor = OKTA) -> Left:
    return services.leave(subject_key=subject.key, actor=actor, at=now(), why="Left the company.")


class TestWhoMayBringTheNews:
    def test_a_provider_that_is_switched_on(self) -> None:
        identity.provider("okta")
        assert leave(identity.person("ada")) == Left(sessions=0, tokens=0, suspended=True)

    @pytest.mark.parametrize("actor_id", ["provider:other", "provider:", "provider", "okta", "person:okta", ""])
    def test_nobody_who_only_calls_themselves_like_one(self, actor_id: str) -> None:
        identity.provider("okta")
        ada = identity.person("ada")
        for use_case in (services.leave, services.sign_out_and_revoke):
            with pytest.raises(MayNotSuspend):
                use_case(subject_key=ada.key, actor=Actor(id=actor_id, name="Okta"), at=now(), why="")
        ada.refresh_from_db()
        assert ada.state == "active"

    def test_nor_one_that_is_switched_off(self) -> None:
        Provider.objects.filter(pk=identity.provider("okta").pk).update(enabled=False)
        with pytest.raises(MayNotSuspend):
            leave(identity.person("ada"))

    def test_a_provider_cannot_use_what_is_for_people(self) -> None:
        identity.provider("okta")
        ada = identity.person("ada")
        with pytest.raises(MayNotSuspend):
            services.suspend_subject(key=ada.key, actor=OKTA, at=now())
        with pytest.raises(MayNotSuspend):
            services.reinstate_subject(key=ada.key, actor=OKTA, at=now())

    def test_no_subject_can_take_a_providers_id(self) -> None:
        identity.provider("okta")
        with pytest.raises(InvalidSubject):
            services.upsert_subject(key="provider:okta", name="Okta", actor=SYSTEM, at=now())

    def test_security_may_and_others_may_not(self) -> None:
        cyd, ada = identity.person("cyd", roles=("security",)), identity.person("ada")
        with pytest.raises(MayNotSuspend):
            leave(cyd, ada.actor)
        assert leave(ada, cyd.actor).suspended

    def test_a_team_does_not_leave_and_nobody_unknown_does(self) -> None:
        identity.provider("okta")
        with pytest.raises(InvalidSubject):
            leave(identity.team("shop"))
        with pytest.raises(UnknownSubject):
            services.leave(subject_key="person:nobody", actor=OKTA, at=now(), why="")


def test_leaving_again_ends_nothing_and_records_nothing() -> None:
    identity.provider("okta")
    ada = identity.person("ada")
    signed_in(ada)
    identity.api_token(ada)
    assert leave(ada) == Left(sessions=1, tokens=1, suspended=True)
    before = recorded()
    assert leave(ada) == Left(sessions=0, tokens=0, suspended=False)
    assert recorded() == before


def test_a_token_of_somebody_suspended_long_ago_is_revoked_by_leaving() -> None:
    identity.provider("okta")
    ada = identity.person("ada")
    token, _ = identity.api_token(ada)
    services.suspend_subject(key=ada.key, actor=SYSTEM, at=now())
    assert leave(ada) == Left(sessions=0, tokens=1, suspended=False)
    assert ApiToken.objects.get(pk=token.pk).revoked_at is not None


def test_timed_grants_of_the_leaver_and_its_agents_end() -> None:
    identity.provider("okta")
    there = access.shop()
    at = now()
    held = access.active_grant(there.dan, there.ben, at=at)
    by_bot = access.active_grant(there.bot, there.ben, at=at)
    others = access.active_grant(there.ada, there.ben, at=at)
    leave(there.dan)
    deliver()
    states = {grant.pk: grant.state for grant in Grant.objects.all()}
    assert [states[one.pk] for one in (held, by_bot, others)] == ["revoked", "revoked", "active"]


class TestSessions:
    def test_every_way_in_is_written_down(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ada = identity.person("ada")
        browser = signed_in(ada)
        assert SignIn.objects.get(subject=ada).session_key == browser.session.session_key
        root = services.create_operator(name="root", password="correct horse battery", at=now())
        operator = Client()
        form = {"username": "person:root", "password": "correct horse battery", "next": "/django-admin/"}
        assert operator.post("/django-admin/login/", form).status_code == 302
        assert SignIn.objects.get(subject=root.subject).session_key == operator.session.session_key
        assert operator.post("/django-admin/login/", form | {"password": "wrong"}).status_code in {200, 302}
        assert services.end_sessions(subject_key="person:root", actor=SYSTEM, at=now(), why="") == 1
        assert operator.get("/django-admin/").status_code == 302

    def test_signing_in_as_somebody_else_in_the_same_browser(self) -> None:
        ada, ben = identity.person("ada"), identity.person("ben")
        browser = signed_in(ada)
        browser.post(f"/demo/sign-in/{ben.key}")
        assert services.end_sessions(subject_key=ada.key, actor=SYSTEM, at=now(), why="") == 0
        assert is_in(browser)
        assert services.end_sessions(subject_key=ben.key, actor=SYSTEM, at=now(), why="") == 1
        assert not is_in(browser)

    def test_all_of_one_person_end_and_nobody_elses(self) -> None:
        ada, ben = identity.person("ada"), identity.person("ben")
        browsers, other = [signed_in(ada) for _ in range(3)], signed_in(ben)
        assert services.end_sessions(subject_key=ada.key, actor=OKTA, at=now(), why="Why not.") == 3
        assert [is_in(one) for one in [*browsers, other]] == [False, False, False, True]
        event = Event.objects.get(action="identity.session.ended")
        assert (event.actor_id, event.target_id, event.after) == (
            "provider:okta",
            "person:ada",
            {"sessions": 3, "why": "Why not."},
        )

    def test_only_those_of_a_provider_or_only_one(self) -> None:
        okta, ada = identity.provider("okta"), identity.person("ada")
        browsers = [signed_in(ada) for _ in range(3)]
        for browser, sid in zip(browsers[:2], ("s1", "s2"), strict=True):
            SignIn.objects.filter(session_key=browser.session.session_key).update(provider=okta, sid=sid)
        assert self.end(okta.pk, "s1") == 1
        assert [is_in(one) for one in browsers] == [False, True, True]
        assert self.end(okta.pk, "s1") == 0
        assert self.end(okta.pk) == 1
        assert [is_in(one) for one in browsers] == [False, False, True]

    def end(self, provider_id: int, sid: str = "") -> int:
        key = "person:ada"
        return services.end_sessions(subject_key=key, actor=SYSTEM, at=now(), why="", provider_id=provider_id, sid=sid)

    def test_signing_out_by_oneself_leaves_no_row(self) -> None:
        browser = signed_in(identity.person("ada"))
        browser.post("/sign-out/")
        assert SignIn.objects.count() == 0

    def test_rows_of_sessions_that_ran_out_go_and_young_ones_stay(self) -> None:
        signed_in(identity.person("ada"))
        signed_in(identity.person("ben"))
        Session.objects.all().delete()
        SignIn.objects.filter(subject__key="person:ada").update(started_at=datetime.now(UTC) - timedelta(hours=9))
        tasks.forget_sessions()
        assert list(SignIn.objects.values_list("subject__key", flat=True)) == ["person:ben"]
        tasks.forget_signals()
