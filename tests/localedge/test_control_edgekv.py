"""EdgeKV API: namespaces, items and tokens, and what of them the edge sees."""

from __future__ import annotations

import time

import pytest
import requests

from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import StandIn, eventually

KV = "/edgekv/v1"
SPACE = f"{KV}/networks/production/namespaces/sallyport"
TEXT = {"Content-Type": "text/plain"}

READER = """
import { httpRequest } from 'http-request';
export async function onClientRequest(request) {
  const url = 'https://edgekv.akamai-edge-svcs.net/api/v1/namespaces/sallyport/groups/services/items' + request.path;
  const found = await httpRequest(url, { headers: { 'X-Akamai-EdgeDB-Auth-Ref': ['REFERENCE'] } });
  request.respondWith(200, {}, found.status + ' ' + (found.ok ? await found.text() : ''));
}
"""


def problem(answer: requests.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert (body["errorCode"], len(body["additionalDetail"]["requestId"])) == (code, 16)
    return str(body["detail"])


@pytest.fixture(scope="module")
def reference(standin: StandIn) -> str:
    return standin.open_store()


def test_nothing_works_before_initialisation(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    assert standin.call("GET", f"{KV}/initialize").status_code == 404
    body = {"namespace": "early", "retentionInSeconds": 0, "groupId": 1}
    assert "not initialized" in problem(
        standin.call("POST", f"{KV}/networks/staging/namespaces", json=body), 400, "EKV_2000"
    )
    started = standin.call(
        "PUT",
        f"{KV}/initialize",
        json={"dataAccessPolicy": {"restrictDataAccess": True, "allowNamespacePolicyOverride": False}},
    )
    assert (started.status_code, started.json()["accountStatus"]) == (201, "INITIALIZED")
    assert standin.call("PUT", f"{KV}/initialize").status_code == 201
    listed = standin.call("GET", f"{KV}/networks/staging/namespaces").json()["namespaces"]
    assert [row["namespace"] for row in listed] == ["default"]


def test_standard_tls_needs_an_entitlement(standin: StandIn) -> None:
    body = {"dataAccessPolicy": {"restrictDataAccess": False, "allowNamespacePolicyOverride": False}}
    problem(standin.call("PUT", f"{KV}/initialize", json=body), 400, "EKV_1005")


@pytest.mark.usefixtures("reference")
def test_a_namespace_is_made_once(standin: StandIn) -> None:
    body = {"namespace": "sallyport", "retentionInSeconds": 0, "groupId": 1}
    problem(standin.call("POST", f"{KV}/networks/PRODUCTION/namespaces", json=body), 409, "EKV_3000")
    found = standin.call("GET", SPACE).json()
    assert (found["namespace"], found["retentionInSeconds"], found["geoLocation"]) == ("sallyport", 0, "US")
    changed = standin.call("PUT", SPACE, json={"namespace": "sallyport", "retentionInSeconds": 86_400})
    assert changed.json()["retentionInSeconds"] == 86_400
    problem(standin.call("GET", f"{KV}/networks/staging/namespaces/absent"), 400, "EKV_9000")


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize(
    "body",
    [
        {"namespace": "no dots.", "retentionInSeconds": 0, "groupId": 1},
        {"namespace": "-x", "retentionInSeconds": 0, "groupId": 1},
        {"namespace": "x" * 33, "retentionInSeconds": 0, "groupId": 1},
        {"namespace": "short", "retentionInSeconds": 60, "groupId": 1},
        {"namespace": "short", "groupId": 1},
        {"namespace": "short", "retentionInSeconds": 0},
        {"namespace": "short", "retentionInSeconds": 0, "groupId": 1, "geoLocation": "EU"},
    ],
)
def test_bad_namespaces_are_refused(standin: StandIn, body: dict[str, object]) -> None:
    problem(standin.call("POST", f"{KV}/networks/staging/namespaces", json=body), 400, "EKV_2000")


@pytest.mark.usefixtures("reference")
def test_an_item_lives_and_dies(standin: StandIn) -> None:
    put = standin.item("PUT", "life", '{"a": 1}')
    assert put.text == "Item was upserted in database, namespace sallyport, group services, and key life."
    assert standin.item("GET", "life").text == '{"a": 1}'
    assert "life" in standin.call("GET", f"{SPACE}/groups/services").json()
    assert standin.call("GET", f"{SPACE}/groups").json() == ["services"]
    assert standin.item("GET", "life", network="staging").status_code == 404
    assert standin.item("DELETE", "life").status_code == 200
    assert "was not found" in problem(standin.item("GET", "life"), 404, "EKV_9000")
    assert standin.item("DELETE", "life").status_code == 200


@pytest.mark.usefixtures("reference")
def test_bad_items_are_refused(standin: StandIn) -> None:
    problem(standin.item("PUT", "a.b", "x"), 400, "EKV_9000")
    problem(standin.item("PUT", "a" * 513, "x"), 400, "EKV_9000")
    problem(standin.item("PUT", "long", "x" * 262_145), 413, "EKV_9000")
    assert standin.item("PUT", "long", "x" * 262_144).status_code == 200
    path = f"{SPACE}/groups/services/items/json"
    problem(standin.call("PUT", path, data="{", headers={"Content-Type": "application/json"}), 422, "EKV_2001")
    elsewhere = f"{KV}/networks/production/namespaces/absent/groups/services/items/a"
    problem(standin.call("PUT", elsewhere, data="x", headers=TEXT), 400, "EKV_9000")
    problem(standin.call("GET", f"{SPACE}/groups/empty"), 404, "EKV_9000")


@pytest.mark.usefixtures("reference")
def test_listing_is_bounded(standin: StandIn) -> None:
    for number in range(105):
        path = f"{SPACE}/groups/many/items/k{number:03}"
        assert standin.call("PUT", path, data="x", headers=TEXT).status_code == 200
    assert len(standin.call("GET", f"{SPACE}/groups/many").json()) == 100
    assert len(standin.call("GET", f"{SPACE}/groups/many?maxItems=500").json()) == 105


@pytest.mark.usefixtures("reference")
def test_a_token_has_no_value_and_is_made_once(standin: StandIn) -> None:
    body = {
        "name": "t1",
        "allowOnStaging": True,
        "allowOnProduction": False,
        "namespacePermissions": {"sallyport": ["r"]},
    }
    made = standin.call("POST", f"{KV}/tokens", json=body).json()
    assert "value" not in made
    assert made["expiry"] == "9999-12-31"
    assert standin.call("GET", f"{KV}/tokens/t1").json() == made
    problem(standin.call("POST", f"{KV}/tokens", json=body), 409, "EKV_3000")
    assert standin.call("POST", f"{KV}/tokens/t1/refresh").json()["latestRefreshDate"] == made["issueDate"]
    assert standin.call("DELETE", f"{KV}/tokens/t1").json() == {"name": "t1", "uuid": made["uuid"]}
    problem(standin.call("GET", f"{KV}/tokens/t1"), 404, "EKV_3000")
    for wrong in (
        {"name": "a b"},
        {"allowOnStaging": False},
        {"namespacePermissions": {}},
        {"namespacePermissions": {"x": ["q"]}},
    ):
        problem(standin.call("POST", f"{KV}/tokens", json={**body, "name": "t2", **wrong}), 400, "EKV_2000")


def test_the_edge_reads_what_was_written(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    main = READER.replace("REFERENCE", standin.open_store())
    ew_id = standin.deploy(main)
    standin.activate(ew_id, "1", "STAGING")
    assert standin.get("/k").text == "404 "
    standin.item("PUT", "k", "value")
    assert standin.get("/k").text == "200 value"
    assert standin.get("/k", port="data_staging").text == "404 "
    standin.item("DELETE", "k")
    assert standin.get("/k").text == "404 "


def test_a_deleted_token_reads_nothing(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    standin.item("PUT", "k", "value")
    assert standin.get("/k").text == "200 value"
    standin.call("DELETE", f"{KV}/tokens/reader-sallyport")
    assert standin.get("/k").text == "401 "


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "404 "),
        ({"allowOnProduction": False, "allowOnStaging": True}, "401 "),
        ({"namespacePermissions": {"default": ["r"]}}, "401 "),
        ({"namespacePermissions": {"sallyport": ["w", "d"]}}, "401 "),
        ({"restrictToEdgeWorkerIds": ["1"]}, "404 "),
        ({"restrictToEdgeWorkerIds": ["2"]}, "401 "),
    ],
)
def test_a_token_opens_what_it_names(make_standin: MakeStandIn, changes: dict[str, object], expected: str) -> None:
    standin = make_standin()
    standin.open_store()
    body = {
        "name": "t",
        "allowOnStaging": False,
        "allowOnProduction": True,
        "namespacePermissions": {"sallyport": ["r"]},
    }
    reference = standin.call("POST", f"{KV}/tokens", json={**body, **changes}).json()["uuid"]
    standin.deploy(READER.replace("REFERENCE", reference))
    assert standin.get("/k").text == expected


def test_writes_take_their_time_to_arrive(make_standin: MakeStandIn) -> None:
    standin = make_standin(kv_delay=0.6)
    standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    standin.item("PUT", "k", "one")
    assert standin.get("/k").text == "404 "
    eventually(lambda: standin.get("/k").text == "200 one", patience=3)
    began = time.monotonic()
    standin.item("PUT", "k", "two")
    assert standin.get("/k").text == "200 one"
    eventually(lambda: standin.get("/k").text == "200 two", patience=3)
    assert time.monotonic() - began >= 0.6


def test_throttling_and_an_unreadable_store(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    standin.item("PUT", "k", "value")
    standin.faults(edgekv_hits_per_second=2, edgekv_read={"status": 503})
    answers = [standin.item("GET", "k") for _ in range(3)]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert "limit set at 2" in problem(answers[2], 429, "EKV_9100")
    assert standin.get("/k").text == "503 "
    standin.faults()
    assert standin.get("/k").text == "200 value"


def test_an_unfinished_body_is_refused(standin: StandIn) -> None:
    headers = {"Content-Type": "application/json"}
    problem(standin.call("POST", f"{KV}/tokens", data="{", headers=headers), 422, "EKV_2001")
