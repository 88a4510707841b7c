"""Property Manager and what else a preflight asks, against Akamai's published descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse

from apps.rollout.drivers.akamai.stream import FIELDS
from tests.contract.test_localedge_openapi import EW, KV, SPECIFICATIONS
from tests.localedge.pki import EDGE_ID, LOOPBACK, Authority, uri
from tests.localedge.standin import StandIn

PAPI, IAM, LISTS, KEYSTORE = "/papi/v1", "/identity-management/v3", "/network-list/v2", "/mtls-origin-keystore/v1"
STREAMS = "/datastream-config-api/v2"
FILES = {
    EW: "edgeworkers",
    KV: "edgekv",
    PAPI: "papi",
    IAM: "iam",
    LISTS: "network-lists",
    KEYSTORE: "mtls-origin-keystore.derived",
    STREAMS: "datastream",
}
RULES_TYPE = "application/vnd.akamai.papirules.v2025-10-16+json"
UNPUBLISHED = ("errors", "warnings")
"""The document has no place for these in a rule tree's answer, though the live API's clients read them there."""

pytestmark = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(), reason="Akamai's API descriptions do not lie beside this repository"
)


def described(base: str, control: str) -> OpenAPI:
    document = json.loads((SPECIFICATIONS / f"{FILES[base]}.openapi.json").read_text())
    document["servers"] = [{"url": f"{control}{base}"}]
    kinds = {"application/problem+json": json.loads, RULES_TYPE: json.loads, "*/*": json.loads}
    return OpenAPI.from_dict(document, config=Config(extra_media_type_deserializers=kinds))


class Witness:
    """Listens to a session: each request and each answer is held against the description. ``heard`` counts calls."""

    def __init__(self, control: str) -> None:
        self._control = control
        self._descriptions: dict[str, OpenAPI] = {}
        self.heard: list[tuple[str, str, int]] = []

    def listen(self, session: requests.Session) -> None:
        session.hooks["response"].append(self.judge)

    def judge(self, answer: requests.Response, **_: object) -> None:
        path = answer.request.path_url
        base = next((one for one in FILES if path.startswith(one)), "")
        if not base:
            return  # nothing is published about client lists
        if base not in self._descriptions:
            self._descriptions[base] = described(base, self._control)
        description = self._descriptions[base]
        self.heard.append((str(answer.request.method), path.partition("?")[0], answer.status_code))
        wanted = RequestsOpenAPIRequest(answer.request)
        if answer.status_code not in (400, 415):
            description.validate_request(wanted)
        if answer.content:
            description.validate_response(wanted, RequestsOpenAPIResponse(published(answer)))


def published(answer: requests.Response) -> requests.Response:
    """Without what the document has no place for."""
    if "json" not in answer.headers.get("content-type", ""):
        return answer
    body = answer.json()
    if not isinstance(body, dict) or not any(name in body for name in UNPUBLISHED):
        return answer
    shown = requests.Response()
    shown.status_code, shown.headers, shown.request = answer.status_code, answer.headers, answer.request
    shown._content = json.dumps({name: value for name, value in body.items() if name not in UNPUBLISHED}).encode()
    return shown


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    directory = tmp_path_factory.mktemp("contract")
    authority = Authority(directory)
    cert, key = authority.issue("edge", [uri(EDGE_ID), LOOPBACK])
    origin = {"origin": "https://127.0.0.1:9", "origin_ca": str(authority.ca)}
    made = StandIn(directory / "standin", {**origin, "origin_cert": str(cert), "origin_key": str(key)})
    made.start()
    yield made
    made.stop_if_running()


@pytest.fixture(scope="module")
def witness(standin: StandIn) -> Witness:
    heard = Witness(standin.control)
    heard.listen(standin.http)
    return heard


def call(standin: StandIn, method: str, path: str, status: int, **options: Any) -> Any:
    headers = {"PAPI-Use-Prefixes": "true", **options.pop("headers", {})}
    answer = standin.call(method, path, headers=headers, **options)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.usefixtures("witness")
def test_what_a_client_learns_about_itself(standin: StandIn) -> None:
    plain = call(standin, "GET", f"{IAM}/api-clients/self", 200)
    assert "credentials" not in plain
    told = call(standin, "GET", f"{IAM}/api-clients/self", 200, params={"apiAccess": "true", "credentials": "true"})
    assert told["credentials"][0]["status"] == "ACTIVE"
    assert call(standin, "GET", f"{KEYSTORE}/client-certificates", 200)["certificates"][0]["certificateId"] == 1
    assert call(standin, "GET", f"{LISTS}/network-lists", 200) == {"networkLists": []}


@pytest.mark.usefixtures("witness")
def test_what_a_stream_may_log(standin: StandIn) -> None:
    assert call(standin, "GET", f"{STREAMS}/log/streams", 200) == []
    fields = call(standin, "GET", f"{STREAMS}/log/datasets-fields", 200)["datasetFields"]
    assert set(FIELDS) == {one["datasetFieldId"] for one in fields}


@pytest.mark.usefixtures("witness")
def test_where_properties_are(standin: StandIn) -> None:
    group = call(standin, "GET", f"{PAPI}/groups", 200)["groups"]["items"][0]
    call(standin, "GET", f"{PAPI}/contracts", 200)
    where = {"contractId": group["contractIds"][0], "groupId": group["groupId"]}
    (row,) = call(standin, "GET", f"{PAPI}/properties", 200, params=where)["properties"]["items"]
    assert (row["propertyId"], row["productionVersion"]) == ("prp_1", 1)
    bare = call(standin, "GET", f"{PAPI}/properties/1", 200, headers={"PAPI-Use-Prefixes": "false"})
    assert bare["properties"]["items"][0]["propertyId"] == "1"
    call(standin, "GET", f"{PAPI}/properties/prp_9", 404)
    found = call(standin, "POST", f"{PAPI}/search/find-by-value", 200, json={"hostname": "api.shop.localhost"})
    assert [one["propertyVersion"] for one in found["versions"]["items"]] == [1]
    none = call(standin, "POST", f"{PAPI}/search/find-by-value", 200, json={"hostname": "elsewhere.test"})
    assert none["versions"]["items"] == []
    call(standin, "GET", f"{PAPI}/properties/prp_1/versions", 200)
    hostnames = call(standin, "GET", f"{PAPI}/properties/prp_1/versions/1/hostnames", 200)["hostnames"]["items"]
    assert [one["cnameFrom"] for one in hostnames] == ["api.shop.localhost"]


@pytest.mark.usefixtures("witness")
def test_a_version_is_written_by_who_read_it_last_and_activated_with_its_warnings_named(standin: StandIn) -> None:
    one = f"{PAPI}/properties/prp_1"
    first = call(standin, "GET", f"{one}/versions/1/rules", 200, headers={"Accept": RULES_TYPE})
    call(standin, "POST", f"{one}/versions", 400, json={"createFromVersion": 1, "createFromVersionEtag": "old"})
    wish = {"createFromVersion": 1, "createFromVersionEtag": first["etag"]}
    link = call(standin, "POST", f"{one}/versions", 201, json=wish)["versionLink"]
    assert link.startswith(f"{one}/versions/2?")
    rules = f"{one}/versions/2/rules"
    read = call(standin, "GET", rules, 200, headers={"Accept": RULES_TYPE})
    assert read["etag"] != first["etag"]
    tree = {**read["rules"], "variables": [{"name": "PMUSER_X", "value": "", "hidden": True, "sensitive": False}]}
    kind = {"Content-Type": RULES_TYPE}
    mine, old = {**kind, "If-Match": f'"{read["etag"]}"'}, {**kind, "If-Match": '"old"'}
    data = json.dumps({"rules": tree})
    call(standin, "PUT", f"{one}/versions/1/rules", 400, headers=mine, data=data)
    call(standin, "PUT", rules, 412, headers=old, data=data)
    tried = call(standin, "PUT", rules, 200, headers=mine, data=data, params={"dryRun": "true"})
    assert call(standin, "GET", rules, 200, headers={"Accept": RULES_TYPE})["etag"] == read["etag"]
    kept = call(standin, "PUT", rules, 200, headers=mine, data=data)
    assert (kept["etag"], kept["rules"]) == (tried["etag"], tree)
    wish = {"propertyVersion": 2, "network": "STAGING", "notifyEmails": ["ops@shop.test"], "note": "n"}
    refused = call(standin, "POST", f"{one}/activations", 400, json=wish)
    named = [warning["messageId"] for warning in refused["warnings"]]
    assert named == [warning["messageId"] for warning in kept["warnings"]]
    asked = call(standin, "POST", f"{one}/activations", 201, json={**wish, "acknowledgeWarnings": named})
    link = asked["activationLink"]
    while (state := call(standin, "GET", link.partition("?")[0], 200)["activations"]["items"][0]["status"]) != "ACTIVE":
        assert state in ("NEW", "PENDING", "ZONE_1", "ZONE_2", "ZONE_3")
    call(standin, "GET", f"{one}/activations", 200)
    assert call(standin, "GET", one, 200)["properties"]["items"][0]["stagingVersion"] == 2


@pytest.mark.usefixtures("witness")
def test_what_is_wrong_is_kept_and_cannot_be_activated(standin: StandIn) -> None:
    one = f"{PAPI}/properties/prp_1"
    link = call(standin, "POST", f"{one}/versions", 201, json={"createFromVersion": 1})["versionLink"].partition("?")[0]
    read = call(standin, "GET", f"{link}/rules", 200, headers={"Accept": RULES_TYPE})
    worker = {"name": "edgeWorker", "options": {"enabled": True, "edgeWorkerId": "987654"}}
    tree = {**read["rules"], "behaviors": [*read["rules"]["behaviors"], worker]}
    headers = {"Content-Type": RULES_TYPE, "If-Match": f'"{read["etag"]}"'}
    kept = call(standin, "PUT", f"{link}/rules", 200, headers=headers, data=json.dumps({"rules": tree}))
    assert [error["errorLocation"] for error in kept["errors"]] == ["#/rules/behaviors/2"]
    version = int(link.rpartition("/")[2])
    wish = {"propertyVersion": version, "network": "STAGING", "notifyEmails": ["ops@shop.test"]}
    call(standin, "POST", f"{one}/activations", 400, json={**wish, "acknowledgeAllWarnings": True})
    call(standin, "GET", f"{link}/rules", 406, headers={"Accept": RULES_TYPE.replace("2025", "2015")})


def test_every_call_was_judged(witness: Witness) -> None:
    assert {base for _, path, _ in witness.heard for base in FILES if path.startswith(base)} == {
        PAPI,
        IAM,
        LISTS,
        KEYSTORE,
        STREAMS,
    }
    assert len(witness.heard) > 25
