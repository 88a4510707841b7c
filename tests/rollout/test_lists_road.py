"""The road of an outside address: onto the list, live, proven by calls from there, off the list when it is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.rollout import tasks
from apps.rollout.drivers.akamai.list_calls import FromAddress
from apps.rollout.models import AddressList, Target
from apps.rollout.services.akamai import listing
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.localedge.standin import StandIn, eventually
from tests.rollout.conftest import make_local_edge
from tests.rollout.world import Hands, edge_spec, make_target, now

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
PARTNER, STRANGER, HERE = "127.0.0.5", "127.0.0.9", "127.0.0.1"
NAME = f"sallyport-edge-{outside.HOST}"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def guarding(tmp_path: Any, test_authority: Any, test_origin: Any) -> Iterator[StandIn]:
    """A local edge that refuses whoever is not on the list of the host."""
    made = make_local_edge(tmp_path, test_authority, test_origin, guarded_hosts={outside.HOST: NAME})
    made.start()
    yield made
    made.stop_if_running()


@pytest.fixture
def edge(guarding: StandIn, shop: factory.Shop, hands: Hands) -> Target:
    spec = edge_spec(guarding.control, f"http://127.0.0.1:{guarding.ports['data']}")
    more = {"probe_from": STRANGER, "list_activations_per_hour": 1000}
    make_target(replace(spec, config={**spec.config, **more}))
    outside.guard(HERE, at=now())

    def live() -> bool:
        hands.work("edge")
        return Target.objects.get().active_number > 0

    eventually(live)
    return Target.objects.get()


def step(hands: Hands) -> None:
    hands.deliver()
    for pk in listing.due(hands.clock()):
        listing.run(list_id=pk, clock=hands.clock)


def settle(hands: Hands) -> AddressList:
    """Work until the list is as it should be; a failure tells what stands in the way."""

    def there() -> bool:
        step(hands)
        row = AddressList.objects.first()
        return row is not None and row.settled != "" and not listing.due(hands.clock()) and not row.waiting_for

    try:
        eventually(there)
    except AssertionError as late:
        raise AssertionError(f"{AddressList.objects.values()} {Grant.objects.values('state', 'error')}") from late
    return AddressList.objects.get()


def call(guarding: StandIn, source: str, port: str = "data") -> int:
    session = requests.Session()
    session.mount("http://", FromAddress(source))
    url = f"http://127.0.0.1:{guarding.ports[port]}/payments/refunds"
    return session.post(url, headers={"Host": outside.HOST}, timeout=10).status_code


def approved(shop: factory.Shop, addresses: str = PARTNER) -> Grant:
    return outside.approved(shop, addresses, at=now())


def test_a_guarded_host_is_closed_to_all_but_those_who_always_may(
    edge: Target, guarding: StandIn, hands: Hands
) -> None:
    row = settle(hands)
    assert (row.product, row.production, row.staging) == ("client", "ACTIVE", "ACTIVE")
    assert row.enforced is True
    assert [one["value"] for one in row.entries] == [HERE]
    assert call(guarding, HERE) == 401
    assert call(guarding, PARTNER) == 403
    assert call(guarding, PARTNER, "data_staging") == 403


def test_an_approved_address_comes_as_far_as_the_token_check_and_no_further(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    settle(hands)
    grant = approved(shop)
    row = settle(hands)
    grant.refresh_from_db()
    door = grant.doors.get()
    assert (grant.state, door.state) == ("active", "proven")
    assert (grant.ends_at - grant.starts_at).total_seconds() == 3600
    assert "live on production, holds the addresses" in door.detail
    assert f"A call from {PARTNER} came as far as the token check (401)" in door.detail
    assert call(guarding, PARTNER) == 401
    assert call(guarding, STRANGER) == 403
    assert {one["value"]: one["grants"] for one in row.entries} == {HERE: [], PARTNER: [grant.public_id]}


@pytest.mark.parametrize("how", ["ended", "expired"])
def test_what_is_over_is_closed_again_and_proven_closed(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands, how: str
) -> None:
    grant = approved(shop)
    settle(hands)
    if how == "ended":
        access.end_grant(public_id=grant.public_id, actor=shop.ben, at=hands.clock())
    else:
        hands.push(hours=2)
        access.expire_due_grants(at=hands.clock())
    row = settle(hands)
    door = grant.doors.get()
    assert door.state == "closed"
    assert "holds them no longer" in door.detail
    assert f"A call from {PARTNER} was refused before the token check (403)" in door.detail
    assert [one["value"] for one in row.entries] == [HERE]
    assert call(guarding, PARTNER) == 403


def test_an_address_added_by_hand_is_shown_and_put_back(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    row = settle(hands)
    by_hand(guarding, row, STRANGER)
    assert listing.observe(row=row, at=hands.clock()) == 3
    row.refresh_from_db()
    assert row.strange[0] == {"value": STRANGER, "what": "Nobody here put this on the list."}
    assert Event.objects.filter(action="rollout.list.drifted").count() == 1
    listing.put_back(slug="edge", list_id=row.pk, actor=shop.eve.actor, at=hands.clock())
    row = settle(hands)
    assert (row.strange, row.put_back) == ([], False)
    assert call(guarding, STRANGER) == 403
    assert listing.observe(row=row, at=hands.clock()) == 0
    with pytest.raises(listing.NothingStrange):
        listing.put_back(slug="edge", list_id=row.pk, actor=shop.eve.actor, at=hands.clock())


def by_hand(guarding: StandIn, row: AddressList, value: str) -> None:
    body = {"append": [{"value": value, "description": "by hand", "tags": [], "expirationDate": ""}]}
    guarding.call("POST", f"/client-list/v1/lists/{row.list_id}/items", json=body).raise_for_status()


def test_what_somebody_added_is_never_activated_with_a_change_of_ours(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    row = settle(hands)
    by_hand(guarding, row, STRANGER)
    approved(shop)
    settle(hands)
    assert call(guarding, PARTNER) == 401
    assert call(guarding, STRANGER) == 403
    recorded = Event.objects.get(action="rollout.list.put_back")
    assert recorded.after["removed"] == [STRANGER]


def test_without_client_lists_network_lists_do(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    guarding.faults(rules=[{"method": "*", "path": "/client-list/.*", "status": 403, "times": 1000}])
    grant = approved(shop)
    row = settle(hands)
    grant.refresh_from_db()
    assert (row.product, grant.state) == ("network", "active")
    assert call(guarding, PARTNER) == 401
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=hands.clock())
    settle(hands)
    assert call(guarding, PARTNER) == 403


def test_a_list_of_the_same_name_that_is_not_ours_is_never_touched(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    body = {"name": NAME, "type": "IP", "notes": "Ours since 2019", "items": [{"value": STRANGER}]}
    made = guarding.call("POST", "/client-list/v1/lists", json=body).json()
    grant = approved(shop)
    step(hands)
    row = AddressList.objects.get()
    assert "is not ours" in row.error
    after = guarding.call("GET", f"/client-list/v1/lists/{made['listId']}?includeItems=true").json()
    assert (after["version"], [one["value"] for one in after["items"]]) == (0, [STRANGER])
    assert grant.doors.get().state == "opening"


def test_a_failed_activation_is_told_and_tried_again(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    guarding.faults(property_results=["FAILED"])
    approved(shop)

    def failed() -> bool:
        step(hands)
        return "failed" in AddressList.objects.get().error

    eventually(failed)
    hands.push(minutes=1)
    settle(hands)
    assert call(guarding, PARTNER) == 401


def test_a_host_that_no_list_guards_is_told_and_nothing_is_called_proven(
    standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    """The edge's own policy does not ask the list: an address that is on none comes through."""
    spec = edge_spec(standin.control, f"http://127.0.0.1:{standin.ports['data']}")
    make_target(replace(spec, config={**spec.config, "probe_from": STRANGER}))
    outside.guard(at=now())

    def live() -> bool:
        hands.work("edge")
        return Target.objects.get().active_number > 0

    eventually(live)
    grant = approved(shop)

    def told() -> bool:
        step(hands)
        return "does not ask this list" in AddressList.objects.get().error

    eventually(told)
    grant.refresh_from_db()
    assert (grant.state, grant.doors.get().state) == ("pending", "opening")
    assert "does not ask this list" in grant.error


def test_killed_between_any_two_calls_it_finishes_all_the_same(
    edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    """Every call of the first run fails once, one after the other; lists are not made twice."""
    for path in (".*/lists", ".*/items", ".*/activations", ".*/status", ".*/lists/.*"):
        guarding.faults(
            rules=[{"method": "*", "path": f"/client-list/v1{path}", "status": 503, "times": 1, "after": True}]
        )
        step(hands)
        hands.push(minutes=6)
    guarding.faults()
    approved(shop)
    settle(hands)
    names = [one["name"] for one in guarding.call("GET", "/client-list/v1/lists").json()["content"]]
    assert names == [NAME]
    assert call(guarding, PARTNER) == 401


def test_activations_are_budgeted(edge: Target, guarding: StandIn, shop: factory.Shop, hands: Hands) -> None:
    settle(hands)
    Target.objects.update(config={**edge.config, "list_activations_per_hour": 2})
    grant = approved(shop)

    def waits() -> bool:
        step(hands)
        return "our own limit" in AddressList.objects.get().waiting_for

    eventually(waits)
    assert call(guarding, PARTNER) == 403
    hands.push(hours=1, minutes=1)

    def opened() -> bool:
        step(hands)
        return Grant.objects.get(pk=grant.pk).state == "active"

    eventually(opened)
    assert call(guarding, PARTNER) == 401


def test_a_second_run_finds_nothing_to_do(edge: Target, guarding: StandIn, hands: Hands) -> None:
    row = settle(hands)
    assert listing.due(hands.clock()) == []
    before = guarding.call("GET", f"/client-list/v1/lists/{row.list_id}").json()["version"]
    AddressList.objects.update(retry_at=hands.clock())
    listing.run(list_id=row.pk, clock=hands.clock)
    assert guarding.call("GET", f"/client-list/v1/lists/{row.list_id}").json()["version"] == before


def test_the_sweep_wakes_what_is_due(edge: Target, hands: Hands) -> None:
    tasks.wake_lists(hands.clock())
    assert AddressList.objects.get().host == outside.HOST


def test_guarding_ends_cleanly_when_the_policy_asks_no_longer(edge: Target, guarding: StandIn, hands: Hands) -> None:
    row = settle(hands)
    access.stop_guarding(host=outside.HOST, detached=True, actor=SYSTEM, at=now())
    step(hands)
    row.refresh_from_db()
    assert f"{outside.HOST} still refuses {STRANGER}, which is on no list" in row.waiting_for
    assert [one["value"] for one in list_items(guarding, row.list_id)] == [HERE], "it is left as it is"
    detach(guarding)
    hands.push(minutes=2)

    def ended() -> bool:
        step(hands)
        hands.push(seconds=1)
        return not AddressList.objects.exists()

    assert eventually(ended)
    assert list_items(guarding, row.list_id) == []
    assert Event.objects.get(action="rollout.list.ended").after == {"host": outside.HOST, "list": row.list_id}
    assert call(guarding, PARTNER) == 401
    outside.guard(HERE, at=now())

    def found_again() -> str:
        step(hands)
        hands.push(seconds=1)
        again = AddressList.objects.first()
        return again.list_id if again is not None else ""

    assert eventually(found_again) == row.list_id, "the list of that name is found"


def test_a_list_that_is_empty_already_is_not_waited_for(edge: Target, guarding: StandIn, hands: Hands) -> None:
    """Somebody said too early that the policy asks it no longer: the host is shut, and waiting opens nothing."""
    row = settle(hands)
    items = [{"value": one["value"]} for one in list_items(guarding, row.list_id)]
    guarding.call("POST", f"/client-list/v1/lists/{row.list_id}/items", json={"delete": items})
    access.stop_guarding(host=outside.HOST, detached=True, actor=SYSTEM, at=now())

    def ended() -> bool:
        step(hands)
        hands.push(minutes=2)
        return not AddressList.objects.exists()

    assert eventually(ended)


def list_items(guarding: StandIn, list_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = guarding.call("GET", f"/client-list/v1/lists/{list_id}?includeItems=true").json()[
        "items"
    ]
    return found


def detach(guarding: StandIn) -> None:
    """As whoever keeps the security policy does."""
    guarding.stop()
    config = guarding.directory / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "guarded_hosts": {}}))
    guarding.start()
