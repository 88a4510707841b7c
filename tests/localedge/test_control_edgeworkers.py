"""EdgeWorkers API: ids, versions, activations, as the driver uses them."""

from __future__ import annotations

import gzip
import hashlib
import time

import pytest
import requests

from apps.localedge.bundles import pack
from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import StandIn

EW = "/edgeworkers/v1"
MAIN = "export const onClientRequest = (r) => r.respondWith(200, {}, 'VERSION');"
GZIP = {"Content-Type": "application/gzip"}


def main_saying(version: str) -> str:
    return MAIN.replace("VERSION", version)


def problem(answer: requests.Response, status: int, code: str | None = None) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert (body["status"], body.get("errorCode")) == (status, code)
    return str(body["detail"])


def test_every_call_must_be_signed(standin: StandIn) -> None:
    for path in (f"{EW}/ids", "/edgekv/v1/tokens", "/nowhere"):
        answer = requests.get(f"{standin.control}{path}", timeout=5)
        assert problem(answer, 401) == "The authorization header is missing or malformed"


def test_unknown_addresses_and_methods(standin: StandIn) -> None:
    problem(standin.call("GET", f"{EW}/nothing"), 404)
    problem(standin.call("PATCH", f"{EW}/ids"), 405)


def test_groups_contracts_tiers_and_limits(standin: StandIn) -> None:
    group = standin.call("GET", f"{EW}/groups").json()["groups"][0]
    assert (group["groupId"], "ACTIVATE" in group["capabilities"]) == (1, True)
    assert standin.call("GET", f"{EW}/groups/1").json() == group
    contract = standin.call("GET", f"{EW}/contracts").json()["contractIds"][0]
    tiers = standin.call("GET", f"{EW}/resource-tiers", params={"contractId": contract}).json()["resourceTiers"]
    problem(standin.call("GET", f"{EW}/resource-tiers"), 400)
    problem(standin.call("GET", f"{EW}/resource-tiers?contractId=C-OTHER"), 404, "EW2002")
    names = {tier["resourceTierId"]: tier["resourceTierName"] for tier in tiers}
    assert names == {100: "Basic Compute", 200: "Dynamic Compute", 300: "Enterprise Compute"}
    limits = {row["limitName"]: row["limitValue"] for row in tiers[1]["edgeWorkerLimits"]}
    assert limits["Maximum CPU time per event handler"] == 20
    assert {row["limitId"]: row["limitValue"] for row in standin.call("GET", f"{EW}/limits").json()["limits"]}[
        "version-per-ew-id-limit"
    ] == 1000


def test_an_id_lives_and_dies(standin: StandIn) -> None:
    made = standin.call(
        "POST", f"{EW}/ids", json={"name": "gate", "groupId": 1, "resourceTierId": 200, "description": "d"}
    )
    assert made.status_code == 201
    ew_id = made.json()["edgeWorkerId"]
    assert made.headers["Location"] == f"{EW}/ids/{ew_id}"
    assert standin.call("GET", f"{EW}/ids/{ew_id}").json() == made.json()
    assert ew_id in [row["edgeWorkerId"] for row in standin.call("GET", f"{EW}/ids?groupId=1").json()["edgeWorkerIds"]]
    assert standin.call("GET", f"{EW}/ids?resourceTierId=300").json() == {"edgeWorkerIds": []}
    assert standin.call("PUT", f"{EW}/ids/{ew_id}", json={"name": "door", "groupId": 1}).json()["name"] == "door"
    assert standin.call("GET", f"{EW}/ids/{ew_id}/resource-tier").json()["resourceTierId"] == 200
    clone = standin.call("POST", f"{EW}/ids/{ew_id}/clone", json={"resourceTierId": 300}).json()
    assert (clone["name"], clone["resourceTierId"], clone["sourceEdgeWorkerId"]) == ("door", 300, ew_id)
    assert standin.call("DELETE", f"{EW}/ids/{ew_id}").status_code == 204
    assert (
        problem(standin.call("GET", f"{EW}/ids/{ew_id}"), 404, "EW2002") == "Unable to find the requested EdgeWorker ID"
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "gate", "groupId": 1}, 400),
        ({"name": "", "groupId": 1, "resourceTierId": 200}, 400),
        ({"name": "gate", "groupId": 1, "resourceTierId": 999}, 400),
        ({"name": "gate", "groupId": 2, "resourceTierId": 200}, 403),
        ({"name": "gate", "groupId": True, "resourceTierId": 200}, 400),
        ({"name": "gate", "groupId": 1, "resourceTierId": 200, "description": "x" * 129}, 400),
    ],
)
def test_bad_ids_are_refused(standin: StandIn, body: dict[str, object], status: int) -> None:
    problem(standin.call("POST", f"{EW}/ids", json=body), status)


def test_a_version_is_kept_as_it_was_sent(standin: StandIn) -> None:
    ew_id = standin.new_id()
    uploaded = standin.upload(ew_id, "1.0", MAIN)
    assert uploaded.status_code == 201
    content = standin.call("GET", f"{EW}/ids/{ew_id}/versions/1.0/content", headers={"Accept": "application/gzip"})
    assert content.headers["content-type"] == "application/gzip"
    assert uploaded.json()["checksum"] == hashlib.sha256(content.content).hexdigest()
    assert standin.call("GET", f"{EW}/ids/{ew_id}/versions").json()["versions"] == [uploaded.json()]


def test_a_version_string_is_used_once_even_when_deleted(standin: StandIn) -> None:
    ew_id = standin.new_id()
    standin.upload(ew_id, "1.0", MAIN)
    assert "used before" in problem(standin.upload(ew_id, "1.0", MAIN), 400)
    assert standin.call("DELETE", f"{EW}/ids/{ew_id}/versions/1.0").status_code == 204
    problem(standin.call("GET", f"{EW}/ids/{ew_id}/versions/1.0"), 404, "EW2002")
    assert standin.call("GET", f"{EW}/ids/{ew_id}/versions").json() == {"versions": []}
    assert "used before" in problem(standin.upload(ew_id, "1.0", MAIN), 400)


MANIFEST = b'{"edgeworker-version": "1"}'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"not gzip", "INVALID_GZIP_FORMAT"),
        (gzip.compress(b"not a tar archive, though longer than nothing" * 30, mtime=0), "INVALID_TAR_ARCHIVE"),
        (pack({}), "EMPTY_TARBALL"),
        (pack({"main.js": b""}), "MISSING_MANDATORY_FILES"),
        (pack({"main.js": b"", "bundle.json": b"{"}), "INVALID_MANIFEST"),
        (pack({"main.js": b"", "bundle.json": b"[]"}), "INVALID_MANIFEST"),
        (pack({"main.js": b"", "bundle.json": b'{"edgeworker-version": "a..b"}'}), "INVALID_MANIFEST"),
        (pack({"main.js": b"", "bundle.json": b'{"edgeworker-version": "' + b"x" * 33 + b'"}'}), "INVALID_MANIFEST"),
        (pack({"main.js": b" " * (1024 * 1024), "bundle.json": MANIFEST}), "MAX_UNCOMPRESSED_SIZE_EXCEEDED"),
        (b"x" * (512 * 1024 + 1), "MAX_COMPRESSED_SIZE_EXCEEDED"),
    ],
)
def test_validation_names_what_is_wrong(standin: StandIn, content: bytes, expected: str) -> None:
    found = standin.call("POST", f"{EW}/validations", data=content, headers=GZIP)
    assert found.status_code == 200
    assert [error["type"] for error in found.json()["errors"]] == [expected]
    ew_id = standin.new_id()
    refused = standin.call("POST", f"{EW}/ids/{ew_id}/versions", data=content, headers=GZIP)
    assert problem(refused, 400).startswith(expected)


def test_a_good_bundle_has_no_errors(standin: StandIn) -> None:
    content = pack({"main.js": b"", "bundle.json": MANIFEST, "._main.js": b"what a Mac leaves"})
    found = standin.call("POST", f"{EW}/validations", data=content, headers=GZIP)
    assert found.json() == {"errors": [], "warnings": []}


def test_an_activation_goes_through_its_states(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 0.1, "PRODUCTION": 1.0})
    ew_id = standin.new_id()
    standin.upload(ew_id, "1", main_saying("1"))
    answer = standin.call(
        "POST", f"{EW}/ids/{ew_id}/activations", json={"network": "PRODUCTION", "version": "1", "note": "n"}
    )
    assert answer.status_code == 201
    asked = answer.json()
    assert (asked["status"], asked["note"], asked["activationId"]) == ("PRESUBMIT", "n", 1)
    assert answer.headers["Location"] == f"{EW}/ids/{ew_id}/activations/1"
    seen = [asked["status"]]
    assert standin.get("/").status_code == 503
    while seen[-1] != "COMPLETE":
        status = standin.call("GET", f"{EW}/ids/{ew_id}/activations/1").json()["status"]
        seen += [status] if status != seen[-1] else []
    assert seen == ["PRESUBMIT", "PENDING", "IN_PROGRESS", "COMPLETE"]
    assert standin.get("/").text == "1"
    assert standin.get("/", port="data_staging").status_code == 503


def test_networks_are_apart_and_the_live_version_can_be_read_back(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    ew_id = standin.deploy(main_saying("1"), network="STAGING")
    standin.upload(ew_id, "2", main_saying("2"))
    assert standin.activate(ew_id, "1", "PRODUCTION") == "COMPLETE"
    assert standin.activate(ew_id, "2", "STAGING") == "COMPLETE"
    assert (standin.get("/").text, standin.get("/", port="data_staging").text) == ("1", "2")
    live = f"{EW}/ids/{ew_id}/activations?activeOnNetwork=true&network="
    assert [row["version"] for row in standin.call("GET", live + "PRODUCTION").json()["activations"]] == ["1"]
    assert [row["version"] for row in standin.call("GET", live + "STAGING").json()["activations"]] == ["2"]
    everything = standin.call("GET", f"{EW}/ids/{ew_id}/activations").json()["activations"]
    assert [row["activationId"] for row in everything] == [3, 2, 1]


def test_a_live_or_moving_version_is_not_activated_again(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 0.3, "PRODUCTION": 0.3})
    ew_id = standin.new_id()
    standin.upload(ew_id, "1", main_saying("1"))
    body = {"network": "PRODUCTION", "version": "1"}
    first = standin.call("POST", f"{EW}/ids/{ew_id}/activations", json=body).json()
    again = standin.call("POST", f"{EW}/ids/{ew_id}/activations", json=body)
    assert problem(again, 400, "EW1021") == "This version is already being activated on production"
    assert standin.settled(ew_id, first["activationId"]) == "COMPLETE"
    problem(standin.call("POST", f"{EW}/ids/{ew_id}/activations", json=body), 400, "EW1021")
    assert "active" in problem(standin.call("DELETE", f"{EW}/ids/{ew_id}/versions/1"), 400)
    assert "active" in problem(standin.call("DELETE", f"{EW}/ids/{ew_id}"), 400)


def test_a_pending_activation_can_be_cancelled(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 60, "PRODUCTION": 0.1})
    ew_id = standin.deploy(main_saying("1"))
    standin.upload(ew_id, "2", main_saying("2"))
    asked = standin.call("POST", f"{EW}/ids/{ew_id}/activations", json={"network": "STAGING", "version": "2"}).json()
    cancelled = standin.call("DELETE", f"{EW}/ids/{ew_id}/activations/{asked['activationId']}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
    done = standin.call("GET", f"{EW}/ids/{ew_id}/activations?version=1").json()["activations"][0]["activationId"]
    assert "COMPLETE" in problem(standin.call("DELETE", f"{EW}/ids/{ew_id}/activations/{done}"), 400)


def test_a_rollback_puts_the_previous_version_back(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    ew_id = standin.deploy(main_saying("1"))
    rollback = f"{EW}/ids/{ew_id}/activations/rollback"
    assert "no previous" in problem(standin.call("POST", rollback, json={"network": "PRODUCTION"}), 400)
    standin.upload(ew_id, "2", main_saying("2"))
    standin.activate(ew_id, "2")
    back = standin.call("POST", rollback, json={"network": "PRODUCTION", "note": "back"})
    assert (back.status_code, back.json()["version"]) == (201, "1")
    assert standin.settled(ew_id, back.json()["activationId"]) == "COMPLETE"
    assert standin.get("/").text == "1"


def test_a_deactivated_network_is_closed(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    ew_id = standin.deploy(main_saying("1"))
    body = {"network": "PRODUCTION", "version": "1"}
    asked = standin.call("POST", f"{EW}/ids/{ew_id}/deactivations", json=body)
    assert asked.status_code == 201
    problem(standin.call("POST", f"{EW}/ids/{ew_id}/deactivations", json=body), 400, "EW1031")
    assert standin.settled(ew_id, asked.json()["deactivationId"], "deactivations") == "COMPLETE"
    assert standin.get("/").json()["code"] == "EW_NO_BUNDLE"
    problem(standin.call("POST", f"{EW}/ids/{ew_id}/deactivations", json=body), 400, "EW1032")


@pytest.mark.parametrize("main", ["for (;;);", "throw new Error('at init');", "import 'fs';"])
def test_a_bundle_that_does_not_start_ends_in_error_and_the_old_one_stays(make_standin: MakeStandIn, main: str) -> None:
    standin = make_standin()
    ew_id = standin.deploy(main_saying("1"))
    standin.upload(ew_id, "2", main)
    assert standin.activate(ew_id, "2") == "ERROR"
    assert standin.get("/").text == "1"


def test_activations_are_rationed(make_standin: MakeStandIn) -> None:
    standin = make_standin(activations_per_minute=2)
    ew_id = standin.deploy(main_saying("1"))
    for version in ("2", "3"):
        standin.upload(ew_id, version, main_saying(version))
    standin.activate(ew_id, "2")
    refused = standin.call("POST", f"{EW}/ids/{ew_id}/activations", json={"network": "PRODUCTION", "version": "3"})
    assert "rate limit" in problem(refused, 429, "EW3101")
    assert standin.activate(ew_id, "3", "STAGING") == "COMPLETE"


def test_one_id_is_run_and_a_property_counts_where_its_rules_name_it(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    bound, other = standin.deploy(main_saying("bound")), standin.deploy(main_saying("other"))
    assert standin.get("/").text == "bound"
    assert used_by(standin, bound) == []
    one, headers = "/papi/v1/properties/prp_1", {"PAPI-Use-Prefixes": "true"}
    standin.call("POST", f"{one}/versions", headers=headers, json={"createFromVersion": 1}).raise_for_status()
    found = standin.call("GET", f"{one}/versions/2/rules", headers=headers).json()
    run = {"name": "edgeWorker", "options": {"enabled": True, "edgeWorkerId": str(bound)}}
    rules = {**found["rules"], "behaviors": [*found["rules"]["behaviors"], run]}
    tag = {**headers, "If-Match": f'"{found["etag"]}"'}
    standin.call("PUT", f"{one}/versions/2/rules", headers=tag, json={"rules": rules}).raise_for_status()
    assert (used_by(standin, bound), used_by(standin, other)) == (["local-edge"], [])
    assert used_by(standin, bound, activeOnly="true") == [], "the version that names it is not live"


def used_by(standin: StandIn, worker: int, **asked: str) -> list[str]:
    rows = standin.call("GET", f"{EW}/ids/{worker}/properties", params=asked).json()["properties"]
    return [row["propertyName"] for row in rows]


def test_injected_faults(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.faults(rules=[{"method": "GET", "path": f"{EW}/groups", "status": 500, "times": 2}])
    assert [standin.call("GET", f"{EW}/groups").status_code for _ in range(3)] == [500, 500, 200]
    standin.faults(rules=[{"method": "POST", "path": f"{EW}/ids", "status": 504, "after": True}])
    body = {"name": "lost answer", "groupId": 1, "resourceTierId": 200}
    assert standin.call("POST", f"{EW}/ids", json=body).status_code == 504
    assert [row["name"] for row in standin.call("GET", f"{EW}/ids").json()["edgeWorkerIds"]] == ["lost answer"]
    standin.faults(activation_results=["ABORTED"])
    ew_id = standin.new_id()
    standin.upload(ew_id, "1", MAIN)
    assert standin.activate(ew_id, "1") == "ABORTED"
    assert standin.activate(ew_id, "1") == "COMPLETE"


def test_a_signed_call_cannot_be_replayed(standin: StandIn) -> None:
    prepared = standin.http.prepare_request(requests.Request("GET", f"{standin.control}{EW}/groups"))
    assert requests.Session().send(prepared, timeout=5).status_code == 200
    time.sleep(0.01)
    assert problem(requests.Session().send(prepared, timeout=5), 401) == "The nonce was used before"
