"""DataStream of the local edge: lines in Akamai's form, delivered as configured, tried again, then lost and said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.deliveries import Receiver, receiving
from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import StandIn, eventually

STREAMS = "/datastream-config-api/v2/log/streams"
RULES = "/papi/v1/properties/prp_1"
TYPE = "application/vnd.akamai.papirules.v2025-10-16+json"
GATE = """
export function onClientRequest(request) {
  request.setVariable("PMUSER_SP_RID", "ab".repeat(16));
  request.setVariable("PMUSER_SP_V", JSON.stringify({ s: "Ada Löwe" }));
  request.respondWith(204, {}, "");
}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def standin(make_standin: MakeStandIn) -> StandIn:
    return make_standin(stream_pace=0.01)


def config(receiver: Receiver, **destination: object) -> dict[str, Any]:
    return {
        "streamName": "log",
        "groupId": 1,
        "contractId": "C-LOCAL",
        "properties": [{"propertyId": 1}],
        "datasetFields": [{"datasetFieldId": one} for one in (1002, 1008, 1011, 1012, 1013, 1082, 1100)],
        "deliveryConfiguration": {"format": "JSON", "frequency": {"intervalInSeconds": 30}},
        "destination": {
            "destinationType": "HTTPS",
            "displayName": "log",
            "endpoint": f"{receiver.address}/here",
            "authenticationType": "BASIC",
            "userName": "u",
            "password": "p",
            "compressLogs": True,
            **destination,
        },
    }


def make(standin: StandIn, body: dict[str, Any]) -> int:
    answer = standin.call("POST", STREAMS, json=body, params={"activate": "true"})
    assert answer.status_code == 201, answer.text
    number = int(answer.json()["streamId"])
    eventually(lambda: status(standin, number) == "ACTIVATED")
    return number


def status(standin: StandIn, number: int) -> str:
    return str(standin.call("GET", f"{STREAMS}/{number}").json()["streamStatus"])


def name_in_property(standin: StandIn, number: int) -> None:
    """Live on production, as a person would do it."""
    link = standin.call("POST", f"{RULES}/versions", json={"createFromVersion": 1}).json()["versionLink"]
    path = link.partition("?")[0]
    read = standin.call("GET", f"{path}/rules").json()
    log = {"name": "datastream", "options": {"logEnabled": True, "logStreamName": [str(number)]}}
    field = {
        "name": "report",
        "options": {"logCustomLogField": True, "customLogField": "{{user.PMUSER_SP_RID}};{{user.PMUSER_SP_V}}"},
    }
    rules = {**read["rules"], "behaviors": [*read["rules"]["behaviors"], log, field]}
    headers = {"If-Match": f'"{read["etag"]}"', "Content-Type": TYPE}
    assert standin.call("PUT", f"{path}/rules", json={"rules": rules}, headers=headers).status_code == 200
    wish = {"propertyVersion": int(path.rpartition("/")[2]), "network": "PRODUCTION", "notifyEmails": ["a@b.c"]}
    asked = standin.call("POST", f"{RULES}/activations", json={**wish, "acknowledgeAllWarnings": True})
    assert asked.status_code == 201, asked.text


def line(standin: StandIn, receiver: Receiver, path: str = "/a%20b/c?q=secret") -> dict[str, Any]:
    """Of a request made again and again until the plane has heard of the stream."""
    eventually(lambda: standin.get(path, method="POST").status_code == 204 and receiver.with_lines)
    return receiver.with_lines[-1].lines[-1]


def test_a_line_is_as_akamai_writes_it(standin: StandIn, receiver: Receiver) -> None:
    standin.deploy(GATE)
    name_in_property(standin, make(standin, config(receiver)))
    found = line(standin, receiver)
    assert set(found) == {
        "version",
        "reqId",
        "reqTimeSec",
        "statusCode",
        "reqHost",
        "reqMethod",
        "reqPath",
        "customField",
    }
    assert found["version"] == 1
    assert (found["statusCode"], found["reqMethod"], found["reqPath"]) == ("204", "POST", "a%20b/c")
    assert found["reqHost"] == "api.shop.localhost"
    assert found["customField"] == "ab" * 16 + ';{"s":"Ada%20L%C3%B6we"}'
    delivery = receiver.with_lines[-1]
    assert (delivery.path, delivery.login, delivery.headers["content-encoding"]) == ("/here", "u:p", "gzip")


def test_a_stream_no_live_property_names_delivers_nothing(standin: StandIn, receiver: Receiver) -> None:
    standin.deploy(GATE)
    make(standin, config(receiver))
    for _ in range(20):
        standin.get("/")
    with pytest.raises(AssertionError):
        eventually(lambda: receiver.with_lines, patience=2.5)


def test_a_delivery_is_tried_four_times_and_then_lost(standin: StandIn, receiver: Receiver) -> None:
    standin.deploy(GATE)
    name_in_property(standin, make(standin, config(receiver, compressLogs=False)))
    line(standin, receiver)
    receiver.statuses = [503, 503, 503]
    tried = len(receiver.with_lines)
    standin.get("/once")
    eventually(lambda: len(receiver.with_lines) >= tried + 4)
    bodies = {one.body for one in receiver.with_lines[tried : tried + 4]}
    assert len(bodies) == 1
    receiver.statuses = [503] * 4
    standin.get("/lost")
    eventually(lambda: "datastream_lost" in (standin.directory / "stderr.log").read_text())


def test_it_stops_when_it_is_deactivated(standin: StandIn, receiver: Receiver) -> None:
    standin.deploy(GATE)
    number = make(standin, config(receiver))
    name_in_property(standin, number)
    line(standin, receiver)
    assert standin.call("POST", f"{STREAMS}/{number}/deactivate").status_code == 200
    eventually(lambda: status(standin, number) == "DEACTIVATED")

    def silent() -> bool:
        """What was gathered is delivered, and then nothing more."""
        before = len(receiver.with_lines)
        standin.get("/")
        time.sleep(1.2)
        return len(receiver.with_lines) == before

    eventually(silent)


def test_secrets_go_in_and_never_come_out(standin: StandIn, receiver: Receiver) -> None:
    number = make(standin, config(receiver, password="the-secret"))
    shown = standin.call("GET", f"{STREAMS}/{number}").text + standin.call("GET", STREAMS).text
    assert "the-secret" not in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"streamName": ""}, "These are needed: streamName."),
        ({"datasetFields": [{"datasetFieldId": 1023}]}, "Unknown data set fields: 1023."),
        ({"properties": [{"propertyId": 9}]}, "The properties are not in this account."),
    ],
)
def test_what_is_wrong_is_refused(standin: StandIn, receiver: Receiver, change: dict[str, Any], said: str) -> None:
    answer = standin.call("POST", STREAMS, json={**config(receiver), **change})
    assert (answer.status_code, answer.json()["detail"]) == (400, said)


def test_an_endpoint_has_to_take_the_sample_request(standin: StandIn, receiver: Receiver) -> None:
    receiver.statuses = [404]
    answer = standin.call("POST", STREAMS, json=config(receiver))
    assert answer.json()["detail"] == "The endpoint answered 404 to a sample request."
    gone = standin.call("POST", STREAMS, json=config(Receiver("http://127.0.0.1:9")))
    assert gone.json()["detail"] == "The endpoint does not answer: ConnectionError."


def test_an_active_stream_is_edited_with_activate_only(standin: StandIn, receiver: Receiver) -> None:
    body = config(receiver)
    number = make(standin, body)
    edit = {name: value for name, value in body.items() if name != "groupId"}
    assert standin.call("PUT", f"{STREAMS}/{number}", json=edit).status_code == 400
    answer = standin.call("PUT", f"{STREAMS}/{number}", json=edit, params={"activate": "true"})
    assert (answer.status_code, answer.json()["streamVersion"]) == (200, 2)
    assert requests.get(f"{standin.control}{STREAMS}", timeout=5).status_code == 401


def test_a_stream_that_moves_is_not_edited(make_standin: MakeStandIn, receiver: Receiver) -> None:
    slow = make_standin(activation_delay={"STAGING": 30, "PRODUCTION": 30})
    body = config(receiver)
    asked = slow.call("POST", STREAMS, json=body, params={"activate": "true"}).json()
    assert asked["streamStatus"] == "ACTIVATING"
    edit = {name: value for name, value in body.items() if name != "groupId"}
    answer = slow.call("PUT", f"{STREAMS}/{asked['streamId']}", json=edit, params={"activate": "true"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "The stream is ACTIVATING; wait until it is not.")
