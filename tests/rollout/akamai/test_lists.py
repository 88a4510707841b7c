"""Which product is used, and whose lists are ours, without an account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.rollout.drivers.akamai.api import AkamaiApi, Credentials
from apps.rollout.drivers.akamai.lists import (
    CLIENT,
    NETWORK,
    ContractFinder,
    ListNotOurs,
    Owner,
    Place,
    choose,
    lists_of,
)
from apps.rollout.drivers.base import VendorError
from tests.localedge.standin import CREDENTIAL
from tests.rollout.akamai.answers import Answers, answering

OWNER = Owner("edge", "api.shop.test")
CLIENTS, NETWORKS = "/client-list/v1/lists", "/network-list/v2/network-lists"


@pytest.fixture
def akamai() -> Iterator[Answers]:
    with answering() as answers:
        yield answers


@pytest.fixture
def api(akamai: Answers) -> Iterator[AkamaiApi]:
    made = AkamaiApi(akamai.address, Credentials(**CREDENTIAL))
    yield made
    made.close()


def test_client_lists_are_preferred(akamai: Answers, api: AkamaiApi) -> None:
    akamai.by_path[CLIENTS] = (200, {"content": []})
    assert choose(api, OWNER).product == CLIENT


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_account_without_client_lists_has_network_lists(akamai: Answers, api: AkamaiApi, status: int) -> None:
    akamai.by_path[CLIENTS] = (status, {"title": "No"})
    assert choose(api, OWNER).product == NETWORK


def test_a_bad_day_is_no_reason_to_change_the_product(akamai: Answers, api: AkamaiApi) -> None:
    akamai.by_path[CLIENTS] = (503, {"title": "Later"})
    with pytest.raises(VendorError):
        choose(api, OWNER)


def test_what_a_preflight_found_missing_is_not_asked_again(akamai: Answers, api: AkamaiApi) -> None:
    akamai.by_path[CLIENTS] = (200, {"content": []})
    assert choose(api, OWNER, frozenset({CLIENT})).product == NETWORK


@pytest.mark.parametrize("row", [{"notes": "by hand"}, {"notes": OWNER.mark, "readOnly": True}, {}])
def test_a_client_list_without_our_mark_is_not_ours(akamai: Answers, api: AkamaiApi, row: dict[str, object]) -> None:
    akamai.by_path[CLIENTS] = (200, {"content": [{"name": OWNER.name, "listId": "1_X", **row}]})
    with pytest.raises(ListNotOurs, match="is not ours"):
        choose(api, OWNER)


def test_a_network_list_without_our_mark_is_not_ours(akamai: Answers, api: AkamaiApi) -> None:
    akamai.by_path[NETWORKS] = (200, {"networkLists": [{"name": OWNER.name, "uniqueId": "1_X", "syncPoint": 0}]})
    with pytest.raises(ListNotOurs):
        lists_of(NETWORK, api).find(OWNER)


def test_a_list_of_a_longer_name_is_another(akamai: Answers, api: AkamaiApi) -> None:
    akamai.by_path[CLIENTS] = (200, {"content": [{"name": f"{OWNER.name}.old", "listId": "1_X"}]})
    assert lists_of(CLIENT, api).find(OWNER) is None


def test_long_names_that_begin_alike_are_told_apart() -> None:
    hosts = [f"{'a' * 60}.{'b' * 60}.{end}.test" for end in ("one", "two")]
    names = {Owner("edge", host).name for host in hosts}
    assert (len(names), {len(name) for name in names}) == (2, {100})
    assert OWNER.name == "sallyport-edge-api.shop.test"


def test_the_contract_named_in_the_target_is_taken_without_asking(api: AkamaiApi) -> None:
    assert ContractFinder(api).place(7, "C-1") == Place(7, "C-1")


def test_an_end_that_akamai_writes_otherwise_is_read_the_same(akamai: Answers, api: AkamaiApi) -> None:
    items = [
        {"value": "203.0.113.7", "expirationDate": "2026-12-26T10:00:00.000+00:00"},
        {"value": "203.0.113.8", "expirationDate": "2026-12-26T11:00:00+01:00"},
        {"value": "203.0.113.9", "expirationDate": ""},
        {"value": "203.0.113.10", "expirationDate": "some day"},
    ]
    akamai.by_path[f"{CLIENTS}/1_X"] = (200, {"listId": "1_X", "name": "n", "version": 3, "items": items})
    held = lists_of(CLIENT, api).read("1_X")
    assert held is not None
    assert list(held.items.values()) == [1798279200, 1798279200, None, None]
