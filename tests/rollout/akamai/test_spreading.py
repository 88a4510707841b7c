"""EdgeKV answers from before for some seconds: whoever waits reads so, and no door is called failing meanwhile."""

from __future__ import annotations

import pytest

from apps.access import services as access
from apps.access.models import Grant, GrantDoor
from apps.rollout.models import Probe, Target
from apps.rollout.services.proving import PATIENCE, spreads_within
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.code import make_edge, worked
from tests.rollout.akamai.test_edge_tokens import configure
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

pytestmark = pytest.mark.django_db

WORDS = (
    "Edge has revision {number}."
    " Akamai spreads it within about 600 seconds, sometimes more; it is tried until it is seen."
)


def asked_often() -> None:
    """More often than it takes to call a door failing that has no time to wait for."""
    worked(Hands())
    for _ in range(PATIENCE):
        Probe.objects.update(due_at=now())
        worked(Hands())
    assert Probe.objects.latest("pk").attempts >= PATIENCE


def told(grant: Grant) -> tuple[str, str]:
    door = GrantDoor.objects.get(grant=grant)
    return door.state, door.detail


def words() -> str:
    return WORDS.format(number=Target.objects.get().latest_number)


def test_a_door_is_given_the_time_akamai_says_it_takes(standin: StandIn) -> None:
    shop, target = factory.shop(), make_edge(standin)
    Target.objects.update(config={**target.config, "edgekv_spreads_within": 600})
    first = grant_to(shop.ada, shop.ben)
    eventually(lambda: worked(Hands()) and doors(first) == {"edge": "proven"})
    configure(standin, kv_delay=3600)
    access.end_grant(public_id=first.public_id, actor=shop.ada, at=now(), why="done")
    asked_often()
    assert told(first) == ("closing", words())
    second = grant_to(shop.dan, shop.ben)
    asked_often()
    assert told(second) == ("open", words())
    later = Hands()
    later.push(seconds=700)
    later.work("edge")
    assert told(second)[0] == "failing"


def test_an_edge_far_away_takes_ten_seconds_unless_somebody_knows_better() -> None:
    factory.environment()
    target = make_target(edge_spec())
    assert spreads_within(target) == 0, "an edge on this machine"
    target.config = {"base_url": "https://akab-x.luna.akamaiapis.net"}
    assert spreads_within(target) == 10
    target.config["edgekv_spreads_within"] = 25
    assert spreads_within(target) == 25
