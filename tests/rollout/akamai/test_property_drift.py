"""A property changed by hand: seen, an alarm where it leaves a door open, put back or adopted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.audit.actors import Actor
from apps.audit.models import Event
from apps.rollout.drivers.akamai.rules import RULE_NAME, hosts_of
from apps.rollout.models import Activation, Drift, PropertyChange, Target
from apps.rollout.selectors import list_alarms
from apps.rollout.services import adopting, drifting, moving
from tests.factories import access as factory
from tests.factories import identity as people
from tests.factories.pages import signed_in
from tests.localedge.standin import StandIn
from tests.rollout.akamai.test_attaching import (
    HOST,
    OLGA,
    ONE,
    accept,
    activate_by_hand,
    agree,
    bring,
    configure,
    live,
    work,
    write_by_hand,
)
from tests.rollout.world import Hands, edge_spec, make_target

pytestmark = pytest.mark.django_db

OTHER = "www.shop.localhost"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(autouse=True)
def attached(standin: StandIn, hands: Hands) -> Target:
    factory.shop()
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=datetime.now(UTC))
    bring(hands)
    return Target.objects.get()


def two_hosts(standin: StandIn, hands: Hands) -> None:
    configure(standin, hostnames=[HOST, OTHER])
    bring(hands, OTHER)


def planned(hands: Hands, drift: Drift) -> PropertyChange:
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=hands.clock())
    return work(PropertyChange.objects.order_by("-pk")[0], hands)


def narrow(rules: dict[str, Any]) -> None:
    rules["children"][-1]["criteria"][0]["options"]["values"] = [OTHER]


def drop_ours(rules: dict[str, Any]) -> None:
    rules["children"].pop()


@pytest.mark.parametrize("change", [narrow, drop_ours], ids=["narrowed", "gone"])
def test_every_host_comes_back_into_the_rule(
    standin: StandIn, hands: Hands, change: Callable[[dict[str, Any]], object]
) -> None:
    two_hosts(standin, hands)
    by_hand(standin, change)
    (drift,) = look(hands)
    assert accept(agree(planned(hands, drift), hands), hands).state == "done"
    assert hosts_of(live(standin), "[sallyport:edge]") == (HOST, OTHER)
    assert look(hands) == []


def test_a_host_that_moved_to_another_property_is_an_alarm_and_followed_there(standin: StandIn, hands: Hands) -> None:
    two_hosts(standin, hands)
    second = {"name": "shop-two", "hostnames": [OTHER], "contractId": "C-LOCAL", "groupId": 1}
    configure(standin, hostnames=[HOST], other_properties=[second])
    (drift,) = look(hands)
    assert (drift.path, drift.opens) == ("property/local-edge/hosts-left", True)
    assert drift.detail.startswith(f"local-edge no longer serves {OTHER}: ")
    change = planned(hands, drift)
    assert (change.state, change.hostname, change.found["name"]) == ("planned", OTHER, "shop-two")


def by_hand(standin: StandIn, change: Callable[[dict[str, Any]], object]) -> None:
    """Somebody writes another version in Control Center and makes it live."""
    rules = copy.deepcopy(live(standin))
    change(rules)
    made = standin.call("POST", f"{ONE}/versions", json={"createFromVersion": 2}).json()
    version = int(made["versionLink"].partition("?")[0].rpartition("/")[2])
    write_by_hand(standin, version, rules)
    activate_by_hand(standin, version)


def ours(rules: dict[str, Any]) -> dict[str, Any]:
    (rule,) = [child for child in rules["children"] if child["name"] == RULE_NAME]
    return dict(rule)


def fail_open(rules: dict[str, Any]) -> None:
    rules["children"][-1]["behaviors"][0]["options"]["continueOnError"] = True


def look(hands: Hands) -> list[Drift]:
    drifting.observe(slug="edge", at=hands.clock(), everything=True)
    return list(Drift.objects.filter(resolved_at=None, path__startswith="property/").order_by("path"))


def test_what_we_attached_is_right(hands: Hands) -> None:
    assert look(hands) == []


def test_fail_open_is_an_alarm_on_home_and_on_the_target_and_cannot_be_adopted(standin: StandIn, hands: Hands) -> None:
    by_hand(standin, fail_open)
    (drift,) = look(hands)
    assert (drift.path, drift.opens) == ("property/local-edge/continue-on-error", True)
    assert list_alarms() == [drift]
    olga, ada = people.person("olga", roles=("operator",)), people.person("zoe")
    home, target = (signed_in(olga).get(path).content.decode() for path in ("/", "/rollout/edge/drift/"))
    assert "Calls may pass unchecked." in home
    assert drift.detail in home
    assert "Calls may pass unchecked: 1 thing below leaves a door open." in target
    assert "Not to be adopted: It lets calls through unchecked when something fails" in target
    assert "Adopt</button>" not in target
    assert "Calls may pass unchecked" not in signed_in(ada).get("/").content.decode()
    with pytest.raises(adopting.NotSafeToAdopt, match="lets calls through unchecked"):
        adopting.adopt(drift_id=drift.pk, actor=OLGA, at=hands.clock())


def test_put_back_compares_the_property_and_a_person_agrees(standin: StandIn, hands: Hands) -> None:
    by_hand(standin, fail_open)
    (drift,) = look(hands)
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=hands.clock())
    change = work(PropertyChange.objects.order_by("-pk")[0], hands)
    assert (change.state, change.hostname) == ("planned", HOST)
    assert accept(agree(change, hands), hands).state == "done"
    assert ours(live(standin))["behaviors"][0]["options"]["continueOnError"] is False
    assert look(hands) == []
    drift.refresh_from_db()
    assert drift.resolution == "Put back by Olga."


def move_up(rules: dict[str, Any]) -> None:
    rules["children"].reverse()


def test_another_place_is_adopted_and_counts_as_right_until_it_changes_again(standin: StandIn, hands: Hands) -> None:
    by_hand(standin, move_up)
    (drift,) = look(hands)
    assert (drift.path, drift.opens, drift.why_not) == ("property/local-edge/position", False, "")
    adopting.adopt(drift_id=drift.pk, actor=OLGA, at=hands.clock())
    assert look(hands) == []
    event = Event.objects.get(action="rollout.drift.adopted")
    assert (event.actor_id, event.after["path"]) == ("person:olga", drift.path)
    by_hand(standin, lambda rules: rules["children"].append({"name": "New", "behaviors": [], "children": []}))
    assert [one.path for one in look(hands)] == [drift.path]


def test_another_place_is_put_back_to_the_end(standin: StandIn, hands: Hands) -> None:
    by_hand(standin, move_up)
    (drift,) = look(hands)
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=hands.clock())
    accept(agree(work(PropertyChange.objects.order_by("-pk")[0], hands), hands), hands)
    assert [child["name"] for child in live(standin)["children"]] == ["Compress text", RULE_NAME]


def test_a_host_more_is_taken_over(standin: StandIn, hands: Hands) -> None:
    configure(standin, hostnames=[HOST, OTHER])
    by_hand(standin, lambda rules: rules["children"][-1]["criteria"][0]["options"]["values"].append(OTHER))
    (drift,) = look(hands)
    adopting.adopt(drift_id=drift.pk, actor=OLGA, at=hands.clock())
    assert sorted(PropertyChange.objects.filter(state="done").values_list("hostname", flat=True)) == [
        HOST,
        OTHER,
    ]
    assert look(hands) == []


def test_only_a_person_adopts(standin: StandIn, hands: Hands) -> None:
    by_hand(standin, move_up)
    (drift,) = look(hands)
    with pytest.raises(adopting.PersonAdopts):
        adopting.adopt(drift_id=drift.pk, actor=Actor("agent:bot", "Bot"), at=hands.clock())


def test_what_was_put_right_by_hand_is_closed(standin: StandIn, hands: Hands) -> None:
    before = live(standin)
    by_hand(standin, fail_open)
    (drift,) = look(hands)
    by_hand(standin, lambda rules: rules.update(before))
    assert look(hands) == []
    drift.refresh_from_db()
    assert drift.resolution == "It is right again."


def test_a_property_is_read_every_ten_minutes(standin: StandIn, hands: Hands) -> None:
    Activation.objects.all().delete()
    drifting.observe(slug="edge", at=hands.clock())
    by_hand(standin, fail_open)
    drifting.observe(slug="edge", at=hands.clock() + timedelta(minutes=9))
    assert not Drift.objects.filter(path__startswith="property/").exists()
    drifting.observe(slug="edge", at=hands.clock() + timedelta(minutes=11))
    assert Drift.objects.filter(path__startswith="property/").count() == 1
