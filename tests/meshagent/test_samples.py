"""The demo's sample services answer for themselves, and call each other through the mesh like any workload."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from apps.compiler.graph import AccessGraph, Grant, MeshExposure, Point, Route, Service, Subject, SubjectKind
from tests.compiler.nginx.test_emit import SURROUNDINGS
from tests.meshagent.estate import DOMAIN, REPOSITORY, until
from tests.meshfixtures import Authority, MeshNode, compile_mesh
from tests.ports import free_ports

ROUTES = {
    "checkout": (("POST", "/orders"),),
    "payments": (("POST", "/charges"), ("GET", "/charges"), ("GET", "/charges/{id}"), ("POST", "/refunds")),
}


@dataclass
class Samples:
    ports: dict[str, int]
    node: MeshNode

    def call(self, service: str, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[service], timeout=5)
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        connection.request(method, path, body=data, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    folder, authority, ports = tmp_path_factory.mktemp("samples"), Authority(), free_ports(5)
    services = {
        name: Service(
            name,
            name,
            tuple(Route(f"r{place}", frozenset({method}), path) for place, (method, path) in enumerate(ROUTES[name])),
            mesh=MeshExposure("shop", f"{DOMAIN}/{name}", ports[turn], ports[2 + turn]),
        )
        for turn, name in enumerate(ROUTES)
    }
    caller = Subject(f"workload:{DOMAIN}/checkout", SubjectKind.WORKLOAD)
    grant = Grant("g-standing", caller.id, "payments", frozenset({"r0"}), frozenset({Point.MESH}), 0)
    graph = AccessGraph({caller.id: caller}, services, (grant,))
    workloads = [SURROUNDINGS.ingress_workload, *(f"{DOMAIN}/{name}" for name in ROUTES)]
    artifacts = compile_mesh(graph, replace(SURROUNDINGS, ingress_port=ports[4]))
    identities = [authority.issue(workload) for workload in workloads]
    with MeshNode.start(folder / "node", artifacts, authority, identities) as node:
        process = _start(folder, node, services)
        made = Samples({name: service.mesh.upstream_port for name, service in services.items() if service.mesh}, node)
        try:
            until(lambda: _answers(made))
            yield made
        finally:
            process.terminate()
            process.wait(timeout=10)


def _start(folder: Path, node: MeshNode, services: dict[str, Service]) -> subprocess.Popen[bytes]:
    config = {
        "identities": str(node.root / "identities"),
        "ca": str(node.root / "ca.pem"),
        "calls": [{"caller": "checkout", "callee": "payments"}, {"caller": "gone", "callee": "payments"}],
        "calls_per_second": 10,
        "services": [
            {
                "service": one.id,
                "workload": one.mesh.workload,
                "port": one.mesh.upstream_port,
                "sidecar_port": one.mesh.port,
                "routes": [
                    {"key": route.id, "methods": sorted(route.methods), "template": route.template}
                    for route in one.routes
                ],
            }
            for one in services.values()
            if one.mesh
        ],
    }
    (folder / "samples.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "deploy.demo.samples", "--config", str(folder / "samples.json")]
    return subprocess.Popen(command, cwd=REPOSITORY)


def _answers(samples: Samples) -> bool:
    try:
        return samples.call("payments", "GET", "/charges")[0] == 200
    except OSError:
        return False


def test_a_service_says_as_whom_it_was_called(samples: Samples) -> None:
    headers = {"X-Sallyport-Subject": "person:ada", "X-Sallyport-Grant": "g1", "X-Request-Id": "ab" * 16}
    status, told = samples.call("payments", "GET", "/charges/ch_1001", **headers)
    assert status == 200
    assert told["result"]["id"] == "ch_1001"
    assert (told["service"], told["called_by"], told["grant"]) == ("payments", "person:ada", "g1")
    assert told["request_id"] == "ab" * 16


def test_money_is_paid_back_once(samples: Samples) -> None:
    _, charged = samples.call("payments", "POST", "/charges", {"amount": 30, "currency": "EUR"})
    charge = charged["result"]["id"]
    status, refunded = samples.call("payments", "POST", "/refunds", {"charge": charge, "amount": 20})
    assert (status, refunded["result"]["amount"], refunded["result"]["charge"]) == (201, 20.0, charge)
    status, refused = samples.call("payments", "POST", "/refunds", {"charge": charge, "amount": 20})
    assert status == 422
    assert "only 10.00 is left" in refused["result"]["error"]
    assert samples.call("payments", "GET", f"/charges/{charge}")[1]["result"]["refunded"] == 20.0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/charges", None, 404),
        ("GET", "/charges/ch_9", None, 404),
        ("POST", "/refunds", {"charge": "ch_9"}, 404),
        ("POST", "/refunds", {"amount": -1}, 422),
        ("POST", "/refunds", {"amount": True}, 422),
        ("POST", "/refunds", "[1", 422),
        ("POST", "/refunds", "[1]", 422),
        ("POST", "/refunds", None, 201),
    ],
)
def test_what_makes_no_sense_is_answered_in_kind(
    samples: Samples, method: str, path: str, body: object, status: int
) -> None:
    assert samples.call("payments", method, path, body)[0] == status


def test_standing_calls_go_through_the_callee_s_door(samples: Samples) -> None:
    log = samples.node.root / "logs/decisions.ndjson"
    until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 5)
    time.sleep(0.1)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    seen = {(one["peer"], one["method"], one["path"], one["reason"], one["status"]) for one in lines}
    assert seen == {(f"{DOMAIN}/checkout", "POST", "/charges", "granted", 201)}
