"""The stand-in against Akamai's published descriptions: both what it accepts and what it answers.

The descriptions are not ours to ship; the test runs where they lie beside the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse

from apps.localedge.bundles import pack
from tests.contract.judging import SPECIFICATIONS, described, is_empty_list
from tests.localedge.pki import EDGE_ID, LOOPBACK, Authority, uri
from tests.localedge.standin import StandIn

EW, KV = "/edgeworkers/v1", "/edgekv/v1"

pytestmark = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(), reason="Akamai's API descriptions do not lie beside this repository"
)


class Judge:
    """Makes signed calls and holds request and answer against the description."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._descriptions = {
            EW: described(EW, standin.control),
            KV: described(KV, standin.control),
        }

    def call(self, method: str, path: str, status: int, **options: Any) -> Any:
        request = requests.Request(method, f"{self._standin.control}{path}", **options)
        prepared = self._standin.http.prepare_request(request)
        answer = self._standin.http.send(prepared, timeout=20)
        assert answer.status_code == status, answer.text
        description = self._descriptions[EW if path.startswith(EW) else KV]
        wanted = RequestsOpenAPIRequest(request)
        description.validate_request(wanted)
        if answer.content and not is_empty_list(answer):
            description.validate_response(wanted, RequestsOpenAPIResponse(answer))
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    directory = tmp_path_factory.mktemp("contract")
    authority = Authority(directory)
    cert, key = authority.issue("edge", [uri(EDGE_ID), LOOPBACK])
    origin = {"origin": "https://127.0.0.1:9", "origin_ca": str(authority.ca)}
    standin = StandIn(directory / "standin", {**origin, "origin_cert": str(cert), "origin_key": str(key)})
    standin.start()
    yield Judge(standin)
    standin.stop_if_running()


def bundle(version: str) -> bytes:
    manifest = json.dumps({"edgeworker-version": version, "bundle-version": 1})
    return pack({"main.js": b"export function onClientRequest() {}", "bundle.json": manifest.encode()})


def settled(judge: Judge, path: str) -> str:
    while True:
        status = str(judge.call("GET", path, 200)["status"])
        if status not in ("PRESUBMIT", "PENDING", "IN_PROGRESS"):
            return status


def test_edgeworkers(judge: Judge) -> None:
    group = judge.call("GET", f"{EW}/groups", 200)["groups"][0]["groupId"]
    judge.call("GET", f"{EW}/groups/{group}", 200)
    contract = judge.call("GET", f"{EW}/contracts", 200)["contractIds"][0]
    judge.call("GET", f"{EW}/limits", 200)
    tier = judge.call("GET", f"{EW}/resource-tiers", 200, params={"contractId": contract})["resourceTiers"][1][
        "resourceTierId"
    ]
    made = judge.call("POST", f"{EW}/ids", 201, json={"name": "gate", "groupId": group, "resourceTierId": tier})
    one = f"{EW}/ids/{made['edgeWorkerId']}"
    judge.call("GET", f"{EW}/ids", 200, params={"groupId": group})
    judge.call("GET", one, 200)
    judge.call("PUT", one, 200, json={"name": "door", "groupId": group})
    judge.call("GET", f"{one}/resource-tier", 200)
    judge.call("GET", f"{one}/properties", 200)
    judge.call("POST", f"{one}/clone", 201, json={"resourceTierId": 300})
    judge.call("GET", f"{EW}/ids/987654", 404)


def test_versions_and_activations(judge: Judge) -> None:
    group = judge.call("GET", f"{EW}/groups", 200)["groups"][0]["groupId"]
    made = judge.call("POST", f"{EW}/ids", 201, json={"name": "gate", "groupId": group, "resourceTierId": 200})
    one = f"{EW}/ids/{made['edgeWorkerId']}"
    gzip = {"Content-Type": "application/gzip"}
    judge.call("POST", f"{EW}/validations", 200, data=bundle("1"), headers=gzip)
    judge.call("POST", f"{EW}/validations", 200, data=b"no bundle", headers=gzip)
    for version in ("1", "2", "3"):
        judge.call("POST", f"{one}/versions", 201, data=bundle(version), headers=gzip)
    judge.call("POST", f"{one}/versions", 400, data=bundle("1"), headers=gzip)
    judge.call("GET", f"{one}/versions", 200)
    judge.call("GET", f"{one}/versions/1", 200)
    judge.call("GET", f"{one}/versions/9", 404)
    assert judge.call("GET", f"{one}/versions/1/content", 200, headers={"Accept": "application/gzip"}) == bundle("1")
    judge.call("DELETE", f"{one}/versions/3", 204)
    for version in ("1", "2"):
        asked = judge.call(
            "POST", f"{one}/activations", 201, json={"network": "STAGING", "version": version, "note": "n"}
        )
        assert settled(judge, f"{one}/activations/{asked['activationId']}") == "COMPLETE"
    judge.call("POST", f"{one}/activations", 400, json={"network": "STAGING", "version": "2"})
    judge.call("POST", f"{one}/activations", 404, json={"network": "STAGING", "version": "9"})
    live = judge.call("GET", f"{one}/activations", 200, params={"network": "STAGING", "activeOnNetwork": "true"})
    assert [row["version"] for row in live["activations"]] == ["2"]
    judge.call("DELETE", f"{one}/activations/{live['activations'][0]['activationId']}", 400)
    back = judge.call("POST", f"{one}/activations/rollback", 201, json={"network": "STAGING", "note": "back"})
    assert settled(judge, f"{one}/activations/{back['activationId']}") == "COMPLETE"
    judge.call("GET", f"{one}/deactivations", 200)
    gone = judge.call("POST", f"{one}/deactivations", 201, json={"network": "STAGING", "version": "1"})
    assert settled(judge, f"{one}/deactivations/{gone['deactivationId']}") == "COMPLETE"
    judge.call("GET", f"{one}/deactivations", 200)
    judge.call("DELETE", one, 204)


def test_edgekv(judge: Judge) -> None:
    policy = {"dataAccessPolicy": {"restrictDataAccess": True, "allowNamespacePolicyOverride": False}}
    judge.call("GET", f"{KV}/initialize", 404)
    judge.call("PUT", f"{KV}/initialize", 201, json=policy)
    judge.call("GET", f"{KV}/initialize", 200)
    group = judge.call("GET", f"{KV}/auth/groups", 200)["groups"][0]["groupId"]
    judge.call("GET", f"{KV}/auth/groups/{group}", 200)
    judge.call("GET", f"{KV}/auth/groups/999", 403)
    spaces = f"{KV}/networks/staging/namespaces"
    namespace = {"namespace": "sallyport", "retentionInSeconds": 0, "groupId": group, "geoLocation": "US"}
    judge.call("POST", spaces, 200, json=namespace)
    judge.call("POST", spaces, 409, json=namespace)
    judge.call("GET", spaces, 200, params={"details": "on"})
    judge.call("GET", f"{spaces}/sallyport", 200)
    judge.call("GET", f"{spaces}/absent", 400)
    judge.call("PUT", f"{spaces}/sallyport", 200, json={"namespace": "sallyport", "retentionInSeconds": 86_400})
    judge.call("GET", f"{spaces}/sallyport/groups", 404)
    item = f"{spaces}/sallyport/groups/services/items/cart"
    judge.call("PUT", item, 200, json={"v": 1})
    judge.call("PUT", item, 200, data="text", headers={"Content-Type": "text/plain"})
    judge.call("PUT", item, 413, data="x" * 262_145, headers={"Content-Type": "text/plain"})
    judge.call("PUT", item, 200, json={"v": 1})
    assert judge.call("GET", item, 200) == {"v": 1}
    judge.call("GET", f"{spaces}/sallyport/groups", 200)
    judge.call("GET", f"{spaces}/sallyport/groups/services", 200)
    judge.call("DELETE", item, 200)
    judge.call("GET", item, 404)
    judge.call("GET", f"{spaces}/sallyport/groups/services", 404)


def test_edgekv_tokens(judge: Judge) -> None:
    token = {
        "name": "t",
        "allowOnStaging": True,
        "allowOnProduction": True,
        "namespacePermissions": {"sallyport": ["r"]},
    }
    judge.call("POST", f"{KV}/tokens", 200, json={**token, "restrictToEdgeWorkerIds": ["1"]})
    judge.call("POST", f"{KV}/tokens", 409, json=token)
    judge.call("GET", f"{KV}/tokens", 200)
    judge.call("GET", f"{KV}/tokens/t", 200)
    judge.call("POST", f"{KV}/tokens/t/refresh", 200)
    judge.call("DELETE", f"{KV}/tokens/t", 200)
    judge.call("GET", f"{KV}/tokens/t", 404)
