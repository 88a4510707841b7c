"""Code on its way to production: by itself or by approval, stopped, failed, tried again, tidied. On a local edge."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.rollout.models import EdgeMove, RetiredVersion, Target
from apps.rollout.services import releasing, undoing
from apps.rollout.services.akamai import history, tidying
from apps.trust import services as trust
from apps.trust.models import Purpose, SigningKey
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn, shop: factory.Shop, hands: Hands) -> Target:
    make_target(edge_spec(standin.control, f"http://127.0.0.1:{standin.ports['data']}"))
    assert eventually(lambda: worked(hands).active_number > 0)
    return Target.objects.get()


def worked(hands: Hands) -> Target:
    Target.objects.filter(error="", to_approve="").update(retry_at=None)
    hands.work("edge")
    return Target.objects.get()


def new_code() -> None:
    """Another signing key is other code."""
    long_ago = now() - trust.LIFETIME[Purpose.BUNDLE]
    SigningKey.objects.filter(state__in=["active", "next"]).update(changed_at=long_ago, created_at=long_ago)
    assert trust.rotate_due(at=now()) > 0


def take(standin: StandIn, *, seconds: float) -> None:
    """Have activations take so long from now on."""
    standin.stop()
    config = standin.directory / "config.json"
    facts = {**json.loads(config.read_text()), "activation_delay": {"STAGING": seconds, "PRODUCTION": seconds}}
    config.write_text(json.dumps(facts))
    standin.start()


def live(standin: StandIn, target: Target, network: str = "PRODUCTION") -> str:
    path = f"/edgeworkers/v1/ids/{target.facts['edgeworker_id']}/activations"
    rows = standin.call("GET", path, params={"activeOnNetwork": "true", "network": network}).json()["activations"]
    return str(rows[0]["version"])


def test_code_waits_for_approval_and_grants_do_not(
    edge: Target, standin: StandIn, hands: Hands, shop: factory.Shop
) -> None:
    before = live(standin, edge)
    releasing.set_production(slug="edge", production="approved", actor=SYSTEM, at=now())
    new_code()
    waiting: str = eventually(lambda: worked(hands).to_approve)
    assert (live(standin, edge), live(standin, edge, "STAGING")) == (before, waiting)
    target = Target.objects.get()
    assert target.waiting_for == f"Version {waiting} is live on staging. An operator has to approve it for production."
    grant = grant_to(shop.ada, shop.ben)
    assert eventually(lambda: worked(hands) and doors(grant) == {"edge": "proven"})
    assert live(standin, edge) == before
    with pytest.raises(releasing.NothingToApprove):
        releasing.approve(slug="edge", version="another", actor=SYSTEM, at=now())
    releasing.approve(slug="edge", version=waiting, actor=SYSTEM, at=now())
    assert eventually(lambda: worked(hands).active_number == Target.objects.get().latest_number)
    assert live(standin, edge) == waiting
    assert Event.objects.filter(action="rollout.code.approved").count() == 1


def test_a_stopped_activation_stays_stopped_until_somebody_says_so(
    edge: Target, standin: StandIn, hands: Hands
) -> None:
    before = live(standin, edge)
    take(standin, seconds=60)
    new_code()
    hands.work("edge")
    assert history.estimate(history.latest(edge), "STAGING").of == 1, "what is under way is not counted"
    releasing.stop(slug="edge", actor=SYSTEM, at=now())
    target = worked(hands)
    assert (target.trouble, target.retry_at - target.error_at) == ("activation_cancelled", timedelta(minutes=5))
    hands.push(minutes=6)
    assert worked(hands).trouble == "activation_cancelled"
    assert live(standin, edge) == before
    with pytest.raises(releasing.TooLateToStop):
        releasing.stop(slug="edge", actor=SYSTEM, at=now())
    take(standin, seconds=0.05)
    releasing.try_again(slug="edge", actor=SYSTEM, at=now())
    assert eventually(lambda: worked(hands).active_number == Target.objects.get().latest_number)
    assert live(standin, edge) != before
    actions = Event.objects.filter(action__startswith="rollout.").order_by("pk").values_list("action", flat=True)
    assert list(actions)[-2:] == ["rollout.code.stopped", "rollout.tried_again"]


def test_a_failed_activation_is_told_waited_for_and_asked_for_again(
    edge: Target, standin: StandIn, hands: Hands
) -> None:
    standin.faults(activation_results=["ERROR"])
    new_code()
    assert eventually(lambda: worked(hands).trouble) == "activation_error"
    target = Target.objects.get()
    assert target.retry_at is not None and target.error_at is not None
    assert target.retry_at - target.error_at == timedelta(seconds=30)
    hands.push(seconds=31)
    assert eventually(lambda: worked(hands).active_number == Target.objects.get().latest_number)
    assert Target.objects.get().trouble == ""


def test_revoked_credentials_are_explained_and_nothing_is_lost(
    edge: Target, standin: StandIn, hands: Hands, shop: factory.Shop
) -> None:
    rule = {"method": "*", "path": "/edge.*", "error": "credential_refused", "times": 1000}
    standin.faults(rules=[rule])
    grant = grant_to(shop.ada, shop.ben)
    hands.work("edge")
    target = Target.objects.get()
    assert (target.trouble, target.retry_at - target.error_at) == ("credential_refused", timedelta(minutes=5))
    standin.faults()
    releasing.try_again(slug="edge", actor=SYSTEM, at=now())
    assert eventually(lambda: worked(hands) and doors(grant) == {"edge": "proven"})


def test_how_long_it_takes_is_told_from_what_it_took(edge: Target) -> None:
    moves = history.latest(edge)
    assert {(move.network, move.status) for move in moves} >= {("STAGING", "COMPLETE")}
    began = now()
    rows = [
        EdgeMove(network="PRODUCTION", status="COMPLETE", asked_at=began, changed_at=began + timedelta(seconds=seconds))
        for seconds in (60, 240, 250, 260, 900)
    ]
    found = history.estimate(rows, "PRODUCTION")
    assert (found.half, found.most, found.of) == (250.0, 644.0, 5)
    assert found.words == "usually 4 minutes, nine in ten within 11 minutes (the last 5 here)"
    assert history.estimate(rows[:1], "PRODUCTION").words == "60 seconds, the one time it was seen here"
    assert history.estimate([], "STAGING").words == ("about 5 minutes, by Akamai's own word: none was seen here yet")


def test_old_versions_go_and_their_names_are_never_used_again(edge: Target, standin: StandIn, hands: Hands) -> None:
    first = live(standin, edge)
    worker = edge.facts["edgeworker_id"]
    for number in range(3):
        standin.upload(worker, f"old-{number}", "export function onClientRequest(request) {}")
    new_code()
    assert eventually(lambda: worked(hands).active_number == Target.objects.get().latest_number)
    gone = tidying.tidy(target=Target.objects.get(), at=now(), keep=1)
    assert gone == (first, "old-0", "old-1", "old-2")
    left = standin.call("GET", f"/edgeworkers/v1/ids/{worker}/versions").json()["versions"]
    assert [row["version"] for row in left] == [live(standin, edge)]
    assert RetiredVersion.objects.count() == 4
    undoing.roll_back_code(slug="edge", number=1, actor=SYSTEM, at=now())
    assert eventually(lambda: worked(hands).active_number == Target.objects.get().latest_number)
    assert live(standin, edge) == f"{first[:27]}-r1"
    assert tidying.tidy(target=Target.objects.get(), at=now(), keep=20) == ()


def test_versions_of_somebody_else_stay_on_an_edgeworker_that_was_chosen(edge: Target, standin: StandIn) -> None:
    """A deleted version's name can never be used again there."""
    for number in range(3):
        standin.upload(edge.facts["edgeworker_id"], f"theirs-{number}", "export function onClientRequest(request) {}")
    edge.config = {**edge.config, "edgeworker_id": edge.facts["edgeworker_id"]}
    edge.save(update_fields=["config"])
    assert tidying.tidy(target=edge, at=now(), keep=1) == ()
    assert not RetiredVersion.objects.exists()
