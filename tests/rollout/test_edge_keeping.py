"""Drift, undo, supersession and restarts, on a really running local edge."""

from __future__ import annotations

import pytest
import requests

from apps.access import services as access
from apps.audit.actors import SYSTEM, Actor
from apps.audit.models import Event
from apps.rollout.drivers.base import StalePlan
from apps.rollout.models import Activation, Drift, PendingChange, Probe, Release, Revision, Target, TargetArtifact
from apps.rollout.services import adopting, drifting, driving, moving, reconciling, undoing
from apps.trust import services as trust
from apps.trust.models import Purpose, SigningKey
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn, shop: factory.Shop, hands: Hands) -> Target:
    make_target(edge_spec(standin.control, f"http://127.0.0.1:{standin.ports['data']}"))
    settle(hands)
    return Target.objects.get()


def settle(hands: Hands) -> None:
    """Work until the newest revision is in force."""

    def there() -> bool:
        hands.work("edge")
        target = Target.objects.get()
        return target.latest_number > 0 and target.active_number == target.latest_number and not opened()

    eventually(there)


def opened() -> bool:
    return Activation.objects.filter(state__in=["pending", "applying"]).exists()


def live_version(standin: StandIn, target: Target) -> str:
    path = f"/edgeworkers/v1/ids/{target.facts['edgeworker_id']}/activations"
    rows = standin.call("GET", path, params={"activeOnNetwork": "true", "network": "PRODUCTION"}).json()["activations"]
    return str(rows[0]["version"])


def rotate(hands: Hands) -> None:
    """Another signing key: the only way here to other code."""
    long_ago = now() - trust.LIFETIME[Purpose.BUNDLE]
    SigningKey.objects.filter(state__in=["active", "next"]).update(changed_at=long_ago, created_at=long_ago)
    assert trust.rotate_due(at=now()) > 0
    settle(hands)


def test_what_is_as_it_should_be_is_no_drift(edge: Target) -> None:
    assert drifting.observe(slug="edge", at=now(), everything=True) == 0
    assert Drift.objects.count() == 0


def test_a_changed_item_is_found_and_put_back(edge: Target, standin: StandIn, hands: Hands) -> None:
    before = standin.item("GET", "payments").text
    standin.item("PUT", "payments", '{"v":1,"everybody":"welcome"}')
    assert drifting.observe(slug="edge", at=now(), everything=True) == 1
    drift = Drift.objects.get()
    assert (drift.path, drift.detail) == ("services/payments", "The item was changed.")
    drifting.put_back(drift_id=drift.pk, actor=SYSTEM, at=now())
    settle(hands)
    assert standin.item("GET", "payments").json() == requests.models.complexjson.loads(before)
    drifting.observe(slug="edge", at=now(), everything=True)
    drift.refresh_from_db()
    assert drift.resolved_at is not None
    assert Event.objects.filter(action="rollout.drift.put_back").count() == 1


def test_a_deleted_item_is_found_and_put_back(edge: Target, standin: StandIn, hands: Hands) -> None:
    standin.item("DELETE", "payments")
    drifting.observe(slug="edge", at=now(), everything=True)
    drift = Drift.objects.get()
    assert (drift.observed, drift.detail) == ("", "The item is gone.")
    drifting.put_back(drift_id=drift.pk, actor=SYSTEM, at=now())
    settle(hands)
    assert standin.item("GET", "payments").status_code == 200


def test_an_item_nobody_made_is_found_and_removed(edge: Target, standin: StandIn, hands: Hands) -> None:
    standin.item("PUT", "stranger", '{"v":1}')
    drifting.observe(slug="edge", at=now(), everything=True)
    drift = Drift.objects.get()
    assert (drift.path, drift.expected, drift.observed) == ("services/stranger", "", "present")
    drifting.put_back(drift_id=drift.pk, actor=SYSTEM, at=now())
    settle(hands)
    assert standin.item("GET", "stranger").status_code == 404
    drifting.observe(slug="edge", at=now(), everything=True)
    assert not Drift.objects.filter(resolved_at=None).exists()


def test_other_code_is_found_and_put_back(edge: Target, standin: StandIn, hands: Hands) -> None:
    ours = live_version(standin, edge)
    ew_id = edge.facts["edgeworker_id"]
    standin.upload(ew_id, "intruder", "export function onClientRequest(request) {}")
    assert standin.activate(ew_id, "intruder") == "COMPLETE"
    drifting.observe(slug="edge", at=now())
    drift = Drift.objects.get()
    assert (drift.path, drift.expected, drift.observed) == ("code", ours, "intruder")
    drifting.put_back(drift_id=drift.pk, actor=SYSTEM, at=now())
    settle(hands)
    assert live_version(standin, edge) == ours


def test_drift_that_went_away_is_closed(edge: Target, standin: StandIn) -> None:
    before = standin.item("GET", "payments").text
    standin.item("PUT", "payments", "{}")
    drifting.observe(slug="edge", at=now())
    standin.item("PUT", "payments", before)
    drifting.observe(slug="edge", at=now())
    assert Drift.objects.get().resolution == "It is right again."


def test_a_new_key_becomes_new_code_and_the_old_code_can_be_put_back(
    edge: Target, standin: StandIn, hands: Hands, shop: factory.Shop
) -> None:
    first = live_version(standin, edge)
    rotate(hands)
    assert live_version(standin, edge) != first
    made = undoing.roll_back_code(slug="edge", number=1, actor=SYSTEM, at=now())
    assert made.rehearsed > 0
    settle(hands)
    assert live_version(standin, edge) == first
    assert Event.objects.filter(action="rollout.code.rolled_back").count() == 1


def test_code_that_no_longer_believes_our_tokens_is_not_put_back(edge: Target, hands: Hands) -> None:
    rotate(hands)
    rotate(hands)
    SigningKey.objects.filter(purpose=Purpose.EDGE_TOKEN, state="active").update(kid="another-key")
    with pytest.raises(undoing.UnsafeCode, match="unknown_key"):
        undoing.roll_back_code(slug="edge", number=1, actor=SYSTEM, at=now())


def test_the_code_it_has_is_not_undone(edge: Target) -> None:
    with pytest.raises(undoing.NothingToUndo):
        undoing.roll_back_code(slug="edge", number=1, actor=SYSTEM, at=now())


def test_a_plan_that_was_overtaken_is_refused(edge: Target, shop: factory.Shop, hands: Hands, standin: StandIn) -> None:
    before = standin.item("GET", "payments").text
    revision = Revision.objects.get()
    Activation.objects.update(state="applying")
    TargetArtifact.objects.filter(path="services/payments").update(applied_sha256="x")
    target = Target.objects.get()
    with driving.akamai_driver(target) as driver:
        plan = driver.plan(driving.desired(target, revision), driving.believed(target, now()))
    TargetArtifact.objects.filter(path="services/payments").update(applied_sha256="y")
    with pytest.raises(StalePlan):
        moving.begin(Activation.objects.get(), plan, now())
    Target.objects.update(latest_number=7)
    with pytest.raises(StalePlan):
        moving.begin(Activation.objects.get(), plan, now())
    assert standin.item("GET", "payments").text == before


def test_a_newer_revision_takes_the_probes_along(
    edge: Target, shop: factory.Shop, hands: Hands, standin: StandIn
) -> None:
    standin.kill()
    grant = grant_to(shop.ada, shop.ben)
    hands.work("edge")
    second = grant_to(shop.bea, shop.ben, routes=("list",))
    hands.work("edge")
    assert [row.error for row in PendingChange.objects.all()] == []
    assert list(Activation.objects.order_by("pk").values_list("state", flat=True)[1:]) == ["superseded", "applying"]
    assert set(Probe.objects.values_list("activation__state", flat=True)) == {"applying"}
    assert "no answer" in Target.objects.get().error
    grant.refresh_from_db()
    assert "no answer" in grant.error
    standin.start()

    def proven() -> bool:
        Target.objects.update(retry_at=None)
        hands.work("edge")
        return doors(grant) == doors(second) == {"edge": "proven"}

    eventually(proven)
    grant.refresh_from_db()
    assert (grant.error, Target.objects.get().error) == ("", "")


def test_dying_after_the_vendor_took_it_loses_nothing(
    edge: Target, shop: factory.Shop, hands: Hands, standin: StandIn
) -> None:
    """The item is written, then everything of ours is forgotten as if we had been killed before noting it."""
    grant = grant_to(shop.ada, shop.ben)
    hands.deliver()
    target = Target.objects.get()
    assert reconciling.compiling.prepare(target=target, at=now())
    activation = Activation.objects.order_by("-pk")[0]
    with driving.akamai_driver(target) as driver:
        plan = driver.plan(driving.desired(target, activation.revision), driving.believed(target, now()))
        assert driver.apply(plan).done

    def proven() -> bool:
        hands.work("edge")
        return doors(grant) == {"edge": "proven"}

    eventually(proven)
    grant.refresh_from_db()
    assert grant.state == "active"
    assert Event.objects.filter(action="access.grant.activated").count() == 1


def test_what_may_have_been_written_is_taken_back_though_it_was_overtaken(
    edge: Target, shop: factory.Shop, hands: Hands, standin: StandIn
) -> None:
    """Akamai takes the item and its answer says otherwise; the grant ends before that is tried again."""
    before = standin.item("GET", "payments").text
    standin.faults(
        rules=[{"method": "PUT", "path": ".*/networks/production/.*", "status": 503, "times": 1000, "after": True}]
    )
    grant = grant_to(shop.ada, shop.ben)
    hands.work("edge")
    assert standin.item("GET", "payments").text != before
    access.end_grant(public_id=grant.public_id, actor=shop.ada, at=now())
    hands.work("edge")
    standin.faults()
    Target.objects.update(retry_at=None)
    settle(hands)
    assert standin.item("GET", "payments").text == before


def test_a_vendor_that_throttles_is_shown_and_tried_again(
    edge: Target, shop: factory.Shop, hands: Hands, standin: StandIn
) -> None:
    standin.faults(rules=[{"method": "PUT", "path": ".*/items/.*", "status": 429, "times": 1000}])
    grant = grant_to(shop.ada, shop.ben)
    hands.work("edge")
    assert "429" in Target.objects.get().error
    grant.refresh_from_db()
    assert "429" in grant.error
    standin.faults()

    def proven() -> bool:
        hands.work("edge")
        return doors(grant) == {"edge": "proven"}

    eventually(proven)


def test_what_somebody_wrote_into_an_item_is_shown_as_a_diff_and_never_taken_over(
    edge: Target, standin: StandIn
) -> None:
    standin.item("PUT", "payments", '{"v":1,"everybody":"welcome"}')
    standin.item("PUT", "stranger", '{"v":1}')
    drifting.observe(slug="edge", at=now(), everything=True)
    changed, stranger = Drift.objects.order_by("path")
    assert '+  "everybody": "welcome",' in changed.diff.splitlines()
    assert '+  "v": 1' in stranger.diff
    for drift in (changed, stranger):
        assert drift.opens
        with pytest.raises(adopting.NotSafeToAdopt, match="Only an approved grant opens a door"):
            adopting.adopt(drift_id=drift.pk, actor=OLGA, at=now())


def test_an_item_that_is_gone_shuts_a_door_and_is_put_back_or_its_grants_end(edge: Target, standin: StandIn) -> None:
    standin.item("DELETE", "payments")
    drifting.observe(slug="edge", at=now(), everything=True)
    drift = Drift.objects.get()
    assert (drift.opens, drift.why_not.startswith("The access it stands for is still approved")) == (False, True)


def test_our_own_older_code_may_be_adopted_and_foreign_code_may_not(
    edge: Target, standin: StandIn, hands: Hands
) -> None:
    first = live_version(standin, edge)
    Release.objects.update(state="good")
    rotate(hands)
    ew_id = edge.facts["edgeworker_id"]
    assert standin.activate(ew_id, first) == "COMPLETE"
    drifting.observe(slug="edge", at=now())
    drift = Drift.objects.get()
    assert (drift.observed, drift.opens, drift.why_not) == (first, False, "")
    adopting.adopt(drift_id=drift.pk, actor=OLGA, at=now())
    settle(hands)
    drifting.observe(slug="edge", at=now())
    assert not Drift.objects.filter(resolved_at=None).exists()
    assert live_version(standin, edge) == first
    standin.upload(ew_id, "intruder", "export function onClientRequest(request) {}")
    assert standin.activate(ew_id, "intruder") == "COMPLETE"
    drifting.observe(slug="edge", at=now())
    intruder = Drift.objects.get(resolved_at=None)
    assert intruder.opens
    with pytest.raises(adopting.NotSafeToAdopt, match="nobody knows what it lets through"):
        adopting.adopt(drift_id=intruder.pk, actor=OLGA, at=now())
