"""Signatures: the published algorithm, and everything that must not pass for one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
import requests
from akamai.edgegrid import EdgeGridAuth

from apps.localedge.config import Credential
from apps.localedge.edgegrid import Verifier, content_hash, signature, signing_key
from apps.localedge.http import Problem, Request

CREDENTIAL = Credential("akab-client-token-xxx", "client-secret-xxx=", "akab-access-token-xxx")
HOST = "akab-test.luna.akamaiapis.net"
TIMESTAMP = "20260101T00:00:00+0000"
AT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
NONCE = "00000000-0000-4000-8000-000000000000"
UNSIGNED = (
    "EG1-HMAC-SHA256 client_token=akab-client-token-xxx;access_token=akab-access-token-xxx;"
    f"timestamp={TIMESTAMP};nonce={NONCE};"
)


def request_for(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Request:
    return Request(method, "https", target, {"host": HOST, **(headers or {})}, body, "127.0.0.1")


def signed(method: str, target: str, body: bytes = b"", *, nonce: str = NONCE) -> Request:
    unsigned = UNSIGNED.replace(NONCE, nonce)
    plain = request_for(method, target, body)
    value = unsigned + "signature=" + signature(CREDENTIAL, plain, unsigned, TIMESTAMP)
    return request_for(method, target, body, {"authorization": value})


def refusal(request: Request, *, at: float = AT, verifier: Verifier | None = None) -> str:
    with pytest.raises(Problem) as refused:
        (verifier or Verifier((CREDENTIAL,))).caller(request, at)
    assert refused.value.status == 401
    return str(refused.value.body["detail"])


def test_the_signing_key_is_the_published_one() -> None:
    assert signing_key(CREDENTIAL.client_secret, TIMESTAMP) == "SZhcRNoSNtW56m8xTrxlmY1sFh8cQ+D0dqPGDHlibC8="


@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("GET", "/edgeworkers/v1/ids?groupId=7", b"", "3IZW1fZ96FAcv9J7luGclI919ojk3KrZj5aenBixniI="),
        (
            "POST",
            "/edgeworkers/v1/ids/42/activations",
            b'{"network":"STAGING","version":"1"}',
            "H4m1yO87rLJlo9QMBRhd9wP1nWaXm2ZZYiD7TuuSZKw=",
        ),
        (
            "PUT",
            "/edgekv/v1/networks/staging/namespaces/sallyport/groups/grants/items/k1",
            b'{"a":1}',
            "Paja0Yyas2UtLDcFRnmCotLAm2aFQUB8mE8FSOPgT1g=",
        ),
    ],
)
def test_signatures_are_the_published_ones(method: str, target: str, body: bytes, expected: str) -> None:
    assert signature(CREDENTIAL, request_for(method, target, body), UNSIGNED, TIMESTAMP) == expected


def test_only_the_first_part_of_a_post_is_hashed() -> None:
    body = b"x" * 131_072 + b"and what follows"
    expected = base64.b64encode(hashlib.sha256(b"x" * 131_072).digest()).decode()
    assert content_hash("POST", body) == expected
    assert content_hash("PUT", body) == ""


def test_what_the_public_client_signs_is_accepted() -> None:
    client = EdgeGridAuth(CREDENTIAL.client_token, CREDENTIAL.client_secret, CREDENTIAL.access_token)
    prepared = requests.Request(
        "POST", f"https://{HOST}/edgeworkers/v1/ids;a=1?x=%20y&z=", json={"name": "gate"}, auth=client
    ).prepare()
    headers = {name.lower(): value for name, value in prepared.headers.items()}
    body = prepared.body if isinstance(prepared.body, bytes) else b""
    request = request_for("POST", str(prepared.path_url), body, headers)
    now = datetime.now(UTC).timestamp()
    assert Verifier((CREDENTIAL,)).caller(request, now) == CREDENTIAL.client_token


def test_a_signature_is_for_one_method_path_and_body() -> None:
    good = signed("POST", "/edgeworkers/v1/ids", b"{}")
    for method, target, body in [
        ("PUT", "/edgeworkers/v1/ids", b"{}"),
        ("POST", "/edgeworkers/v1/ids?groupId=1", b"{}"),
        ("POST", "/edgeworkers/v1/ids", b"{ }"),
    ]:
        assert refusal(request_for(method, target, body, good.headers)) == "The signature does not match"
    assert Verifier((CREDENTIAL,)).caller(good, AT) == CREDENTIAL.client_token


def test_a_signature_is_good_for_thirty_seconds_either_way() -> None:
    for skew in (-31, 31):
        assert refusal(signed("GET", "/edgeworkers/v1/ids"), at=AT + skew) == "Invalid timestamp"
    for skew in (-30, 30):
        Verifier((CREDENTIAL,)).caller(signed("GET", "/edgeworkers/v1/ids"), AT + skew)


def test_a_nonce_is_good_once() -> None:
    verifier = Verifier((CREDENTIAL,))
    verifier.caller(signed("GET", "/edgeworkers/v1/ids"), AT)
    replayed = signed("GET", "/edgeworkers/v1/ids")
    assert refusal(replayed, at=AT + 29, verifier=verifier) == "The nonce was used before"
    verifier.caller(signed("GET", "/edgeworkers/v1/ids", nonce="another"), AT)


def test_a_forged_signature_uses_no_nonce_up() -> None:
    verifier = Verifier((CREDENTIAL,))
    forged = request_for("GET", "/edgeworkers/v1/ids", headers={"authorization": UNSIGNED + "signature=AAAA"})
    refusal(forged, verifier=verifier)
    assert verifier.caller(signed("GET", "/edgeworkers/v1/ids"), AT) == CREDENTIAL.client_token


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer abc",
        UNSIGNED,
        UNSIGNED.replace("EG1", "EG2") + "signature=AAAA",
        UNSIGNED.replace("client_token=akab-client-token-xxx;", "") + "signature=AAAA",
    ],
)
def test_other_headers_are_refused(header: str) -> None:
    request = request_for("GET", "/edgeworkers/v1/ids", headers={"authorization": header})
    assert refusal(request) == "The authorization header is missing or malformed"


@pytest.mark.parametrize("token", ["akab-client-token-xxx", "akab-access-token-xxx"])
def test_both_tokens_must_be_known(token: str) -> None:
    header = UNSIGNED.replace(token, "akab-somebody-else") + "signature=AAAA"
    request = request_for("GET", "/edgeworkers/v1/ids", headers={"authorization": header})
    assert refusal(request) == "The client token or the access token is unknown"
