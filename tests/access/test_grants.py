"""A grant's life: the clock, the doors, and every way it ends."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.access import refusals, services
from apps.access.models import Grant
from apps.access.states import MoveRefused, move
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services as people
from apps.outbox.models import Message
from tests.access.concurrency import together
from tests.factories import identity
from tests.factories.access import HOUR, active_grant, pending_grant, shop

pytestmark = pytest.mark.django_db

LATER = timedelta(minutes=5)


def changed_messages(grant: Grant) -> int:
    return Message.objects.filter(topic="access.grant.changed", key=grant.public_id).count()


def door_states(grant: Grant) -> dict[str, str]:
    return dict(grant.doors.order_by("point").values_list("point", "state"))


class TestActivate:
    def test_the_clock_starts_at_activation_in_whole_seconds(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben, duration=HOUR)
        moment = at + timedelta(minutes=7, microseconds=900_000)
        services.activate(grant_id=grant.public_id, at=moment)
        grant.refresh_from_db()
        assert grant.state == "active"
        assert grant.activated_at == moment
        assert grant.starts_at == at + timedelta(minutes=7)
        assert grant.ends_at == at + timedelta(minutes=7, hours=1)

    def test_it_happens_once_and_announces_the_true_end(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        before = changed_messages(grant)
        services.activate(grant_id=grant.public_id, at=at)
        services.activate(grant_id=grant.public_id, at=at + LATER)
        grant.refresh_from_db()
        assert grant.starts_at == at
        assert changed_messages(grant) == before + 1
        assert Event.objects.filter(action="access.grant.activated").count() == 1

    def test_whoever_was_suspended_meanwhile_gets_nothing(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        people.suspend_subject(key=there.ada.key, actor=SYSTEM, at=at)
        services.activate(grant_id=grant.public_id, at=at)
        grant.refresh_from_db()
        assert (grant.state, grant.starts_at, grant.end_reason) == ("revoked", None, "The holder was suspended.")

    def test_an_agent_whose_owner_was_suspended_meanwhile_gets_nothing(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.bot, there.ben)
        people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at)
        assert services.activate(grant_id=grant.public_id, at=at).state == "revoked"

    def test_what_ended_while_it_was_opening_stays_ended(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
        assert services.activate(grant_id=grant.public_id, at=at + LATER).state == "handed_back"

    @pytest.mark.django_db(transaction=True)
    def test_two_proofs_at_once_start_one_clock(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        together(
            lambda: services.activate(grant_id=grant.public_id, at=at),
            lambda: services.activate(grant_id=grant.public_id, at=at + LATER),
        )
        assert Event.objects.filter(action="access.grant.activated").count() == 1


class TestDoors:
    def test_a_door_opens_and_is_proven_with_its_moments_kept(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        services.mark_door(grant_id=grant.public_id, point="edge", state="open", detail="revision 3", at=at)
        services.mark_door(grant_id=grant.public_id, point="edge", state="proven", at=at + LATER)
        door = grant.doors.get(point="edge")
        assert (door.state, door.opened_at, door.proven_at) == ("proven", at, at + LATER)
        assert door.changed_at == at + LATER
        assert door_states(grant) == {"edge": "proven", "mesh": "opening"}

    def test_the_same_report_twice_is_one_change(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        for moment in (at, at + LATER):
            services.mark_door(grant_id=grant.public_id, point="mesh", state="proven", at=moment)
        door = grant.doors.get(point="mesh")
        assert (door.proven_at, door.opened_at, door.changed_at) == (at, at, at)
        assert Event.objects.filter(action="access.grant.door_proven").count() == 1

    def test_a_report_that_the_end_overtook_changes_nothing(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
        services.mark_door(grant_id=grant.public_id, point="edge", state="proven", at=at + LATER)
        assert door_states(grant) == {"edge": "closing", "mesh": "closing"}
        services.mark_door(grant_id=grant.public_id, point="edge", state="closed", at=at + LATER)
        services.mark_door(grant_id=grant.public_id, point="edge", state="open", at=at + 2 * LATER)
        assert door_states(grant) == {"edge": "closed", "mesh": "closing"}
        assert grant.doors.get(point="edge").closed_at == at + LATER

    def test_a_failing_door_may_recover(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        services.mark_door(grant_id=grant.public_id, point="edge", state="failing", detail="503", at=at)
        assert grant.doors.get(point="edge").detail == "503"
        services.mark_door(grant_id=grant.public_id, point="edge", state="proven", at=at + LATER)
        assert door_states(grant)["edge"] == "proven"

    def test_an_error_is_shown_until_it_is_gone(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        for _ in range(3):
            services.record_error(grant_id=grant.public_id, error="The edge answered 500.", at=at)
        grant.refresh_from_db()
        assert (grant.error, grant.error_at) == ("The edge answered 500.", at)
        assert Event.objects.filter(action="access.grant.failed").count() == 1
        services.record_error(grant_id=grant.public_id, error="", at=at + LATER)
        grant.refresh_from_db()
        assert (grant.error, grant.error_at) == ("", None)

    def test_activation_clears_the_error(self, at: datetime) -> None:
        there = shop()
        grant = pending_grant(there.ada, there.ben)
        services.record_error(grant_id=grant.public_id, error="The edge answered 500.", at=at)
        assert services.activate(grant_id=grant.public_id, at=at).error == ""

    def test_unknown_grants_are_refused(self, at: datetime) -> None:
        with pytest.raises(refusals.UnknownGrant):
            services.mark_door(grant_id="g_nothing", point="edge", state="open", at=at)


class TestEnd:
    @pytest.mark.parametrize(
        ("who", "state"),
        [("ada", "handed_back"), ("ben", "revoked"), ("bea", "revoked"), ("cyd", "revoked"), ("eve", "revoked")],
    )
    def test_holders_hand_back_and_those_who_answer_for_it_revoke(self, who: str, state: str, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben)
        actor = getattr(there, who)
        services.end_grant(public_id=grant.public_id, actor=actor, at=at + LATER, why="Done.")
        grant.refresh_from_db()
        assert (grant.state, grant.ended_at, grant.ended_by) == (state, at + LATER, actor)
        assert grant.end_reason == "Done."
        assert door_states(grant) == {"edge": "closing", "mesh": "closing"}
        assert Event.objects.get(action=f"access.grant.{state}").actor_id == actor.key
        assert changed_messages(grant) == 3

    @pytest.mark.parametrize(("who", "refusal"), [("flo", refusals.NotYoursToEnd), ("dan", refusals.UnknownGrant)])
    def test_others_cannot(self, who: str, refusal: type[Exception], at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben)
        with pytest.raises(refusal):
            services.end_grant(public_id=grant.public_id, actor=getattr(there, who), at=at)
        grant.refresh_from_db()
        assert (grant.state, door_states(grant)) == ("active", {"edge": "opening", "mesh": "opening"})

    def test_an_agent_hands_back_its_own_but_never_revokes(self, at: datetime) -> None:
        there = shop()
        people.set_memberships(
            team_key="team:payments",
            members={"person:ben": "owner", "agent:release-bot": "member"},
            actor=SYSTEM,
            at=at,
        )
        foreign, own = active_grant(there.ada, there.ben), active_grant(there.bot, there.ben)
        with pytest.raises(refusals.NotYoursToEnd):
            services.end_grant(public_id=foreign.public_id, actor=there.bot, at=at)
        assert services.end_grant(public_id=own.public_id, actor=there.bot, at=at).state == "handed_back"

    def test_the_owner_of_an_agent_hands_back_for_it(self, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.bot, there.ben)
        assert services.end_grant(public_id=grant.public_id, actor=there.dan, at=at).state == "handed_back"

    def test_a_member_cannot_end_the_teams_access_but_its_owner_can(self, at: datetime) -> None:
        there = shop()
        gus, hana = identity.person("gus"), identity.person("hana")
        identity.join(there.storefront, gus)
        identity.join(there.storefront, hana, role="owner")
        grant = active_grant(there.ada, there.ben, subject=there.storefront)
        with pytest.raises(refusals.NotYoursToEnd):
            services.end_grant(public_id=grant.public_id, actor=gus, at=at)
        assert services.end_grant(public_id=grant.public_id, actor=hana, at=at).state == "handed_back"

    def test_it_ends_once(self, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben)
        services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
        with pytest.raises(refusals.GrantEnded):
            services.end_grant(public_id=grant.public_id, actor=there.ben, at=at)
        assert changed_messages(grant) == 3

    def test_the_row_is_locked_before_it_is_written(self, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben)
        with CaptureQueriesContext(connection) as captured:
            services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
        statements = [query["sql"] for query in captured if '"access_grant"' in query["sql"]]
        kinds = ["lock" if "FOR UPDATE" in sql else sql.split()[0] for sql in statements]
        assert kinds.index("lock") < kinds.index("UPDATE")

    @pytest.mark.django_db(transaction=True)
    def test_an_end_and_an_expiry_at_once_are_one_end(self, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben)
        assert grant.ends_at is not None
        moment = grant.ends_at
        together(
            lambda: services.end_grant(public_id=grant.public_id, actor=there.ada, at=moment),
            lambda: services.expire_due_grants(at=moment),
        )
        endings = Event.objects.filter(action__in=["access.grant.handed_back", "access.grant.expired"])
        assert endings.count() == 1


class TestExpiry:
    @pytest.mark.parametrize(
        ("before_the_end", "ended"),
        [(timedelta(seconds=1), 0), (timedelta(microseconds=1), 0), (timedelta(), 1), (-timedelta(seconds=1), 1)],
    )
    def test_the_end_itself_is_outside_the_window(self, before_the_end: timedelta, ended: int, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben, duration=HOUR)
        moment = at + timedelta(seconds=HOUR) - before_the_end
        assert services.expire_due_grants(at=moment) == ended
        grant.refresh_from_db()
        assert grant.state == ("expired" if ended else "active")
        if ended:
            assert (grant.ended_at, grant.ended_by) == (moment, None)
            assert door_states(grant) == {"edge": "closing", "mesh": "closing"}

    def test_a_second_sweep_finds_nothing(self, at: datetime) -> None:
        there = shop()
        grant = active_grant(there.ada, there.ben)
        moment = at + timedelta(days=1)
        assert [services.expire_due_grants(at=moment) for _ in range(2)] == [1, 0]
        assert changed_messages(grant) == 3

    def test_pending_and_standing_grants_do_not_run_out(self, at: datetime) -> None:
        there = shop()
        pending_grant(there.ada, there.ben)
        services.create_standing_grant(
            actor=SYSTEM, subject_key=there.cart.key, service_slug="payments", route_keys=["list"], at=at
        )
        assert services.expire_due_grants(at=at + timedelta(days=400)) == 0

    def test_a_limit_is_kept_and_the_soonest_goes_first(self, at: datetime) -> None:
        there = shop()
        long = active_grant(there.ada, there.ben, routes=("list",), duration=2 * HOUR)
        short = active_grant(there.ada, there.ben, routes=("read",), duration=HOUR)
        assert services.expire_due_grants(at=at + timedelta(days=1), limit=1) == 1
        assert Grant.objects.get(state="expired") == short
        assert Grant.objects.get(state="active") == long


class TestStanding:
    def test_it_has_no_end_and_opens_its_door(self, at: datetime) -> None:
        there = shop()
        grant = services.create_standing_grant(
            actor=SYSTEM, subject_key=there.cart.key, service_slug="payments", route_keys=["read", "list"], at=at
        )
        assert (grant.state, grant.duration, grant.request, grant.points) == ("pending", None, None, ["mesh"])
        assert door_states(grant) == {"mesh": "opening"}
        services.activate(grant_id=grant.public_id, at=at)
        grant.refresh_from_db()
        assert (grant.starts_at, grant.ends_at) == (at, None)

    def test_the_same_stands_once_and_again_after_its_end(self, at: datetime) -> None:
        there = shop()
        same = {"subject_key": there.cart.key, "service_slug": "payments", "route_keys": ["list"], "at": at}
        first = services.create_standing_grant(actor=SYSTEM, **same)
        with pytest.raises(refusals.AlreadyStanding):
            services.create_standing_grant(actor=SYSTEM, **same)
        services.end_grant(public_id=first.public_id, actor=there.ben, at=at)
        assert services.create_standing_grant(actor=SYSTEM, **same).public_id != first.public_id

    def test_only_security_and_administrators_set_it(self, at: datetime) -> None:
        there = shop()
        same = {"subject_key": there.cart.key, "service_slug": "payments", "route_keys": ["list"], "at": at}
        for actor in (there.ada, there.ben, there.bot):
            with pytest.raises(refusals.NotYoursToGovern):
                services.create_standing_grant(actor=actor.actor, **same)
        assert services.create_standing_grant(actor=there.cyd.actor, **same).subject == there.cart


def test_an_ended_grant_never_moves_again(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben)
    services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
    grant.refresh_from_db()
    for state in ("pending", "active", "expired", "revoked", "handed_back"):
        with pytest.raises(MoveRefused):
            move(grant, state)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"state": "lost"},
        {"state": "active"},
        {"state": "expired"},
        {"ended_at": datetime.fromisoformat("2026-03-02T09:00:00Z")},
        {"points": []},
        {"points": ["cellar"]},
        {"duration": 0},
    ],
)
def test_the_database_refuses_nonsense(nonsense: dict[str, object]) -> None:
    there = shop()
    grant = pending_grant(there.ada, there.ben)
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.filter(pk=grant.pk).update(**nonsense)
