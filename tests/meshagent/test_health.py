"""A kubelet without a certificate is answered by the application what it is told to ask, and nothing else."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from apps.meshagent.health import FILE, Health, conf
from tests.meshagent.estate import INGRESS, PAYMENTS, Mesh
from tests.meshfixtures import Authority, MeshNode, builds
from tests.ports import free_port

CHECKS = {"/payments/livenessProbe": "9202/healthz", "/payments/readinessProbe": "9202/ready"}


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_application_answers_what_was_told_and_nothing_else(
    tmp_path: Path, mesh: Mesh, authority: Authority
) -> None:
    port = free_port()
    health = Health.read({"port": port, "checks": {"/payments/livenessProbe": f"{mesh.upstream_port}/healthz"}})
    node = MeshNode(tmp_path, builds()[0], authority)
    node.lay_out([authority.issue(name) for name in (PAYMENTS, INGRESS)])
    node.write(mesh.artifacts())
    (tmp_path / FILE).write_text(conf(health))
    node.launch()
    try:
        status, body = ask(port, "GET", "/payments/livenessProbe?target=/charges/7")
        assert status == 200
        assert b'"method": "GET", "target": "/healthz' in body
        assert ask(port, "POST", "/payments/livenessProbe")[0] == 403
        for path in ("/charges/7", "/healthz", "/payments/livenessProbe/../../charges/7", "/payments/readinessProbe"):
            assert ask(port, "GET", path)[0] == 404
    finally:
        node.stop()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("/x y", "80/"),
        ("/a/b/c", "80/"),
        ("/payments/livenessProbe", "80"),
        ("/payments/livenessProbe", "evil.test/x"),
        ("/payments/livenessProbe", "80/x;"),
        ("/payments/livenessProbe", "80/x?y"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_at_the_start(question: str, answer: str) -> None:
    with pytest.raises(ValueError, match="cannot be answered"):
        Health.read({"port": 15020, "checks": {**CHECKS, question: answer}})
