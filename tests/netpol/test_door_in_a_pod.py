"""The rules of the init container, with real packets and a real door: nobody passes it by, nothing else is touched."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from apps.compiler.emitters.cluster.sidecar import Sidecar, redirection
from apps.compiler.graph import AccessGraph, Grant, MeshExposure, Point, Route, Service, Subject, SubjectKind
from apps.compiler.surroundings import MeshSurroundings
from tests.agreement.forge import KeyPair
from tests.meshclient import Client, EchoApplication
from tests.meshfixtures import Authority, Identity, MeshNode, compile_mesh
from tests.netpol.enforcer import enforce
from tests.netpol.lab import Lab, inside, run, tool_path

DOMAIN = "spiffe://shop.test/ns/shop/sa"
PAYMENTS, CART, WEB, INGRESS = (f"{DOMAIN}/{name}" for name in ("payments", "cart", "web", "ingress"))
DOOR, APPLICATION = 9102, 8080
SERVICE = Service(
    "payments",
    "Payments",
    (Route("read", frozenset({"GET"}), "/charges/{id}"),),
    mesh=MeshExposure("shop", PAYMENTS, DOOR, APPLICATION),
)
SURROUNDINGS = MeshSurroundings(
    mesh_id="test",
    console_url="https://console.test",
    ingress_port=8443,
    ingress_workload=INGRESS,
    edge_workload=f"{DOMAIN}/edge",
    context_keys=(KeyPair.of("context-1", 0x3333).verifying,),
    context_issuer="edge:test",
    context_audience="mesh:test",
    listen="*",
)
GRANT = Grant("g-cart", f"workload:{CART}", "payments", frozenset({"read"}), frozenset({Point.MESH}), 0)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def pod(lab: Lab, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Payments with a door beside it; the application listens on the pod's address as well as on the loopback."""
    enforce(lab, [], {})
    subjects = {f"workload:{CART}": Subject(f"workload:{CART}", SubjectKind.WORKLOAD)}
    artifacts = compile_mesh(AccessGraph(subjects, {"payments": SERVICE}, (GRANT,)), SURROUNDINGS)
    identities = [authority.issue(name) for name in (PAYMENTS, INGRESS)]
    payments = lab.end("shop/payments")
    with inside(lab.namespace_of(payments)):
        folder = tmp_path_factory.mktemp("door")
        with EchoApplication([APPLICATION]), MeshNode.start(folder, artifacts, authority, identities):
            yield payments.address


@contextmanager
def turned(lab: Lab) -> Iterator[None]:
    """The rules are in force, put there twice, as a container that starts again does."""
    there = ("ip", "netns", "exec", lab.namespace_of(lab.end("shop/payments")), str(tool_path("nft")))
    try:
        for _ in range(2):
            run(*there, "-f", "-", stdin=redirection(SERVICE, Sidecar("", "")))
        yield
    finally:
        run(*there, "flush", "ruleset")


def call(lab: Lab, address: str, port: int, authority: Authority, identity: Identity | None, path: str) -> int:
    """The status of a call from the cart's pod; 0 when there was no answer that one could read."""
    pair = None if identity is None else identity.key_pem + identity.certificate_pem
    with (
        inside(lab.namespace_of(lab.end("shop/cart"))),
        Client(authority.pem, pair, address) as client,
        suppress(ssl.SSLError, ConnectionError, EOFError),
    ):
        return client.send("GET", path, port=port).status
    return 0


def said_in_plain(lab: Lab, address: str, port: int, source: str = "shop/cart") -> bytes:
    """What a connection without TLS is told."""
    with (
        inside(lab.namespace_of(lab.end(source))),
        closing(socket.create_connection((address, port), timeout=5)) as plain,
    ):
        plain.sendall(b"GET /charges/7 HTTP/1.1\r\nHost: payments\r\nConnection: close\r\n\r\n")
        return plain.recv(65536)


def test_without_the_rules_the_application_is_reached_past_its_door(lab: Lab, pod: str) -> None:
    assert said_in_plain(lab, pod, APPLICATION) == pod.encode()


def test_whoever_calls_the_application_meets_the_door(lab: Lab, pod: str, authority: Authority) -> None:
    with turned(lab):
        for port in (APPLICATION, DOOR):
            assert call(lab, pod, port, authority, authority.issue(CART), "/charges/7") == 200
            assert call(lab, pod, port, authority, authority.issue(CART), "/refunds") == 404
            assert call(lab, pod, port, authority, authority.issue(WEB), "/charges/7") == 403
            assert call(lab, pod, port, authority, None, "/charges/7") == 403
            assert call(lab, pod, port, authority, Authority().issue(CART), "/charges/7") in (0, 403)
        assert said_in_plain(lab, pod, APPLICATION).startswith(b"HTTP/1.1 403 ")


def test_other_ports_and_the_pod_itself_are_left_alone(lab: Lab, pod: str) -> None:
    with turned(lab):
        assert said_in_plain(lab, pod, 8081) == pod.encode()
        assert said_in_plain(lab, "127.0.0.1", APPLICATION, source="shop/payments").startswith(b"HTTP/1.1 200 ")


def test_over_ipv6_the_application_is_not_reached_either(lab: Lab, pod: str) -> None:
    payments = lab.end("shop/payments")
    wire = (
        (lab.node, f"pod{lab.ends.index(payments)}", "fd00:77::1"),
        (lab.namespace_of(payments), "eth0", "fd00:77::2"),
    )
    for namespace, device, address in wire:
        run("ip", "-n", namespace, "-6", "address", "replace", f"{address}/64", "dev", device, "nodad")
    with inside(lab.namespace_of(payments)):
        application = socket.create_server(("fd00:77::2", APPLICATION), family=socket.AF_INET6)
    with closing(application):
        assert _connects(lab, "fd00:77::2")
        with turned(lab):
            assert not _connects(lab, "fd00:77::2")


def _connects(lab: Lab, address: str) -> bool:
    with inside(lab.node), socket.socket(socket.AF_INET6) as trying:
        trying.settimeout(5)
        return trying.connect_ex((address, APPLICATION)) == 0
