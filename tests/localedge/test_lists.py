"""The stand-in really refuses whoever is not on the active list of a guarded host, and knows both products."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from apps.rollout.drivers.akamai.list_calls import FromAddress
from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import StandIn, eventually

PASS = "export function onClientRequest(request) { request.respondWith(200, {}, 'in'); }"
HOST = "partners.shop.localhost"
NAME = "partners"
CLIENT, NETWORK = "/client-list/v1/lists", "/network-list/v2/network-lists"


@pytest.fixture
def edge(make_standin: MakeStandIn) -> StandIn:
    made = make_standin(guarded_hosts={HOST: NAME})
    made.deploy(PASS)
    return made


def status(edge: StandIn, source: str, host: str = HOST, port: str = "data", **headers: str) -> int:
    session = requests.Session()
    session.mount("http://", FromAddress(source))
    url = f"http://127.0.0.1:{edge.ports[port]}/"
    return session.get(url, headers={"Host": host, **headers}, timeout=10).status_code


def client_list(edge: StandIn, *values: str, **item: Any) -> str:
    items = [{"value": value, **item} for value in values]
    body = {"name": NAME, "type": "IP", "items": items}
    return str(edge.call("POST", CLIENT, json=body).json()["listId"])


def activate_client(edge: StandIn, list_id: str, network: str = "PRODUCTION") -> None:
    body = {"action": "ACTIVATE", "network": network, "comments": "", "notificationRecipients": []}
    assert edge.call("POST", f"{CLIENT}/{list_id}/activations", json=body).json()["activationStatus"] == (
        "PENDING_ACTIVATION"
    )
    path = f"{CLIENT}/{list_id}/environments/{network}/status"
    eventually(lambda: edge.call("GET", path).json()["activationStatus"] == "ACTIVE")


def test_without_an_active_list_a_guarded_host_is_closed_to_everybody(edge: StandIn) -> None:
    assert status(edge, "127.0.0.1") == 403
    client_list(edge, "127.0.0.1")
    assert status(edge, "127.0.0.1") == 403
    assert status(edge, "127.0.0.1", host="api.shop.localhost") == 200


def test_only_what_is_listed_and_live_comes_through(edge: StandIn) -> None:
    list_id = client_list(edge, "127.0.0.4/31")
    activate_client(edge, list_id)
    found = {source: status(edge, source) for source in ("127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")}
    assert found == {"127.0.0.3": 403, "127.0.0.4": 200, "127.0.0.5": 200, "127.0.0.6": 403}


def test_the_connection_counts_and_no_header_does(edge: StandIn) -> None:
    activate_client(edge, client_list(edge, "127.0.0.4"))
    claims = {"X-Forwarded-For": "127.0.0.4", "True-Client-IP": "127.0.0.4"}
    assert status(edge, "127.0.0.9", **claims) == 403


@pytest.mark.parametrize("host", [HOST.upper(), f"{HOST}.", f"{HOST}:8080", f"{HOST}.:8080"])
def test_a_host_is_guarded_however_it_is_written(edge: StandIn, host: str) -> None:
    assert status(edge, "127.0.0.9", host=host) == 403


def test_networks_are_apart(edge: StandIn) -> None:
    list_id = client_list(edge, "127.0.0.4")
    activate_client(edge, list_id, "STAGING")
    assert status(edge, "127.0.0.4") == 403
    body = {"action": "ACTIVATE", "network": "STAGING"}
    assert edge.call("GET", f"{CLIENT}/{list_id}").json()["stagingActiveVersion"] == 0
    assert edge.call("POST", f"{CLIENT}/{list_id}/activations", json=body).status_code == 200


def test_a_change_counts_when_it_is_activated(edge: StandIn) -> None:
    list_id = client_list(edge, "127.0.0.4")
    activate_client(edge, list_id)
    change = {"append": [{"value": "127.0.0.5"}], "update": [], "delete": [{"value": "127.0.0.4"}]}
    answer = edge.call("POST", f"{CLIENT}/{list_id}/items", json=change).json()
    assert ([one["value"] for one in answer["appended"]], [one["value"] for one in answer["deleted"]]) == (
        ["127.0.0.5"],
        ["127.0.0.4"],
    )
    assert (status(edge, "127.0.0.4"), status(edge, "127.0.0.5")) == (200, 403)
    assert edge.call("GET", f"{CLIENT}/{list_id}").json()["productionActivationStatus"] == "MODIFIED"
    activate_client(edge, list_id)
    assert (status(edge, "127.0.0.4"), status(edge, "127.0.0.5")) == (403, 200)


def test_an_entry_of_a_client_list_ends_by_itself(edge: StandIn) -> None:
    ends = datetime.fromtimestamp(time.time() + 1.5, UTC).isoformat()
    activate_client(edge, client_list(edge, "127.0.0.4", expirationDate=ends))
    assert status(edge, "127.0.0.4") == 200
    eventually(lambda: status(edge, "127.0.0.4") == 403)


def test_what_is_live_is_live_after_a_kill(edge: StandIn) -> None:
    activate_client(edge, client_list(edge, "127.0.0.4"))
    edge.kill()
    edge.start()
    assert (status(edge, "127.0.0.4"), status(edge, "127.0.0.9")) == (200, 403)


def test_an_activation_under_way_goes_on_after_a_kill(edge: StandIn) -> None:
    list_id = client_list(edge, "127.0.0.4")
    edge.call("POST", f"{CLIENT}/{list_id}/activations", json={"action": "ACTIVATE", "network": "PRODUCTION"})
    edge.kill()
    edge.start()
    eventually(lambda: status(edge, "127.0.0.4") == 200)


@pytest.mark.parametrize(
    "change",
    [
        {"append": [{"value": "127.0.0.4"}]},
        {"delete": [{"value": "127.0.0.9"}]},
        {"update": [{"value": "127.0.0.9"}]},
        {"append": [{"value": "everybody"}]},
        {"append": [{"value": "127.0.0.5", "expirationDate": "2020-01-01T00:00:00Z"}]},
        {"append": "127.0.0.5"},
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(edge: StandIn, change: dict[str, Any]) -> None:
    list_id = client_list(edge, "127.0.0.4")
    assert edge.call("POST", f"{CLIENT}/{list_id}/items", json=change).status_code == 400
    after = edge.call("GET", f"{CLIENT}/{list_id}?includeItems=true").json()
    assert (after["version"], [one["value"] for one in after["items"]]) == (0, ["127.0.0.4"])


def test_a_network_list_guards_as_well_and_refuses_a_write_from_an_older_state(edge: StandIn) -> None:
    made = edge.call("POST", NETWORK, json={"name": NAME, "type": "IP", "list": ["127.0.0.4"]}).json()
    path = f"{NETWORK}/{made['uniqueId']}"
    write = {"name": NAME, "type": "IP", "list": ["127.0.0.5"], "syncPoint": made["syncPoint"]}
    assert edge.call("PUT", path, json=write).json()["syncPoint"] == made["syncPoint"] + 1
    assert edge.call("PUT", path, json=write).status_code == 409
    assert edge.call("POST", f"{path}/append", json={"list": ["127.0.0.6"]}).status_code == 202
    assert edge.call("DELETE", f"{path}/elements?element=127.0.0.5").json()["list"] == ["127.0.0.6"]
    assert edge.call("PUT", f"{path}/elements?element=127.0.0.7").json()["list"] == ["127.0.0.6", "127.0.0.7"]
    edge.call("POST", f"{path}/environments/PRODUCTION/activate", json={"comments": "go"})
    eventually(
        lambda: edge.call("GET", f"{path}/environments/PRODUCTION/status").json()["activationStatus"] == "ACTIVE"
    )
    assert (status(edge, "127.0.0.6"), status(edge, "127.0.0.5")) == (200, 403)


@pytest.fixture
def by_name(make_standin: MakeStandIn, tmp_path: Path) -> Iterator[StandIn]:
    made = make_standin(guarded_hosts={"*": "list-{host}"})
    made.deploy(PASS)
    yield made


def test_a_host_may_be_guarded_from_when_a_list_of_its_name_is_live(by_name: StandIn) -> None:
    assert status(by_name, "127.0.0.9") == 200
    body = {"name": f"list-{HOST}", "type": "IP", "items": [{"value": "127.0.0.4"}]}
    list_id = by_name.call("POST", CLIENT, json=body).json()["listId"]
    assert status(by_name, "127.0.0.9") == 200
    activate_client(by_name, list_id)
    assert (status(by_name, "127.0.0.9"), status(by_name, "127.0.0.4")) == (403, 200)
    assert status(by_name, "127.0.0.9", host="api.shop.localhost") == 200
    by_name.call("POST", f"{CLIENT}/{list_id}/items", json={"delete": [{"value": "127.0.0.4"}]})
    activate_client(by_name, list_id)
    assert status(by_name, "127.0.0.9") == 200, "an empty list guards nothing here"
