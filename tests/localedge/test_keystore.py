"""The local edge's keystore: keys that stay in it, certificates that are handed in, and what the origin is shown."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.localedge.conftest import MakeStandIn
from tests.localedge.origin import OriginServer
from tests.localedge.pki import EDGE_ID, Authority, uri
from tests.localedge.standin import StandIn, eventually
from tests.localedge.test_streams import RULES, TYPE

CERTIFICATES = "/mtls-origin-keystore/v1/client-certificates"
FORWARD = "export function onClientRequest(request) { request.setVariable('PMUSER_X', '1'); }"
WISH = {
    "certificateName": "sallyport",
    "contractId": "C-LOCAL",
    "groupId": 1,
    "geography": "CORE",
    "secureNetwork": "STANDARD_TLS",
    "signer": "THIRD_PARTY",
    "keyAlgorithm": "ECDSA",
    "notificationEmails": ["a@b.c"],
}


@pytest.fixture
def standin(make_standin: MakeStandIn) -> StandIn:
    return make_standin()


def made(standin: StandIn) -> str:
    answer = standin.call("POST", CERTIFICATES, json=WISH)
    assert answer.status_code == 201, answer.text
    return f"{CERTIFICATES}/{answer.json()['certificateId']}/versions"


def newest(standin: StandIn, path: str) -> dict[str, Any]:
    found: dict[str, Any] = standin.call("GET", path).json()["versions"][0]
    return found


def sign(standin: StandIn, path: str, authority: Authority) -> str:
    """The GUID of the version, once it is deployed."""
    version = newest(standin, path)
    request = x509.load_pem_x509_csr(version["csrBlock"]["csr"].encode())
    signed = authority.sign_request(request, [uri(EDGE_ID)])
    body = {"certificate": signed, "trustChain": authority.ca.read_text()}
    answer = standin.call("POST", f"{path}/{version['version']}/certificate-block", json=body)
    assert answer.status_code == 200, answer.text
    eventually(lambda: newest(standin, path)["status"] == "DEPLOYED")
    return str(version["versionGuid"])


def name_in_property(standin: StandIn, guid: str) -> int:
    latest = standin.call("GET", f"{RULES}/versions").json()["versions"]["items"][0]["propertyVersion"]
    link = standin.call("POST", f"{RULES}/versions", json={"createFromVersion": latest}).json()["versionLink"]
    path = link.partition("?")[0]
    read = standin.call("GET", f"{path}/rules").json()
    kept = [one for one in read["rules"]["behaviors"] if one["name"] != "mtlsOriginKeystore"]
    options = {"enable": True, "authClientCert": True, "clientCertificateVersionGuid": guid}
    rules = {**read["rules"], "behaviors": [*kept, {"name": "mtlsOriginKeystore", "options": options}]}
    headers = {"If-Match": f'"{read["etag"]}"', "Content-Type": TYPE}
    assert standin.call("PUT", f"{path}/rules", json={"rules": rules}, headers=headers).status_code == 200
    wish = {"propertyVersion": int(path.rpartition("/")[2]), "network": "PRODUCTION", "notifyEmails": ["a@b.c"]}
    return standin.call("POST", f"{RULES}/activations", json={**wish, "acknowledgeAllWarnings": True}).status_code


def production_version(standin: StandIn) -> int:
    row = standin.call("GET", RULES).json()["properties"]["items"][0]
    return int(row["productionVersion"])


def test_the_origin_is_shown_the_certificate_the_live_property_names(
    standin: StandIn, authority: Authority, origin: OriginServer
) -> None:
    standin.deploy(FORWARD)
    path = made(standin)
    guid = sign(standin, path, authority)
    assert standin.get("/").json()["client_serial"] != serial(standin, path)
    assert name_in_property(standin, guid) == 201
    eventually(lambda: standin.get("/").json()["client_serial"] == serial(standin, path))
    standin.kill()
    standin.start()
    assert eventually(lambda: standin.get("/").json())["client_serial"] == serial(standin, path)


def serial(standin: StandIn, path: str) -> int:
    pem = newest(standin, path)["certificateBlock"]["certificate"]
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_rotation_has_a_key_of_its_own_and_aliases_name_the_signed_ones(
    standin: StandIn, authority: Authority
) -> None:
    path = made(standin)
    sign(standin, path, authority)
    assert standin.call("POST", path).status_code == 201
    assert standin.call("POST", path).status_code == 409
    sign(standin, path, authority)
    rows = standin.call("GET", path).json()["versions"]
    assert [(row["version"], row["versionAlias"]) for row in rows] == [
        (2, None),
        (1, None),
        (2, "CURRENT"),
        (1, "PREVIOUS"),
    ]
    keys = {_public(row["csrBlock"]["csr"]) for row in rows}
    assert len(keys) == 2


def _public(csr: str) -> bytes:
    key = x509.load_pem_x509_csr(csr.encode()).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_what_is_in_use_is_not_deleted_and_what_is_unknown_is_not_activated(
    standin: StandIn, authority: Authority
) -> None:
    path = made(standin)
    guid = sign(standin, path, authority)
    assert name_in_property(standin, "not-there") == 400
    assert name_in_property(standin, guid) == 201
    eventually(lambda: production_version(standin) > 1)
    assert standin.call("DELETE", f"{path}/1").status_code == 409
    standin.call("POST", path)
    assert standin.call("DELETE", f"{path}/2").status_code == 204
    assert standin.call("POST", path).json()["version"] == 3


def test_a_certificate_for_another_key_is_refused(standin: StandIn, authority: Authority) -> None:
    path = made(standin)
    cert, _key = authority.issue("stranger", [uri(EDGE_ID)])
    for body in ({"certificate": cert.read_text()}, {"certificate": "rubbish"}, {}):
        assert standin.call("POST", f"{path}/1/certificate-block", json=body).status_code == 400
    assert newest(standin, path)["status"] == "AWAITING_SIGNED_CERTIFICATE"


def test_no_private_key_ever_comes_out(standin: StandIn, authority: Authority) -> None:
    path = made(standin)
    sign(standin, path, authority)
    assert "PRIVATE" not in standin.call("GET", path).text + standin.call("GET", CERTIFICATES).text


@pytest.mark.parametrize(
    "change",
    [{"certificateName": ""}, {"geography": "MOON"}, {"signer": "AKAMAI"}, {"groupId": "1"}, {"contractId": ""}],
)
def test_what_is_wrong_is_refused(standin: StandIn, change: dict[str, Any]) -> None:
    assert standin.call("POST", CERTIFICATES, json={**WISH, **change}).status_code == 400
