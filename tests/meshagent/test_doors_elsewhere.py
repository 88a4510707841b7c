"""Nodes of one mesh that stand for different workloads: each opens its own doors, and an ingress finds the others."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.agreement.forge import KeyPair
from tests.compiler.nginx.doors import token
from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import CART, EDGE, INGRESS, PAYMENTS, Agent, Mesh
from tests.meshclient import Client
from tests.meshfixtures import Authority

KEY = KeyPair.of("context-1", 0x3333)


@contextmanager
def node(folder: Path, console: FakeConsole, *workloads: str, **settings: Any) -> Iterator[Agent]:
    folder.mkdir()
    agent = Agent.install(folder, console, workloads)
    config = json.loads(agent.config.read_text())
    agent.config.write_text(json.dumps({**config, "node": folder.name, **settings}))
    with agent.running():
        yield agent


def listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def test_a_node_opens_the_doors_of_its_own_workloads_alone(
    tmp_path: Path, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    with node(tmp_path / "till", console, PAYMENTS, CART) as till:
        console.publish(mesh.artifacts(mesh.grant()), 1)
        console.wait_report(revision=1, state="active")
        assert listens(mesh.port)
        assert not listens(mesh.ingress_port)
        with till.client(authority, CART) as cart:
            assert cart.send("GET", "/charges/7", port=mesh.port).status == 200
        till.kill()
        till.start()
        console.publish(mesh.artifacts(), 2)
        console.wait_report(revision=2, state="active")
        with till.client(authority, CART) as cart:
            assert cart.send("GET", "/charges/7", port=mesh.port).status == 403


def test_an_ingress_finds_the_door_on_another_node(
    tmp_path: Path, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    edge = authority.issue(EDGE)
    call = {"host": "api.shop.test", "headers": [("Txn-Token", token(f"workload:{CART}", key=KEY))]}
    with (
        node(tmp_path / "till", console, PAYMENTS) as till,
        node(tmp_path / "front", console, INGRESS, elsewhere={"payments": f"127.0.0.1:{mesh.port}"}),
        Client(authority.pem, edge.key_pem + edge.certificate_pem) as client,
    ):
        console.publish(mesh.artifacts(mesh.grant()), 1)
        for name in ("till", "front"):
            console.wait_report(revision=1, state="active", node=name)
        answer = client.send("GET", "/payments/charges/7", port=mesh.ingress_port, **call)  # type: ignore[arg-type]
        assert (answer.status, answer.json()["target"]) == (200, "/charges/7")
        till.kill()
        till.end_nginx()
        assert client.send("GET", "/payments/charges/7", port=mesh.ingress_port, **call).status >= 500  # type: ignore[arg-type]
