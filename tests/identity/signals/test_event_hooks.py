"""Okta's event hooks: who may send them, what each of them does, and that a second delivery does nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import NotFound
from apps.audit.models import Event
from apps.identity import handlers, services
from apps.identity.errors import NotAnAdministrator, TooManySecrets
from apps.identity.models import ProviderSecret, ReceivedSignal, SignIn, Subject
from apps.outbox.models import Message
from apps.outbox.registry import News
from tests.factories import identity
from tests.identity.signals.world import (
    HOOK,
    SLUG,
    World,
    deliver,
    delivery,
    is_in,
    known,
    log_event,
    now,
    recorded,
    signed_in,
)

pytestmark = pytest.mark.django_db


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.content)["code"]


class TestVerification:
    def test_the_challenge_is_said_back(self, there: World) -> None:
        answer = Client().get(HOOK, headers={"x-okta-verification-challenge": "abc-123_XYZ"})
        assert (answer.status_code, answer.json()) == (200, {"verification": "abc-123_XYZ"})
        assert answer["Content-Type"] == "application/json"

    @pytest.mark.parametrize("said", ["", "x" * 501])
    def test_without_one_it_is_a_bad_request(self, there: World, said: str) -> None:
        assert code(Client().get(HOOK, headers={"x-okta-verification-challenge": said})) == (400, "bad_signal")

    def test_an_unknown_or_switched_off_provider_has_no_address(self, there: World) -> None:
        headers = {"x-okta-verification-challenge": "abc"}
        assert code(Client().get("/signals/other/okta-events", headers=headers)) == (404, "not_found")
        there.row.enabled = False
        there.row.save()
        assert code(Client().get(HOOK, headers=headers)) == (404, "not_found")

    def test_other_methods_are_not_known(self, there: World) -> None:
        assert [getattr(Client(), verb)(HOOK).status_code for verb in ("put", "delete", "patch")] == [405, 405, 405]


class TestSecrets:
    @pytest.mark.parametrize("shown", ["", "Bearer", "Bearer ", "wrong", "Basic abc", "Bearer \xe9", "sph_"])
    def test_a_wrong_secret_is_refused_and_nothing_is_stored(self, there: World, shown: str) -> None:
        assert code(there.hook(log_event("user.lifecycle.deactivate"), secret=shown)) == (401, "unknown_sender")
        assert ReceivedSignal.objects.count() == 0

    def test_it_may_stand_after_the_word_bearer(self, there: World) -> None:
        assert there.hook(log_event("user.session.end"), secret=f"Bearer {there.secret}").status_code == 204

    def test_two_are_good_at_once_and_a_third_is_refused(self, there: World) -> None:
        second = services.issue_hook_secret(provider_slug=SLUG, actor=SYSTEM, at=now())
        for secret in (there.secret, second.plain):
            assert there.hook(log_event("user.session.end"), secret=secret).status_code == 204
        with pytest.raises(TooManySecrets):
            services.issue_hook_secret(provider_slug=SLUG, actor=SYSTEM, at=now())

    def test_a_revoked_one_an_old_one_and_another_providers_are_refused(self, there: World) -> None:
        for number in range(2):
            services.revoke_provider_secret(secret_id=ProviderSecret.objects.get().pk, actor=SYSTEM, at=now())
            assert there.hook(log_event("user.session.end")).status_code == 401, number
        old = services.issue_hook_secret(provider_slug=SLUG, actor=SYSTEM, at=now() - timedelta(days=367))
        assert there.hook(log_event("user.session.end"), secret=old.plain).status_code == 401
        with pytest.raises(NotFound):
            services.revoke_provider_secret(secret_id=0, actor=SYSTEM, at=now())

    def test_a_secret_for_another_purpose_is_none_here(self, there: World) -> None:
        ProviderSecret.objects.update(channel="scim")
        assert there.hook(log_event("user.session.end")).status_code == 401

    def test_only_its_hash_is_kept_and_only_administrators_make_one(self, there: World) -> None:
        kept = str(list(ProviderSecret.objects.values()) + list(Event.objects.values()))
        assert there.secret not in kept
        cyd = identity.person("cyd", roles=("security",))
        for actor in (cyd.actor, there.ada.actor, Actor(id="provider:okta", name="Okta")):
            with pytest.raises(NotAnAdministrator):
                services.issue_hook_secret(provider_slug=SLUG, actor=actor, at=now())

    def test_its_use_is_noted(self, there: World) -> None:
        assert ProviderSecret.objects.get().last_used_at is None
        there.hook(log_event("user.session.end"))
        assert ProviderSecret.objects.get().last_used_at is not None


LEAVE = ("user.lifecycle.deactivate", "user.lifecycle.suspend", "user.lifecycle.delete.initiated")
ENDS = ("user.session.clear", "user.authentication.universal_logout", "user.session.end")
COMES_BACK = ("user.lifecycle.activate", "user.lifecycle.reactivate", "user.lifecycle.unsuspend")


class TestWhatEachOfThemDoes:
    @pytest.mark.parametrize("kind", LEAVE)
    def test_leaving_ends_sessions_and_tokens_and_suspends(self, there: World, kind: str) -> None:
        browser, (token, plain) = signed_in(there.ada), identity.api_token(there.ada)
        assert there.hook(log_event(kind)).status_code == 204
        assert is_in(browser), "the answer comes first"
        deliver()
        there.ada.refresh_from_db()
        token.refresh_from_db()
        assert (there.ada.state, token.revoked_at is None, SignIn.objects.count()) == ("suspended", False, 0)
        assert not is_in(browser)
        assert browser.get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 401
        signal = there.signal()
        assert (signal.outcome, signal.subject, signal.sessions, signal.tokens) == ("left", there.ada, 1, 1)
        assert signal.happened_at == datetime(2026, 11, 25, 10, 0, tzinfo=UTC)

    def test_the_record_says_who_said_so(self, there: World) -> None:
        there.hook(log_event(LEAVE[0]))
        deliver()
        event = Event.objects.get(action="identity.subject.suspended")
        assert (event.actor_id, event.actor_name, event.target_id) == ("provider:okta", "Okta", "person:ada")
        assert event.after == {"state": "suspended", "why": "Okta said user.lifecycle.deactivate."}

    def test_the_agents_of_whoever_leaves_stop(self, there: World) -> None:
        bot = identity.agent("bot", owner=there.ada)
        browser, (_, plain) = signed_in(bot), identity.api_token(bot)
        there.hook(log_event(LEAVE[0]))
        deliver()
        assert not Subject.objects.get(pk=bot.pk).is_active
        assert not is_in(browser)
        assert browser.get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 401
        assert (there.signal().sessions, there.signal().tokens) == (1, 1)
        told = Message.objects.filter(topic="identity.subject.changed", key=bot.key)
        assert told.count() == 2, "made, and stopped"

    def test_what_an_agent_held_stays_revoked_when_its_owner_comes_back(self, there: World) -> None:
        _, plain = identity.api_token(identity.agent("bot", owner=there.ada))
        there.hook(log_event(LEAVE[0]))
        deliver()
        services.reinstate_subject(key=there.ada.key, actor=SYSTEM, at=now())
        assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 401

    @pytest.mark.parametrize("kind", ENDS)
    def test_an_ended_session_ends_ours_and_nothing_else(self, there: World, kind: str) -> None:
        browser, (_, plain) = signed_in(there.ada), identity.api_token(there.ada)
        other = signed_in(identity.person("ben"))
        there.hook(log_event(kind))
        deliver()
        there.ada.refresh_from_db()
        assert (there.ada.state, is_in(browser), is_in(other)) == ("active", False, True)
        assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 200
        assert (there.signal().outcome, there.signal().sessions) == ("sessions_ended", 1)
        assert recorded("identity.session.ended") == ["identity.session.ended"]

    def test_whoever_signs_out_is_named_as_the_actor(self, there: World) -> None:
        browser = signed_in(there.ada)
        there.hook(log_event("user.session.end", target=None, actor={"id": "00u1", "type": "User"}))
        deliver()
        assert not is_in(browser)

    def test_whoever_deactivates_somebody_does_not_leave_by_it(self, there: World) -> None:
        there.hook(log_event(LEAVE[0], target=[], actor={"id": "00u1", "type": "User"}))
        deliver()
        there.ada.refresh_from_db()
        assert (there.ada.state, there.signal().outcome) == ("active", "nobody")

    @pytest.mark.parametrize("kind", COMES_BACK)
    def test_coming_back_is_noted_and_gives_nothing(self, there: World, kind: str) -> None:
        services.suspend_subject(key=there.ada.key, actor=SYSTEM, at=now())
        there.hook(log_event(kind))
        deliver()
        there.ada.refresh_from_db()
        assert (there.ada.state, there.signal().outcome, there.signal().subject) == ("suspended", "noted", there.ada)

    @pytest.mark.parametrize("order", [(LEAVE[0], COMES_BACK[0]), (COMES_BACK[0], LEAVE[0])])
    def test_the_order_of_delivery_does_not_matter(self, there: World, order: tuple[str, str]) -> None:
        for kind in order:
            there.hook(log_event(kind))
        deliver()
        there.ada.refresh_from_db()
        assert there.ada.state == "suspended"

    @pytest.mark.parametrize(
        "changes",
        [
            {"outcome": {"result": "FAILURE"}},
            {"outcome": None},
            {"outcome": {"result": ["SUCCESS"]}},
            {"uuid": ""},
            {"uuid": 7},
            {"uuid": "x" * 256},
            {"uuid": "a\x00b"},
            {"eventType": "user.lifecycle.create"},
            {"eventType": {"a": 1}},
        ],
    )
    def test_what_failed_is_unreadable_or_means_nothing_here_is_left_alone(
        self, there: World, changes: dict[str, Any]
    ) -> None:
        assert there.hook(log_event(LEAVE[0], **changes), log_event(ENDS[0])).status_code == 204
        assert list(ReceivedSignal.objects.values_list("kind", flat=True)) == [ENDS[0]]

    def test_nobody_is_found_by_an_address(self, there: World) -> None:
        ben = identity.person("ben")
        Subject.objects.filter(pk=ben.pk).update(email="ada@shop.test")
        there.hook(log_event(LEAVE[0], sub="00u-unknown"))
        deliver()
        ben.refresh_from_db()
        assert (ben.state, there.signal().outcome, there.signal().subject) == ("active", "nobody", None)

    def test_the_same_id_at_another_provider_is_somebody_else(self, there: World) -> None:
        ben = known(identity.person("ben"), "00u7", "https://elsewhere.test")
        there.hook(log_event(LEAVE[0], sub="00u7"))
        deliver()
        ben.refresh_from_db()
        assert (ben.state, there.signal().outcome) == ("active", "nobody")


class TestOnce:
    def test_a_second_delivery_and_a_second_handling_change_nothing(self, there: World) -> None:
        signed_in(there.ada)
        event = log_event(LEAVE[0])
        there.hook(event, event)
        there.hook(event)
        assert ReceivedSignal.objects.count() == Message.objects.filter(topic="identity.signal.received").count() == 1
        deliver()
        before = (recorded(), Message.objects.count())
        for _ in range(2):
            handlers.signals_received(news=[News(str(there.signal().pk), {})], at=now())
        there.hook(event)
        deliver()
        assert (recorded(), Message.objects.count()) == before
        assert there.signal().sessions == 1

    def test_it_does_not_undo_a_reinstatement(self, there: World) -> None:
        event = log_event(LEAVE[0])
        there.hook(event)
        deliver()
        services.reinstate_subject(key=there.ada.key, actor=SYSTEM, at=now())
        there.hook(event)
        deliver()
        there.ada.refresh_from_db()
        assert there.ada.state == "active"

    def test_leaving_twice_by_two_words_is_leaving_once(self, there: World) -> None:
        there.hook(log_event(LEAVE[0]), log_event(LEAVE[1]))
        deliver()
        assert recorded("identity.subject.suspended") == ["identity.subject.suspended"]
        assert set(ReceivedSignal.objects.values_list("outcome", flat=True)) == {"left"}

    def test_of_a_provider_switched_off_meanwhile_nothing_is_believed_any_more(self, there: World) -> None:
        there.hook(log_event(LEAVE[0]))
        there.row.enabled = False
        there.row.save()
        deliver()
        there.ada.refresh_from_db()
        assert (there.ada.state, there.signal().outcome) == ("active", "noted")
        assert there.hook(log_event(LEAVE[0])).status_code == 401

    def test_old_ones_are_forgotten_and_waiting_ones_are_not(self, there: World) -> None:
        there.hook(log_event(ENDS[0]))
        assert services.forget_old_signals(at=now() + timedelta(days=91)) == 0
        deliver()
        assert services.forget_old_signals(at=now() + timedelta(days=89)) == 0
        assert services.forget_old_signals(at=now() + timedelta(days=91)) == 1


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not json",
            b"[]",
            b"7",
            b"null",
            b"{}",
            b'{"data": []}',
            b'{"data": {"events": {}}}',
            b'{"data": {"events": null}}',
            b"\xff\xfe",
            b'{"data": {"events": ["\\ud800"]}}',
            b"[" * 100_000,
            json.dumps(delivery(*range(1001))).encode(),
        ],
    )
    def test_what_is_no_delivery_is_a_bad_request(self, there: World, body: bytes) -> None:
        assert code(there.hook(body=body)) == (400, "bad_signal")

    def test_a_huge_one_is_refused(self, there: World) -> None:
        assert code(there.hook(body=b"x" * (2 * 1024 * 1024 + 1))) == (413, "signal_too_large")
        assert code(there.hook(body=b"x" * (9 * 1024 * 1024))) == (413, "signal_too_large")

    @pytest.mark.parametrize("event", [None, 7, "x", [], {}, {"target": 7}, [[]]])
    def test_odd_events_cost_the_others_nothing(self, there: World, event: object) -> None:
        assert there.hook(event, log_event(LEAVE[0])).status_code == 204
        assert ReceivedSignal.objects.count() == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"target": {"id": "00u1"}},
            {"target": [{"type": "User"}]},
            {"target": [{"type": "User", "id": ["00u1"]}]},
            {"target": [{"type": "User", "id": "x" * 300}]},
            {"target": [{"type": "AppInstance", "id": "00u1"}]},
            {"target": [7, None]},
            {"published": 1e308},
            {"published": "yesterday"},
            {"published": "2026-11-25T10:00:00"},
            {"published": "0001-01-01T00:00:00+14:00"},
        ],
    )
    def test_an_event_about_nobody_or_at_no_time_is_still_written_down(
        self, there: World, changes: dict[str, Any]
    ) -> None:
        body = json.dumps(delivery(log_event(LEAVE[0], **changes)))
        assert there.hook(body=body.encode()).status_code == 204
        deliver()
        assert not Message.objects.filter(state="dead").exists()

    def test_a_thousand_events_are_taken_in_with_a_handful_of_statements(
        self, there: World, django_assert_max_num_queries: Any
    ) -> None:
        with django_assert_max_num_queries(14):
            assert there.hook(*(log_event(LEAVE[0], sub=f"00u{n}") for n in range(800))).status_code == 204
        assert Message.objects.filter(topic="identity.signal.received").count() == 800
