"""Requests that mean to be misread."""

from __future__ import annotations

import pytest

from tests.compiler.nginx.doors import CART, EDGE, HOST, INGRESS, Doors, token
from tests.meshclient import Answer


def raw(doors: Doors, request: str, caller: str = CART, port: int | None = None) -> Answer:
    with doors.node.client(doors.identities[caller]) as client:
        return client.raw(request.encode("latin-1"), port=port or doors.sidecar)


BAD_PATHS = (
    "/v1/7/..",
    "/v1/7/../7",
    "/v1/./7",
    "//v1/7",
    "/v1//7",
    "/v1/..%2f7",
    "/v1/%2e%2e",
    "/v1/a%2Fb",
    "/v1/a%5cb",
    "/v1/a\\b",
    "/v1/7;x",
    "/v1/%00",
    "/v1/%25",
    "/v1/%zz",
    "/v1/%ff",
    "/v1/7#x",
    "*",
    "v1/7",
    "http://mesh.test/v1/7",
    "//certificate",
    "/v1/\xe9",
)


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_can_be_read_in_two_ways_is_refused(doors: Doors, path: str) -> None:
    for method in ("GET", "POST"):
        answer = raw(doors, f"{method} {path} HTTP/1.1\r\nHost: mesh.test\r\n\r\n")
        assert (answer.status, answer.json()["reason"]) == (400, "bad_path"), path


@pytest.mark.parametrize("method", ["TRACE", "BREW", "PROPFIND"])
def test_methods_without_a_route_are_refused(doors: Doors, method: str) -> None:
    answer = raw(doors, f"{method} /v1/7 HTTP/1.1\r\nHost: mesh.test\r\n\r\n")
    assert (answer.status, answer.json()["reason"], answer.json()["method"]) == (404, "no_route", method)


def test_no_tunnel_is_dug(doors: Doors) -> None:
    answer = raw(doors, "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: mesh.test\r\n\r\n")
    assert answer.status in (400, 404)


@pytest.mark.parametrize("host", ["API.shop.test", "api.shop.test:8443", "api.shop.test"])
def test_hosts_are_compared_without_port_and_case(doors: Doors, host: str) -> None:
    request = f"GET /payments/v1/7 HTTP/1.1\r\nHost: {host}\r\nTxn-Token: {token()}\r\n\r\n"
    assert raw(doors, request, EDGE, doors.ingress).status == 200


@pytest.mark.parametrize("host", ["", "other.test", "constructor", "__proto__", "api.shop.test.", "api.shop.test:"])
def test_other_hosts_are_no_service(doors: Doors, host: str) -> None:
    answer = raw(
        doors, f"GET /payments/v1/7 HTTP/1.1\r\nHost: {host}\r\nTxn-Token: {token()}\r\n\r\n", EDGE, doors.ingress
    )
    assert (answer.status, answer.json()["reason"]) in ((404, "no_service"), (400, "bad_path"))


@pytest.mark.parametrize("target", ["/paymentsx/v1/7", "/Payments/v1/7", "/%70ayments/v1/7", "/", "/v1/7"])
def test_base_paths_are_whole_segments_as_sent(doors: Doors, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nTxn-Token: {token()}\r\n\r\n"
    assert raw(doors, request, EDGE, doors.ingress).json()["reason"] == "no_service"


@pytest.mark.parametrize(
    "top",
    [
        "GET /v1/7 HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "GET /v1/7 HTTP/1.1\r\n",
        "POST /v1/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "POST /v1/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "GET /v1/7 HTTP/1.1\r\nHost: a b\r\n",
        f"GET /v1/{'x' * 40000} HTTP/1.1\r\nHost: a\r\n",
        f"GET /v1/7 HTTP/1.1\r\nHost: a\r\nX-Big: {'x' * 40000}\r\n",
    ],
)
def test_a_request_that_is_not_well_formed_is_refused_in_our_words(doors: Doors, top: str) -> None:
    answer = raw(doors, f"{top}\r\n")
    assert (answer.status, answer.json()["reason"]) == (400, "bad_path")


def test_large_headers_within_reason_pass(doors: Doors) -> None:
    assert raw(doors, f"GET /v1/7 HTTP/1.1\r\nHost: a\r\nCookie: {'x' * 20000}\r\n\r\n").status == 200


def test_two_tokens_are_one_too_many(doors: Doors) -> None:
    twice = f"Txn-Token: {token()}\r\n" * 2
    through = raw(doors, f"GET /payments/v1/7 HTTP/1.1\r\nHost: {HOST}\r\n{twice}\r\n", EDGE, doors.ingress)
    at_sidecar = raw(doors, f"GET /v1/7 HTTP/1.1\r\nHost: x\r\n{twice}\r\n", INGRESS)
    for answer in (through, at_sidecar):
        assert (answer.status, answer.json()["reason"]) == (401, "duplicate_token")


def test_a_refusal_does_not_wait_for_the_body(doors: Doors) -> None:
    with doors.node.client(doors.identities[EDGE]) as client:
        answer = client.raw(
            b"POST /v1/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nstart", port=doors.sidecar
        )
    assert (answer.status, answer.json()["reason"]) == (403, "no_grant")


def test_requests_in_one_packet_are_judged_one_by_one(doors: Doors) -> None:
    """What one call left behind in njs must not colour the next one."""
    with doors.node.client(doors.identities[INGRESS]) as client:
        good = f"GET /v1/7 HTTP/1.1\r\nHost: x\r\nX-Sallyport-Probe: 1\r\nTxn-Token: {token()}\r\n\r\n"
        bare = "GET /v1/7 HTTP/1.1\r\nHost: x\r\nX-Sallyport-Probe: 1\r\n\r\n"
        answers = client.pipeline((good + bare + good + bare).encode(), port=doors.sidecar, count=4)
    said = [answer.header("X-Sallyport-Mesh") for answer in answers]
    assert said == ["allow;granted;g-ada", "deny;edge_token_absent;"] * 2
