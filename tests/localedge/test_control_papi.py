"""Property Manager of the local edge: what takes its time, and what is refused meanwhile."""

from __future__ import annotations

from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import StandIn

ONE = "/papi/v1/properties/prp_1"


def fresh_version(standin: StandIn) -> int:
    link = standin.call("POST", f"{ONE}/versions", json={"createFromVersion": 1}).json()["versionLink"]
    return int(link.partition("?")[0].rpartition("/")[2])


def activate(standin: StandIn, version: int, **more: object) -> tuple[int, dict[str, object]]:
    body = {"propertyVersion": version, "network": "STAGING", "notifyEmails": ["o@shop.test"], **more}
    answer = standin.call("POST", f"{ONE}/activations", json={"acknowledgeAllWarnings": True, **body})
    return answer.status_code, answer.json()


def test_an_activation_takes_its_time_and_can_be_cancelled(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 100, "PRODUCTION": 100})
    version = fresh_version(standin)
    status, made = activate(standin, version)
    assert status == 201
    path = str(made["activationLink"]).partition("?")[0]
    asked = standin.call("GET", path)
    assert 90 <= int(asked.headers["Retry-After"]) <= 100
    assert asked.json()["activations"]["items"][0]["status"] == "NEW"
    (row,) = standin.call("GET", f"{ONE}/versions/{version}").json()["versions"]["items"]
    assert row["stagingStatus"] == "PENDING"
    status, refused = activate(standin, version)
    assert (status, refused["messageId"]) == (422, "property_activation_still_pending")
    assert standin.call("DELETE", path).json()["activations"]["items"][0]["status"] == "ABORTED"
    assert standin.call("DELETE", path).status_code == 400
    assert standin.call("GET", ONE).json()["properties"]["items"][0]["stagingVersion"] == 1


def test_what_was_activated_survives_a_restart(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 0, "PRODUCTION": 0})
    version = fresh_version(standin)
    assert activate(standin, version)[0] == 201
    standin.kill()
    standin.start()
    assert standin.call("GET", ONE).json()["properties"]["items"][0]["stagingVersion"] == version


def test_a_deactivated_property_has_no_version_there(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 0, "PRODUCTION": 0})
    assert activate(standin, 1, activationType="DEACTIVATE")[0] == 201
    assert standin.call("GET", ONE).json()["properties"]["items"][0]["stagingVersion"] is None


def test_ids_are_taken_with_and_without_prefix(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    headers = {"PAPI-Use-Prefixes": "false"}
    for name in ("1", "prp_1"):
        found = standin.call("GET", f"/papi/v1/properties/{name}", headers=headers).json()["properties"]["items"][0]
        assert (found["propertyId"], found["groupId"], found["contractId"]) == ("1", "1", "C-LOCAL")
