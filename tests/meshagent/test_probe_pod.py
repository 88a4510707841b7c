"""The probe pod takes what is signed and due, calls only its own cluster, and reports by the node agent's protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.meshagent.bundle import BundleError, Verifier
from apps.meshagent.config import Config
from apps.meshagent.console import Console
from apps.meshagent.probe_pod import ProbePod
from tests.meshagent.console import NODE_TOKEN, FakeConsole
from tests.meshagent.estate import ADS, CART, EDGE, INGRESS, PAYMENTS, REPOSITORY, Mesh
from tests.meshfixtures import Authority, MeshNode


def configured(folder: Path, console: FakeConsole, **changes: Any) -> Path:
    (folder / "node.token").write_text(NODE_TOKEN)
    (folder / "bundle_keys.json").write_text(json.dumps(console.pinned))
    settings = {
        "console": console.url,
        "token_file": str(folder / "node.token"),
        "node": "probe-shop-cart",
        "root": str(folder / "root"),
        "bundle_keys": str(folder / "bundle_keys.json"),
        "workloads": [CART],
        "poll_seconds": 1,
        "reach": ["127.0.0.1", "svc"],
        **changes,
    }
    path = folder / "probe.json"
    path.write_text(json.dumps(settings))
    return path


def pod(folder: Path, console: FakeConsole, **changes: Any) -> ProbePod:
    config = Config.load(configured(folder, console, **changes))
    return ProbePod(config, Console(config.console, config.token_file), Verifier(config.bundle_keys))


@pytest.fixture
def doors(tmp_path: Path, mesh: Mesh, authority: Authority) -> Iterator[None]:
    identities = [authority.issue(name) for name in (INGRESS, EDGE, PAYMENTS, ADS)]
    with MeshNode.start(tmp_path / "mesh", mesh.artifacts(mesh.grant()), authority, identities):
        yield


def test_it_proves_what_is_open_and_what_must_stay_shut_at_a_door(
    tmp_path: Path, console: FakeConsole, mesh: Mesh, doors: None
) -> None:
    other = {**mesh.probe(CART, "deny", "p2"), "path": "/refunds"}
    console.publish(mesh.artifacts(mesh.grant()), 4, probes=[mesh.probe(CART, "allow"), other])
    pod(tmp_path, console).step()
    [report] = console.reports
    assert [(one["id"], one["verdict"], one["reason"]) for one in report["probes"]] == [
        ("p1", "allow", "granted"),
        ("p2", "deny", "no_route"),
    ]
    assert (report["node"], report["revision"], report["state"]) == ("probe-shop-cart", 4, "active")
    assert [one["workload"] for one in report["identities"]] == [CART]


def test_without_certificates_it_is_known_by_what_its_pod_is(tmp_path: Path, console: FakeConsole, mesh: Mesh) -> None:
    probe = {**mesh.probe(CART, "allow"), "how": "connect", "port": mesh.upstream_port}
    console.publish(mesh.artifacts(), 1, probes=[probe])
    pod(tmp_path, console, certificates=False).step()
    [report] = console.reports
    assert report["probes"][0]["verdict"] == "allow"
    assert (report["identities"], console.certificates) == ([{"workload": CART}], [])


@pytest.mark.parametrize("host", ["169.254.169.254", "console.shop.test", "notsvc", "svc.evil.test"])
def test_it_calls_nobody_outside_its_cluster(tmp_path: Path, console: FakeConsole, mesh: Mesh, host: str) -> None:
    console.publish(mesh.artifacts(), 1, probes=[{**mesh.probe(CART, "deny"), "host": host, "how": "connect"}])
    pod(tmp_path, console, certificates=False).step()
    [probe] = console.reports[0]["probes"]
    assert probe["verdict"] == "error"
    assert probe["detail"] == f"{host} is not a host that probes are made to from here."


def test_it_believes_only_what_is_signed_for_its_target_and_not_older(
    tmp_path: Path, console: FakeConsole, mesh: Mesh
) -> None:
    stranger = pod(tmp_path, console, certificates=False, target="west")
    console.publish(mesh.artifacts(), 3)
    with pytest.raises(BundleError, match="these probes belong to west"):
        stranger.step()
    own = pod(tmp_path, console, certificates=False)
    own.step()
    console.publish(mesh.artifacts(mesh.grant()), 2)
    with pytest.raises(BundleError, match="older than 3"):
        own.step()
    assert [report["revision"] for report in console.reports] == [3]


def test_it_runs_as_a_process_of_its_own_and_ends_when_told(tmp_path: Path, console: FakeConsole, mesh: Mesh) -> None:
    path = configured(tmp_path, console, certificates=False)
    argv = [sys.executable, "-m", "apps.meshagent.probe_pod", "--config", str(path)]
    process = subprocess.Popen(argv, cwd=REPOSITORY, env=dict(os.environ), stderr=subprocess.DEVNULL)
    try:
        console.publish(mesh.artifacts(), 7)
        assert console.wait_report(revision=7, state="active")["node"] == "probe-shop-cart"
    finally:
        process.terminate()
        assert process.wait(10) == 0
