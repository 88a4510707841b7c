"""EdgeKV answers from before for some seconds: whoever waits reads so, and no door is called failing meanwhile."""

from __future__ import annotations

import pytest

from apps.access import services as access
from apps.access.models import Grant, GrantDoor
from apps.rollout.models import Probe, Target
from apps.rollout.services.proving import spreads_within
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.code import make_edge, worked
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

pytestmark = pytest.mark.django_db

WORDS = (
    "Edge has revision {number}."
    " Akamai spreads it within about 10 seconds, sometimes more; it is tried until it is seen."
)


def waited(hands: Hands) -> None:
    """Four tries within four seconds."""
    for _ in range(4):
        hands.push(seconds=1)
        hands.work("edge")


def told(grant: Grant) -> tuple[str, str]:
    door = GrantDoor.objects.get(grant=grant)
    return door.state, door.detail


def words() -> str:
    return WORDS.format(number=Target.objects.get().latest_number)


def test_a_door_is_given_the_time_akamai_says_it_takes(standin: StandIn) -> None:
    shop, target, hands = factory.shop(), make_edge(standin), Hands()
    Target.objects.update(config={**target.config, "edgekv_spreads_within": 10})
    standin.faults(edgekv_read={"status": 503})
    grant = grant_to(shop.ada, shop.ben)
    waited(hands)
    assert told(grant) == ("open", words())
    hands.push(seconds=30)
    hands.work("edge")
    assert told(grant)[0] == "failing"
    standin.faults()
    eventually(lambda: asked_at_once() and doors(grant) == {"edge": "proven"})
    standin.faults(edgekv_read={"status": 503})
    access.end_grant(public_id=grant.public_id, actor=shop.ada, at=now(), why="done")
    waited(hands)
    assert told(grant) == ("closing", words())


def asked_at_once() -> Target:
    Probe.objects.update(due_at=now())
    return worked(Hands())


def test_an_edge_far_away_takes_ten_seconds_unless_somebody_knows_better() -> None:
    factory.environment()
    target = make_target(edge_spec())
    assert spreads_within(target) == 0, "an edge on this machine"
    target.config = {"base_url": "https://akab-x.luna.akamaiapis.net"}
    assert spreads_within(target) == 10
    target.config["edgekv_spreads_within"] = 25
    assert spreads_within(target) == 25
