"""Code that is not good on production is taken back: once, by itself, and then a person is needed."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.rollout.models import Release, Target
from apps.rollout.services import releases, releasing, undoing, watching
from apps.rollout.services.watched import Counts, watches
from apps.telemetry import watching as telemetry
from apps.telemetry.models import Call
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.code import BROKEN, asked_for, end_the_watch, live, make_edge, new_code, newest, worked
from tests.rollout.world import Hands, now

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(autouse=True)
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn) -> Target:
    return make_edge(standin)


def release_and_break(standin: StandIn, hands: Hands) -> Release:
    """It passes on staging; while it waits for approval production breaks, and it goes there."""
    releasing.set_production(slug="edge", production="approved", actor=SYSTEM, at=now())
    new_code()
    version: str = eventually(lambda: worked(hands).to_approve)
    assert newest().before == []
    standin.item("PUT", "payments", BROKEN)
    releasing.approve(slug="edge", version=version, actor=SYSTEM, at=now())
    assert eventually(lambda: worked(hands) and newest().state == "watched" and newest().tries)
    return newest()


def lose_patience(hands: Hands) -> None:
    for _ in range(8):
        hands.push(seconds=31)
        worked(hands)


def test_code_that_fails_on_production_is_taken_back_to_the_last_good_version(
    edge: Target, standin: StandIn, hands: Hands
) -> None:
    good = live(standin)
    bad = release_and_break(standin, hands)
    text = standin.item("GET", "payments", network="staging").text
    lose_patience(hands)
    bad.refresh_from_db()
    assert bad.state == "taken_back"
    assert releases.held_versions(edge) == {bad.version: "code_taken_back"}
    assert bad.words.startswith("On production, ")
    assert bad.words.endswith(f"Version {good} was put back.")
    back = newest()
    assert (back.version, back.straight, back.instead_of, back.asked_by) == (good, True, bad, "Sallyport")
    standin.item("PUT", "payments", text)
    fresh = Hands()
    Release.objects.exclude(due_at=None).update(due_at=now())  # the clock was pushed until now
    assert eventually(lambda: worked(fresh) and newest().proven_at)
    assert live(standin) == good, "production comes first, for that is where it fails"
    assert eventually(lambda: worked(fresh) and live(standin, "STAGING") == good)
    assert Target.objects.get().to_approve == ""
    event = Event.objects.get(action="rollout.code.taken_back")
    assert (event.actor_id, event.after["version"], event.after["put_back"]) == ("system", bad.version, good)


def test_what_was_put_back_is_never_taken_back_itself(edge: Target, standin: StandIn, hands: Hands) -> None:
    bad = release_and_break(standin, hands)
    lose_patience(hands)
    eventually(lambda: worked(hands) and newest().state == "watched")
    lose_patience(hands)
    back = newest()
    assert (back.instead_of_id, back.state) == (bad.pk, "stuck")
    assert releases.held_versions(edge) == {bad.version: "code_taken_back", back.version: "code_not_good"}
    assert "It was put back itself, so nothing further is done without a person." in back.words
    moves = asked_for(standin, "PRODUCTION")
    lose_patience(hands)
    assert asked_for(standin, "PRODUCTION") == moves
    assert Event.objects.filter(action="rollout.code.taken_back").count() == 1


def test_a_person_may_ask_again_what_is_stuck(edge: Target, standin: StandIn, hands: Hands) -> None:
    release_and_break(standin, hands)
    text = standin.item("GET", "payments", network="staging").text
    lose_patience(hands)
    eventually(lambda: worked(hands) and newest().state == "watched")
    lose_patience(hands)
    assert newest().state == "stuck"
    standin.item("PUT", "payments", text)
    releasing.try_again(slug="edge", actor=SYSTEM, at=now())
    fresh = Hands()
    eventually(lambda: worked(fresh) and newest().proven_at)
    end_the_watch()
    assert newest().state == "good"


def test_a_failure_that_was_there_before_is_no_reason_to_go_back(edge: Target, standin: StandIn, hands: Hands) -> None:
    standin.item("PUT", "payments", BROKEN)
    new_code()
    assert eventually(lambda: worked(hands) and newest().state == "watched" and newest().tries)
    assert newest().before != []
    lose_patience(hands)
    assert newest().state == "stuck"
    assert "The same calls failed before it came, so older code would not help." in newest().words
    assert Event.objects.filter(action="rollout.code.taken_back").count() == 0


def test_taking_back_can_be_switched_off(standin: StandIn, hands: Hands) -> None:
    make_edge(standin, take_back=False)
    bad = release_and_break(standin, hands)
    lose_patience(hands)
    bad.refresh_from_db()
    assert (bad.state, live(standin)) == ("stuck", bad.version)
    assert "switched off" in bad.words


def watched(hands: Hands) -> Release:
    new_code()
    eventually(lambda: worked(hands) and newest().state == "watched" and newest().proven_at)
    return newest()


def test_a_rise_of_the_edges_own_errors_takes_it_back(edge: Target, standin: StandIn, hands: Hands) -> None:
    good, bad = live(standin), watched(hands)
    told = watching.heard(release_id=bad.pk, before=Counts(400, 4), after=Counts(100, 7), at=now())
    assert told == "edge"
    eventually(lambda: worked(hands) and live(standin) == good)
    bad.refresh_from_db()
    assert (bad.state, bad.counts) == ("taken_back", {"before": [400, 4], "after": [100, 7]})
    assert bad.words == (
        "The edge answered more calls with an error of its own: 7 of 100 calls (7.0 %) after it came, 4 of 400 calls"
        f" (1.0 %) before. Version {good} was put back."
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Counts(400, 4), Counts(100, 6)),  # five more in a hundred are allowed
        (Counts(0, 0), Counts(19, 19)),  # too few to say anything
        (Counts(100, 50), Counts(100, 50)),  # as bad as before
    ],
)
def test_a_share_that_says_nothing_changes_nothing(
    edge: Target, standin: StandIn, hands: Hands, before: Counts, after: Counts
) -> None:
    release = watched(hands)
    assert watching.heard(release_id=release.pk, before=before, after=after, at=now()) is None
    worked(hands)
    release.refresh_from_db()
    assert (release.state, live(standin)) == ("watched", release.version)


def call(at_offset: float, status: int, *points: str, **more: object) -> None:
    at = newest().production_at
    assert at is not None
    edge = {"status": status, "node": "edge-local", **more}
    Call.objects.create(
        rid=uuid4(),
        first_at=at + timedelta(seconds=at_offset),
        host="api.shop.localhost",
        verdict="allow",
        reason="granted",
        status=status,
        ms=1,
        doors={"edge": edge, **{point: {"status": status} for point in points}},
    )


def test_telemetry_counts_the_edges_own_errors_before_and_after(edge: Target, hands: Hands) -> None:
    watched(hands)
    call(-5, 200, "ingress")
    call(-4, 503)
    call(-700, 503)  # before the window
    call(0.5, 500, "ingress", "sidecar")  # the application's own
    call(0.6, 503)
    call(0.7, 503, node="edge-local:staging")
    (one,) = watches(now() + timedelta(seconds=30))
    assert telemetry.edge_counts(one.hosts, one.since, one.came_at) == Counts(2, 1)
    assert telemetry.edge_counts(one.hosts, one.came_at, one.until) == Counts(2, 1)
    assert telemetry.tell_releases(at=now() + timedelta(seconds=30)) == []
    assert newest().counts == {"before": [2, 1], "after": [2, 1]}


def test_what_was_taken_back_does_not_come_again_by_itself(edge: Target, standin: StandIn, hands: Hands) -> None:
    good, bad = live(standin), watched(hands)
    watching.heard(release_id=bad.pk, before=Counts(100, 0), after=Counts(100, 50), at=now())
    eventually(lambda: worked(hands) and live(standin) == good)
    undoing.roll_back_code(slug="edge", number=bad.number, actor=SYSTEM, at=now())
    eventually(lambda: worked(hands) and newest().proven_at and newest().version == bad.version)
    assert live(standin) == bad.version, "a person may"


def test_one_click_puts_an_older_good_version_straight_on_production(
    edge: Target, standin: StandIn, hands: Hands
) -> None:
    first, second = live(standin), watched(hands)
    releasing.set_production(slug="edge", production="approved", actor=SYSTEM, at=now())
    undoing.roll_back_code(slug="edge", number=1, actor=SYSTEM, at=now())
    eventually(lambda: worked(hands) and live(standin) == first)
    second.refresh_from_db()
    assert (second.state, newest().straight, newest().version) == ("overtaken", True, first)
