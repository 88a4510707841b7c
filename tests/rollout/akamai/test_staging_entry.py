"""Calls into the staging network: to another machine, which must still prove to be the host that is called."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.base import DoorAnswer, Expectation
from tests.localedge.pki import Authority, dns


class Door(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("X-Sallyport-Edge", f"deny;no_token;{self.headers['Host']}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def machine(authority: Authority, name: str) -> Iterator[int]:
    """A TLS server with a certificate for ``name``; its port."""
    cert, key = authority.issue(f"staging-{name}", [dns(name)])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def trusted(test_authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(test_authority.ca))


ASKED = Expectation("one", "api.shop.localhost", "GET", "/x", "")


def test_the_other_machine_is_asked_for_the_certificate_of_the_host(test_authority: Authority) -> None:
    with machine(test_authority, "api.shop.localhost") as port:
        (proof,) = EdgeCaller(f"localhost:{port}").probe([ASKED])
    assert proof.doors == {"edge": DoorAnswer("deny", "no_token", ("api.shop.localhost",))}


def test_a_machine_that_cannot_prove_it_gets_no_token(test_authority: Authority) -> None:
    with machine(test_authority, "localhost") as port:
        (proof,) = EdgeCaller(f"localhost:{port}").probe([ASKED])
    assert (proof.doors, proof.detail.startswith("The edge did not answer: ")) == ({}, True)
