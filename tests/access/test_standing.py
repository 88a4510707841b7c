"""Standing access is looked at again: who is asked and when, who answers, and what becomes of what nobody answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from apps.access import refusals, services
from apps.access.models import Grant, GrantUse, StandingPolicy, StandingReview
from apps.access.selectors.standing import StandingValues, get_schedule, list_standing
from apps.access.services.standing import (
    answer_standing,
    ensure_watching,
    follow_up,
    open_due_reviews,
    save_standing_policy,
)
from apps.access.services.uses import note_uses
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services as people
from apps.identity.models import Subject
from apps.outbox.models import Message
from tests.access.concurrency import together
from tests.access.test_clean_ups import standing
from tests.factories.access import Shop, active_grant, service, shop

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def used(grant: Grant, at: datetime) -> None:
    note_uses({(grant.public_id, "read"): at})


def asked(grant: Grant) -> list[tuple[str, str]]:
    return list(grant.standing_reviews.order_by("pk").values_list("cause", "state"))


def question(there: Shop, at: datetime) -> StandingReview:
    """About Ada's access to payments, which is internal, half a year on; Ben and Bea own it."""
    ensure_watching(at=at)
    grant = standing(there.ada, "read", at=at)
    used(grant, at + 179 * DAY)
    assert open_due_reviews(at=at + 180 * DAY) == 1
    return StandingReview.objects.get(grant=grant)


class TestAsking:
    def test_each_sensitivity_has_its_own_pace(self, at: datetime) -> None:
        there = shop()
        critical = service("vault", team=there.payments_team, sensitivity="critical")
        ensure_watching(at=at)
        plain, hot = standing(there.ada, "read", at=at), standing(there.ada, "read", at=at, service_slug=critical.slug)
        for day in (89, 179):
            used(plain, at + day * DAY)
            used(hot, at + day * DAY)
        assert open_due_reviews(at=at + 90 * DAY - timedelta(seconds=1)) == 0
        assert open_due_reviews(at=at + 90 * DAY) == 1
        assert (asked(plain), asked(hot)) == ([], [("schedule", "open")])
        assert open_due_reviews(at=at + 180 * DAY) == 1
        assert asked(plain) == [("schedule", "open")]

    def test_nobody_is_asked_twice_and_a_kept_one_has_its_time_again(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        assert open_due_reviews(at=at + 181 * DAY) == 0
        answer_standing(public_id=row.public_id, actor=there.ben, keep=True, comment="On call.", at=at + 181 * DAY)
        used(row.grant, at + 360 * DAY)
        assert open_due_reviews(at=at + 360 * DAY) == 0
        assert open_due_reviews(at=at + 361 * DAY) == 1
        assert asked(row.grant) == [("schedule", "kept"), ("schedule", "open")]

    def test_access_with_an_end_is_not_asked_about(self, at: datetime) -> None:
        there = shop()
        active_grant(there.ada, there.ben, at=at)
        assert open_due_reviews(at=at + 4 * 366 * DAY) == 0

    def test_what_no_call_used_is_asked_about_once_calls_were_watched_for_as_long(self, at: datetime) -> None:
        there = shop()
        idle, busy = standing(there.ada, "read", at=at), standing(there.bot, "read", at=at)
        assert open_due_reviews(at=at + 100 * DAY) == 0, "calls count from this sweep on"
        used(busy, at + 150 * DAY)
        assert open_due_reviews(at=at + 179 * DAY) == 0
        save_standing_policy(values=replace(StandingValues(), internal_days=0), version=1, actor=SYSTEM, at=at)
        assert open_due_reviews(at=at + 190 * DAY) == 1
        assert (asked(idle), asked(busy)) == ([("unused", "open")], [])

    def test_holder_and_owner_are_told(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        message = Message.objects.get(topic="access.standing.changed")
        assert (message.key, message.payload) == (
            row.public_id,
            {
                "grant": row.grant.public_id,
                "service": "payments",
                "holder": "person:ada",
                "owner": "team:payments",
                "cause": "schedule",
                "state": "open",
                "due_at": (at + 194 * DAY).isoformat(),
                "asked": 1,
            },
        )
        assert waiting(there.ben) == waiting(there.bea) == [row.public_id]
        assert waiting(there.cyd) == waiting(there.ada) == []
        assert Event.objects.get(action="access.standing.asked").target_id == row.public_id

    def test_what_its_own_team_holds_goes_to_security_at_once(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        grant = standing(there.payments_team, "read", at=at)
        open_due_reviews(at=at + 180 * DAY)
        row = grant.standing_reviews.get()
        assert row.escalated_at == at + 180 * DAY
        assert (waiting(there.ben), waiting(there.cyd)) == ([], [row.public_id])

    @pytest.mark.django_db(transaction=True)
    def test_two_sweeps_at_once_ask_once(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        grant = standing(there.ada, "read", at=at)
        results = together(*[lambda: open_due_reviews(at=at + 180 * DAY)] * 2)
        assert sorted(results) == [0, 1]  # type: ignore[type-var]  # counts
        assert len(asked(grant)) == 1


def waiting(viewer: Subject) -> list[str]:
    return [row.public_id for row in list_standing(viewer=viewer, waiting=True).items]


class TestAnswering:
    def test_an_owner_keeps_it_with_a_reason(self, at: datetime) -> None:
        there = shop()
        row, then = question(there, at), at + 181 * DAY
        with pytest.raises(refusals.BadReason):
            answer_standing(public_id=row.public_id, actor=there.ben, keep=True, comment=" ", at=then)
        answer_standing(public_id=row.public_id, actor=there.ben, keep=True, comment="On call.", at=then)
        row.refresh_from_db()
        assert (row.state, row.answered_by, row.answered_at, row.comment) == ("kept", there.ben, then, "On call.")
        assert Grant.objects.get().state == "active"
        assert Event.objects.get(action="access.standing.kept").actor_id == "person:ben"
        with pytest.raises(refusals.StandingAnswered):
            answer_standing(public_id=row.public_id, actor=there.bea, keep=False, at=then)

    def test_an_owner_ends_it_with_one_click(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        answer_standing(public_id=row.public_id, actor=there.ben, keep=False, at=at + 181 * DAY)
        grant = Grant.objects.get()
        assert (grant.state, grant.ended_by) == ("revoked", there.ben)
        assert grant.end_reason == "Standing access looked at again: It is time to look at it again"

    @pytest.mark.parametrize(
        ("who", "refusal"),
        [
            ("ada", refusals.HolderNeverKeeps),
            ("flo", refusals.NotYoursToAnswer),
            ("dan", refusals.UnknownStandingReview),
            ("bot", refusals.UnknownStandingReview),
        ],
    )
    def test_who_may_not_keep_it(self, who: str, refusal: type[Exception], at: datetime) -> None:
        there = shop()
        row = question(there, at)
        with pytest.raises(refusal):
            answer_standing(public_id=row.public_id, actor=getattr(there, who), keep=True, comment="Mine.", at=at)
        row.refresh_from_db()
        assert row.state == "open"

    def test_an_owner_does_not_keep_their_own_and_may_end_it(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        grant = standing(there.ben, "read", at=at)
        open_due_reviews(at=at + 180 * DAY)
        row = grant.standing_reviews.get()
        with pytest.raises(refusals.HolderNeverKeeps):
            answer_standing(public_id=row.public_id, actor=there.ben, keep=True, comment="Mine.", at=at + 181 * DAY)
        answer_standing(public_id=row.public_id, actor=there.ben, keep=False, at=at + 181 * DAY)
        grant.refresh_from_db()
        assert grant.state == "revoked"

    def test_agents_never_answer(self, at: datetime) -> None:
        there = shop()
        people.set_memberships(
            team_key="team:payments",
            members={"person:ben": "owner", "agent:release-bot": "member"},
            actor=SYSTEM,
            at=at,
        )
        row = question(there, at)
        with pytest.raises(refusals.AgentsNeverDecide):
            answer_standing(public_id=row.public_id, actor=there.bot, keep=False, at=at)

    def test_of_two_answers_at_once_one_counts(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        services.end_grant(public_id=row.grant.public_id, actor=there.ada, at=at + 181 * DAY)
        answer_standing(public_id=row.public_id, actor=there.ben, keep=True, comment="Yes.", at=at + 181 * DAY)
        row.refresh_from_db()
        assert (row.state, row.answered_by) == ("settled", None)


class TestFollowingUp:
    def test_what_is_late_goes_to_security_and_then_ends(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        due = at + 194 * DAY
        assert follow_up(at=due - timedelta(seconds=1)) == 1
        row.refresh_from_db()
        assert (row.state, row.escalated_at) == ("open", None)
        assert follow_up(at=due) == 1
        row.refresh_from_db()
        assert (row.state, row.escalated_at, row.due_at) == ("open", due, due + 7 * DAY)
        assert waiting(there.cyd) == waiting(there.ben) == [row.public_id]
        assert follow_up(at=due) == 0
        assert follow_up(at=due + 7 * DAY) == 1
        row.refresh_from_db()
        grant = Grant.objects.get()
        assert (row.state, row.answered_by, grant.state) == ("lapsed", None, "revoked")
        assert (grant.ended_by, grant.end_reason) == (None, "Nobody answered for it in time.")
        actions = Event.objects.filter(action__startswith="access.standing.").order_by("seq")
        assert list(actions.values_list("action", flat=True)) == [
            "access.standing.asked",
            "access.standing.reminded",
            "access.standing.passed_on",
            "access.standing.lapsed",
        ]

    def test_whoever_is_asked_is_reminded_before_each_day_is_over_and_once_each_time(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        told: list[tuple[int, str]] = []
        for day in range(180, 202):
            for _ in range(2):
                follow_up(at=at + day * DAY)
            verbs = Event.objects.filter(action__startswith="access.standing.", at=at + day * DAY)
            told += [(day, verb.rpartition(".")[2]) for verb in verbs.order_by("seq").values_list("action", flat=True)]
        assert told == [
            (180, "asked"),
            (187, "reminded"),
            (191, "reminded"),
            (193, "reminded"),
            (194, "passed_on"),
            (198, "reminded"),
            (200, "reminded"),
            (201, "lapsed"),
        ]
        last = Message.objects.filter(topic="access.standing.changed").order_by("pk").last()
        assert last is not None
        assert (last.key, last.payload["state"]) == (row.public_id, "lapsed")

    def test_nobody_is_reminded_no_sooner_than_asked(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        StandingPolicy.objects.update(answer_days=3)
        row = question(there, at)
        follow_up(at=at + 180 * DAY)
        assert not Event.objects.filter(action="access.standing.reminded").exists()
        follow_up(at=at + 182 * DAY)
        row.refresh_from_db()
        assert row.reminded == 3

    def test_what_a_running_service_calls_by_stays_and_is_asked_about_ever_again(self, at: datetime) -> None:
        """Nobody stops a service by being on holiday."""
        there = shop()
        ensure_watching(at=at)
        grant = standing(there.cart, "read", at=at)
        used(grant, at + 179 * DAY)
        open_due_reviews(at=at + 180 * DAY)
        for day in range(180, 216):
            follow_up(at=at + day * DAY)
        grant.refresh_from_db()
        row = grant.standing_reviews.get()
        assert (grant.state, row.state, row.escalated_at) == ("active", "open", at + 194 * DAY)
        assert (row.asked_again, row.times_asked, row.due_at) == (3, 4, at + 222 * DAY)
        again = Event.objects.filter(action="access.standing.asked_again").order_by("seq")
        assert [event.at for event in again] == [at + days * DAY for days in (201, 208, 215)]
        assert waiting(there.cyd) == waiting(there.ben) == [row.public_id]
        answer_standing(public_id=row.public_id, actor=there.cyd, keep=False, at=at + 216 * DAY)
        grant.refresh_from_db()
        assert grant.state == "revoked"

    def test_who_wants_that_to_end_too_says_so(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        StandingPolicy.objects.update(lapse="end")
        grant = standing(there.cart, "read", at=at)
        used(grant, at + 179 * DAY)
        open_due_reviews(at=at + 180 * DAY)
        for day in (194, 201):
            follow_up(at=at + day * DAY)
        grant.refresh_from_db()
        assert grant.state == "revoked"

    def test_it_may_end_without_asking_security(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        StandingPolicy.objects.update(escalate_days=0)
        assert follow_up(at=at + 194 * DAY) == 1
        row.refresh_from_db()
        assert row.state == "lapsed"

    def test_it_may_stay_until_somebody_says_otherwise(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        StandingPolicy.objects.update(lapse="ask")
        for days in (194, 201, 400):
            follow_up(at=at + days * DAY)
        row.refresh_from_db()
        assert (row.state, Grant.objects.get().state) == ("open", "active")
        assert waiting(there.cyd) == [row.public_id]

    def test_what_nobody_uses_never_ends_by_itself(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        grant = standing(there.ada, "read", at=at)
        open_due_reviews(at=at + 90 * DAY)
        for days in (104, 111, 400):
            follow_up(at=at + days * DAY)
        grant.refresh_from_db()
        row = grant.standing_reviews.get()
        assert (grant.state, row.cause, row.state, row.escalated_at) == ("active", "unused", "open", at + 104 * DAY)

    def test_what_is_used_again_or_ended_otherwise_is_no_question(self, at: datetime) -> None:
        there = shop()
        ensure_watching(at=at)
        one, other = standing(there.ada, "read", at=at), standing(there.bot, "read", at=at)
        assert open_due_reviews(at=at + 90 * DAY) == 2
        used(one, at + 91 * DAY)
        services.end_grant(public_id=other.public_id, actor=there.ben, at=at + 91 * DAY)
        assert follow_up(at=at + 92 * DAY) == 2
        assert (asked(one), asked(other)) == ([("unused", "settled")], [("unused", "settled")])

    @pytest.mark.django_db(transaction=True)
    def test_an_answer_and_the_deadline_at_once_are_one_of_the_two(self, at: datetime) -> None:
        there = shop()
        row = question(there, at)
        StandingPolicy.objects.update(escalate_days=0)
        then = at + 194 * DAY
        together(
            lambda: answer_standing(public_id=row.public_id, actor=there.ben, keep=True, comment="Yes.", at=then),
            lambda: follow_up(at=then),
        )
        row.refresh_from_db()
        assert (row.state, Grant.objects.get().state) in {("kept", "active"), ("lapsed", "revoked")}


class TestSchedule:
    def test_only_what_was_seen_is_changed_and_by_those_who_may(self, at: datetime) -> None:
        there = shop()
        values = StandingValues(critical_days=30)
        save_standing_policy(values=values, version=get_schedule().version, actor=there.cyd.actor, at=at)
        assert (get_schedule().values, get_schedule().version) == (values, 2)
        assert Event.objects.get(action="access.standing_policy.changed").before["critical_days"] == 90
        with pytest.raises(refusals.RuleMoved):
            save_standing_policy(values=values, version=1, actor=there.cyd.actor, at=at)
        with pytest.raises(refusals.NotYoursToGovern):
            save_standing_policy(values=values, version=2, actor=there.ben.actor, at=at)
        with pytest.raises(refusals.BadStandingPolicy):
            save_standing_policy(values=replace(values, answer_days=0), version=2, actor=there.cyd.actor, at=at)


class TestUses:
    def test_a_use_is_noted_by_route_once_in_ten_minutes_and_never_backwards(self, at: datetime) -> None:
        there = shop()
        grant = standing(there.ada, "read", "list", at=at)

        def noted() -> dict[str, datetime]:
            return dict(GrantUse.objects.filter(grant=grant).values_list("route", "last_at"))

        note_uses({(grant.public_id, "read"): at, ("g_unknown", "read"): at})
        for minutes in (9, -5):
            note_uses({(grant.public_id, "read"): at + timedelta(minutes=minutes)})
        assert noted() == {"read": at}
        note_uses({(grant.public_id, "read"): at + timedelta(minutes=10), (grant.public_id, "list"): at})
        assert noted() == {"read": at + timedelta(minutes=10), "list": at}
