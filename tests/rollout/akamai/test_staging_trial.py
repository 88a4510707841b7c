"""New code is called on staging before production is asked for, on a really running local edge with both networks."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.rollout.models import Release, Target
from apps.rollout.services import releasing
from apps.rollout.services.safety import Safety, set_safety
from apps.rollout.services.targets import BadTarget
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.code import BROKEN, asked_for, live, make_edge, new_code, newest, worked
from tests.rollout.world import Hands, doors, grant_to, now

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn, shop: factory.Shop) -> Target:
    return make_edge(standin)


def test_the_same_calls_are_made_on_staging_and_on_production(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    grant = grant_to(shop.ada, shop.ben, at=now() - timedelta(minutes=5))
    assert eventually(lambda: worked(hands) and doors(grant) == {"edge": "proven"})
    new_code()
    assert eventually(lambda: worked(hands) and newest().proven_at)
    release = newest()
    called = [(one["call"], one["expected"], one["answered"], one["good"]) for one in release.staging]
    assert ("POST api.shop.localhost/payments/refunds as person:ada", *["allow (granted)"] * 2, True) in called
    assert any(row[1:] == ("deny (no_token)", "deny (no_token)", True) for row in called)
    assert any(row[1:] == ("deny (no_grant)", "deny (no_grant)", True) for row in called)
    assert release.production == release.staging
    assert (release.state, live(standin)) == ("watched", release.version)
    assert release.tried_at is not None and release.production_at is not None
    assert release.tried_at <= release.production_at
    assert release.watch_until == release.production_at + timedelta(minutes=10)


def refuse(standin: StandIn, hands: Hands) -> Release:
    """The item on staging is not what the code expects, so what is granted is refused there."""
    standin.item("PUT", "payments", BROKEN, network="staging")
    new_code()
    assert eventually(lambda: worked(hands) and newest().tries)
    for _ in range(8):
        hands.push(seconds=31)
        worked(hands)
    return newest()


def test_code_that_fails_on_staging_never_reaches_production_and_grants_still_travel(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    before = live(standin)
    refused = refuse(standin, hands)
    assert refused.state == "refused"
    assert refused.words.startswith("On staging, ")
    assert "instead of deny (no_grant)" in refused.words
    assert refused.words.endswith("It was not asked for on production.")
    assert live(standin, "STAGING") == refused.version
    assert (live(standin), refused.version in asked_for(standin, "PRODUCTION")) == (before, False)
    target = Target.objects.get()
    assert target.trouble == "staging_refused"
    event = Event.objects.get(action="rollout.code.refused")
    assert (event.after["version"], event.after["why"]) == (refused.version, refused.words)
    fresh = Hands()
    grant = grant_to(shop.ada, shop.ben)
    releasing.try_again(slug="edge", actor=SYSTEM, at=now())
    assert eventually(lambda: worked(fresh) and doors(grant) == {"edge": "proven"})


def test_it_stays_refused_until_a_person_says_once_more(edge: Target, standin: StandIn, hands: Hands) -> None:
    refused = refuse(standin, hands)
    hands.push(minutes=6)
    worked(hands)
    assert (Release.objects.count(), Target.objects.get().trouble) == (2, "staging_refused")
    standin.item("PUT", "payments", standin.item("GET", "payments").text, network="staging")
    releasing.try_again(slug="edge", actor=SYSTEM, at=now())
    fresh = Hands()
    assert eventually(lambda: worked(fresh) and newest().proven_at)
    assert (newest().version, newest().pk > refused.pk, live(standin)) == (refused.version, True, refused.version)


def test_without_a_way_into_staging_it_is_said_that_nothing_was_called(
    edge: Target, standin: StandIn, hands: Hands
) -> None:
    set_safety(slug="edge", wish=Safety(), actor=SYSTEM, at=now())
    new_code()
    assert eventually(lambda: worked(hands) and newest().production_at)
    assert (newest().staging, newest().tried_at is not None) == ([], True)
    assert newest().words == "It was not tried on staging: no way into the staging network is set."


def test_approval_is_asked_for_only_after_the_trial(edge: Target, standin: StandIn, hands: Hands) -> None:
    releasing.set_production(slug="edge", production="approved", actor=SYSTEM, at=now())
    refused = refuse(standin, hands)
    assert (refused.state, Target.objects.get().to_approve) == ("refused", "")


@pytest.mark.parametrize(
    "entry", ["http://intranet.example.com/", "https://edge.test/x", "bad host", "http://10.0.0.1:80"]
)
def test_only_a_host_or_an_address_of_this_machine_is_an_entry(edge: Target, entry: str) -> None:
    with pytest.raises(BadTarget) as refused:
        set_safety(slug="edge", wish=Safety(staging_entry=entry), actor=SYSTEM, at=now())
    assert list(refused.value.fields) == ["staging_entry"]


def test_how_careful_it_is_is_on_the_record(edge: Target) -> None:
    wish = Safety("api.shop.test.edgekey-staging.net", take_back=False, error_share=10, watch_minutes=30)
    set_safety(slug="edge", wish=wish, actor=SYSTEM, at=now())
    set_safety(slug="edge", wish=wish, actor=SYSTEM, at=now())
    event = Event.objects.get(action="rollout.safety.changed")
    assert (event.before["watch_minutes"], event.after["watch_minutes"]) == (10, 30)


def test_what_is_behind_the_edge_may_be_down_without_holding_up_code(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    """The call that is granted gets no answer, here as on production; the calls to be refused are refused."""
    grant = grant_to(shop.ada, shop.ben)
    assert eventually(lambda: worked(hands) and doors(grant) == {"edge": "proven"})
    standin.stop()
    config = standin.directory / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "origin": "https://127.0.0.1:9"}))
    standin.start()
    new_code()
    assert eventually(lambda: worked(hands) and newest().tries)
    for _ in range(8):
        Release.objects.exclude(due_at=None).update(due_at=now())  # a pushed clock would make tokens of the future
        worked(hands)
    assert eventually(lambda: worked(hands) and newest().production_at)
    silent = [one["call"] for one in newest().staging if not one["said"]]
    assert silent == newest().before == ["POST api.shop.localhost/payments/refunds as person:ada"]


def test_silence_is_no_wrong_answer_yet(edge: Target, standin: StandIn, hands: Hands) -> None:
    """What is behind the edge, or the way to staging, may be down for a moment."""
    entry = Safety(staging_entry="http://127.0.0.1:1")
    set_safety(slug="edge", wish=entry, actor=SYSTEM, at=now())
    before = live(standin)
    new_code()
    assert eventually(lambda: worked(hands) and newest().tries)
    for _ in range(10):
        hands.push(seconds=31)
        worked(hands)
    assert (newest().state, live(standin)) == ("staging", before)
    assert {one["said"] for one in newest().staging} == {False}
    for _ in range(10):
        hands.push(seconds=31)
        worked(hands)
    assert (newest().state, live(standin)) == ("refused", before)
