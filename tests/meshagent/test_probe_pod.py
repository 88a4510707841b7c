"""The probe pod takes what is due, calls only its own cluster, and reports by the node agent's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.meshagent.probe_pod import Config, ProbePod, WrongPartError
from tests.meshagent.console import NODE_TOKEN, FakeConsole
from tests.meshagent.estate import CART, REPOSITORY, Mesh


def configured(folder: Path, console: FakeConsole) -> Path:
    (folder / "node.token").write_text(NODE_TOKEN)
    settings = {
        "console": console.url,
        "token_file": str(folder / "node.token"),
        "node": "probe-shop-cart",
        "workloads": [CART],
        "poll_seconds": 1,
        "reach": ["127.0.0.1", "svc"],
    }
    path = folder / "probe.json"
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture
def pod(tmp_path: Path, console: FakeConsole) -> ProbePod:
    return ProbePod(Config.load(configured(tmp_path, console)))


def asked(mesh: Mesh, **changes: Any) -> dict[str, Any]:
    return {**mesh.probe(CART, "allow"), "port": mesh.upstream_port, "how": "connect", **changes}


def test_it_says_whom_it_stands_for_makes_the_call_and_reports(pod: ProbePod, console: FakeConsole, mesh: Mesh) -> None:
    console.ask([asked(mesh), asked(mesh, id="p2", how="http")])
    pod.introduce()
    pod.step()
    first, second = console.reports
    assert (first["identities"], first["probes"]) == ([{"workload": CART}], [])
    assert [(one["id"], one["verdict"], one["reason"]) for one in second["probes"]] == [
        ("p1", "allow", "connected"),
        ("p2", "allow", "answered_200"),
    ]
    assert (second["node"], second["revision"], second["state"]) == ("probe-shop-cart", 0, "active")
    assert console.certificates == []


def test_the_call_that_has_to_stay_denied_is_made_as_well(pod: ProbePod, console: FakeConsole, mesh: Mesh) -> None:
    control = {"method": "GET", "path": "/other"}
    console.ask([asked(mesh, how="http", control=control), asked(mesh, id="p2", control=control, port=1)])
    pod.step()
    assert [(one["verdict"], one["control"]) for one in console.reports[0]["probes"]] == [
        ("allow", "allow"),
        ("deny", "deny"),
    ]


@pytest.mark.parametrize("host", ["169.254.169.254", "console.shop.test", "notsvc", "svc.evil.test", "payments.svc."])
def test_it_calls_nobody_outside_its_cluster(pod: ProbePod, console: FakeConsole, mesh: Mesh, host: str) -> None:
    console.ask([asked(mesh, host=host)])
    pod.step()
    [probe] = console.reports[0]["probes"]
    assert (probe["verdict"], probe["detail"]) == ("error", f"{host} is not a host that probes are made to from here.")


def test_it_does_not_pretend_to_enforce(pod: ProbePod, console: FakeConsole, mesh: Mesh) -> None:
    console.publish(mesh.artifacts(), 3)
    with pytest.raises(WrongPartError):
        pod.step()
    assert console.reports == []


def test_it_runs_as_a_process_of_its_own_and_ends_when_told(tmp_path: Path, console: FakeConsole, mesh: Mesh) -> None:
    path = configured(tmp_path, console)
    console.ask([asked(mesh)])
    argv = [sys.executable, "-m", "apps.meshagent.probe_pod", "--config", str(path)]
    process = subprocess.Popen(argv, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        console.wait_probed()
    finally:
        process.terminate()
        assert process.wait(10) == 0
