"""A workload that calls in plain HTTP, with real packets: its sidecar and the door of the service speak for both.

Nothing the workload says is on the wire between the two, whatever goes wrong; who may call is told where it arrives.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from apps.compiler.emitters.cluster.calls import Calls, in_cluster, settings
from apps.compiler.emitters.cluster.sidecar import USER, Sidecar, redirection
from apps.compiler.graph import AccessGraph, Grant, MeshExposure, Subject, SubjectKind
from apps.meshagent import calls as agent
from tests.meshclient import Answer, EchoApplication
from tests.meshfixtures import Authority, Build, MeshNode, builds, compile_mesh
from tests.netpol.enforcer import enforce
from tests.netpol.lab import Lab, inside, run, tool_path
from tests.netpol.test_door_in_a_pod import (
    APPLICATION,
    CART,
    DOOR,
    GRANT,
    INGRESS,
    PAYMENTS,
    SERVICE,
    SURROUNDINGS,
    WEB,
)

SECRET = "/charges/one-that-nobody-may-read-on-the-way"
FRONT = replace(SERVICE, id="web", name="Web", mesh=MeshExposure("front", WEB, 9103, 8091))
PLAIN = replace(SERVICE, id="plain", name="Plain", mesh=MeshExposure("shop", f"{PAYMENTS}-plain", 9104, 8092))
SERVICES = {one.id: one for one in (SERVICE, FRONT, PLAIN)}
PLAIN_PORT = 8081
"""The lab answers there without TLS."""


def graph(*grants: Grant) -> AccessGraph:
    return AccessGraph({f"workload:{CART}": Subject(f"workload:{CART}", SubjectKind.WORKLOAD)}, SERVICES, grants)


class Pods:
    """Payments with a door and its rules, cart with its sidecar; ``node`` are their NGINX."""

    def __init__(self, lab: Lab, authority: Authority, folder: Path) -> None:
        self.lab, self.authority, self.folder = lab, authority, folder
        self.address = lab.end("shop/payments").address
        places = {"payments": f"{self.address}:{APPLICATION}", "web": f"{self.address}:{DOOR}"}
        ways = in_cluster(SERVICES.values(), "shop", {**places, "plain": f"{self.address}:{PLAIN_PORT}"})
        self.calls = Calls(ways)
        self.door: MeshNode
        self.sidecar: MeshNode

    @contextmanager
    def running(self) -> Iterator[Pods]:
        both = compile_mesh(graph(GRANT), SURROUNDINGS)
        with ExitStack() as held:
            held.enter_context(inside(self.lab.namespace_of(self.lab.end("shop/payments"))))
            held.enter_context(EchoApplication([APPLICATION]))
            own = [one for one in both if not one.path.startswith(("services/web/server", "services/plain/server"))]
            identities = [self.authority.issue(name) for name in (PAYMENTS, INGRESS)]
            self.door = held.enter_context(MeshNode.start(self.folder / "door", own, self.authority, identities))
            with inside(self.lab.namespace_of(self.lab.end("shop/cart"))), self._beside_cart(both):
                yield self

    @contextmanager
    def _beside_cart(self, both: tuple[object, ...]) -> Iterator[None]:
        """As a user of its own, which must be able to walk to its files."""
        root = self.folder / "sidecar"
        binary = shutil.copy(builds()[0].path, self.folder / "nginx")
        own = [one for one in both if not one.path.endswith("server.conf") and one.path != "ingress.conf"]  # type: ignore[attr-defined]
        self.sidecar = MeshNode(root, Build("own", str(binary)), self.authority, user=USER)
        self.sidecar.lay_out([self.authority.issue(CART)])
        self.sidecar.write(own)  # type: ignore[arg-type]
        told = json.loads(json.dumps(settings(self.calls, CART)))
        conf = agent.conf(root / "current", agent.Calls.read(told), agent.Finder())
        (root / agent.FILE).write_text(conf)
        self.sidecar.launch()
        try:
            yield
        finally:
            self.sidecar.stop()

    @contextmanager
    def turned(self, *names: str) -> Iterator[None]:
        """The rules of the two pods are in force."""
        ruled = {"shop/payments": Sidecar("", ""), "shop/cart": Sidecar("", "", calls=self.calls)}
        besides = {"shop/payments": SERVICE, "shop/cart": replace(FRONT, id="cart")}
        try:
            for name in names:
                there = ("ip", "netns", "exec", self.lab.namespace_of(self.lab.end(name)), str(tool_path("nft")))
                run(*there, "-f", "-", stdin=redirection(besides[name], ruled[name]))
            yield
        finally:
            for name in names:
                there = ("ip", "netns", "exec", self.lab.namespace_of(self.lab.end(name)), str(tool_path("nft")))
                run(*there, "flush", "ruleset")

    def call(self, path: str = SECRET, *, host: str = "", port: int = APPLICATION) -> Answer:
        """What the workload in cart's pod does: plain HTTP to the service's address."""
        with inside(self.lab.namespace_of(self.lab.end("shop/cart"))):
            connection = http.client.HTTPConnection(self.address, port, timeout=10)
            connection.request("GET", path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())


class Wire:
    """Everything that passes between the node and the pod of payments, in either direction."""

    def __init__(self, lab: Lab) -> None:
        self._device = f"pod{lab.ends.index(lab.end('shop/payments'))}"
        with inside(lab.node):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._frames: list[bytes] = []
        self._ended = threading.Event()

    def __enter__(self) -> Wire:
        self._socket.bind((self._device, 3))
        self._socket.settimeout(0.02)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        quiet = False
        while not (quiet and self._ended.is_set()):
            try:
                self._frames.append(self._socket.recv(65536))
                quiet = False
            except TimeoutError:
                quiet = True

    @property
    def text(self) -> bytes:
        return b"".join(self._frames)


@pytest.fixture(scope="module")
def pods(lab: Lab) -> Iterator[Pods]:
    enforce(lab, [], {})
    folder = Path(tempfile.mkdtemp(prefix="sallyport-calls-"))
    folder.chmod(0o755)
    try:
        with Pods(lab, Authority(), folder).running() as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


BOTH = ("shop/payments", "shop/cart")
HOSTS = ("", "payments", "payments:8080", "payments.shop", "Payments.Shop.SVC.cluster.local:8080")


def test_without_the_callers_rules_what_it_says_is_read_on_the_wire(lab: Lab, pods: Pods) -> None:
    with pods.turned("shop/payments"), Wire(lab) as wire:
        assert pods.call().status == 403
    assert SECRET.encode() in wire.text


@pytest.mark.parametrize("host", HOSTS)
def test_a_plain_call_arrives_as_its_workload_and_nothing_of_it_is_read_on_the_wire(
    lab: Lab, pods: Pods, host: str
) -> None:
    with pods.turned(*BOTH), Wire(lab) as wire:
        answer = pods.call(host=host)
    assert (answer.status, answer.json()["target"]) == (200, SECRET)
    headers = dict(answer.json()["headers"])  # type: ignore[call-overload]
    assert headers["X-Sallyport-Subject"] == f"workload:{CART}"
    assert headers["Host"] == (host or f"{pods.address}:{APPLICATION}")
    assert len(wire.text) > len(answer.body)
    assert SECRET.encode() not in wire.text
    assert b"HTTP/1.1" not in wire.text


def test_who_may_call_is_told_where_the_call_arrives(lab: Lab, pods: Pods) -> None:
    with pods.turned(*BOTH), Wire(lab) as wire:
        try:
            pods.door.reload(_own(graph()))
            refused = pods.call()
            assert (refused.status, refused.json()["reason"]) == (403, "no_grant")
            [told] = pods.door.decisions(refused.header("X-Request-Id"))
            assert (told["peer"], told["subject"], told["verdict"]) == (CART, f"workload:{CART}", "deny")
        finally:
            pods.door.reload(_own(graph(GRANT)))
        assert pods.call().status == 200
        assert pods.call("/refunds").status == 404
    assert SECRET.encode() not in wire.text


def _own(found: AccessGraph) -> list[object]:
    both = compile_mesh(found, SURROUNDINGS)
    return [one for one in both if not one.path.startswith(("services/web/server", "services/plain/server"))]


@pytest.mark.parametrize(
    ("host", "status", "code"),
    [
        ("web.front.svc:8080", 502, "callee_unreachable"),
        ("plain.shop.svc:8080", 502, "callee_unreachable"),
        ("nobody.shop.svc:8080", 421, "no_such_callee"),
    ],
    ids=["another holds the certificate", "no TLS there", "no such service"],
)
def test_to_whoever_is_not_the_service_nothing_is_said(lab: Lab, pods: Pods, host: str, status: int, code: str) -> None:
    with pods.turned(*BOTH), Wire(lab) as wire:
        answer = pods.call(host=host)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert SECRET.encode() not in wire.text


def test_without_its_sidecar_a_workload_reaches_nobody(lab: Lab, pods: Pods) -> None:
    pods.sidecar.stop()
    try:
        with pods.turned(*BOTH), Wire(lab) as wire, pytest.raises(ConnectionRefusedError):
            pods.call()
        assert pods.address.encode() not in wire.text
        assert SECRET.encode() not in wire.text
        assert not _payloads(wire)
    finally:
        with inside(lab.namespace_of(lab.end("shop/cart"))):
            pods.sidecar.launch()


def _payloads(wire: Wire) -> bytes:
    """What was on the wire besides the neighbours asking for one another's addresses."""
    return b"".join(frame for frame in wire._frames if frame[12:14] == b"\x08\x00")


def test_other_ports_and_networks_that_were_named_are_left_alone(lab: Lab, pods: Pods) -> None:
    with pods.turned("shop/cart"):
        assert _said(lab, pods.address, 9090) == pods.address.encode()
    left = Calls(pods.calls.ways, leave=(f"{pods.address}/32",))
    there = ("ip", "netns", "exec", lab.namespace_of(lab.end("shop/cart")), str(tool_path("nft")))
    try:
        run(*there, "-f", "-", stdin=redirection(FRONT, Sidecar("", "", calls=left)))
        assert _said(lab, pods.address, PLAIN_PORT) == pods.address.encode()
    finally:
        run(*there, "flush", "ruleset")


def _said(lab: Lab, address: str, port: int) -> bytes:
    with (
        inside(lab.namespace_of(lab.end("shop/cart"))),
        socket.create_connection((address, port), timeout=5) as plain,
        suppress(ConnectionError),
    ):
        return plain.recv(200)
    return b""


def test_nobody_outside_the_pod_can_call_in_its_workloads_name(lab: Lab, pods: Pods) -> None:
    cart = lab.end("shop/cart").address
    with pods.turned(*BOTH), inside(lab.namespace_of(lab.end("front/web"))), socket.socket() as trying:
        trying.settimeout(5)
        assert trying.connect_ex((cart, pods.calls.port)) != 0
