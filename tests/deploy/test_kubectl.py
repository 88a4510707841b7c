"""What is printed for copying, read by kubectl: a reader that is not ours, with merge rules of its own."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.compiler.emitters.cluster import networkpolicy, sidecar
from apps.compiler.emitters.cluster.injection import injected
from tests.compiler.cluster.estate import emitted, parsed
from tests.compiler.cluster.test_beside import CLUSTER, DOOR, probe_objects
from tests.compiler.cluster.test_injection import DEPLOYMENT, SIDECAR
from tests.compiler.estate import PAYMENTS, estate

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed here")

KINDS = {
    ("", "v1"): ("ConfigMap", "Secret", "Service", "ServiceAccount"),
    ("apps", "v1"): ("Deployment", "StatefulSet", "DaemonSet"),
    ("networking.k8s.io", "v1"): ("NetworkPolicy",),
    ("rbac.authorization.k8s.io", "v1"): ("Role", "RoleBinding"),
}
PLAIN = {"livenessProbe", "readinessProbe", "startupProbe"}


def kubectl(*arguments: str, stdin: str = "") -> str:
    environment = {**os.environ, "HOME": "/nonexistent", "KUBECONFIG": ""}
    done = subprocess.run(
        [str(KUBECTL), *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def discovery() -> Iterator[str]:
    """An API server that says what there is and nothing else: a dry run on the client asks no more."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Discovery)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Discovery(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = _told(self.path.partition("?")[0])
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""


def _told(path: str) -> object:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(group, version) for group, version in KINDS if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for (group, version), kinds in KINDS.items():
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            said = f"{group}/{version}" if group else version
            return {"kind": "APIResourceList", "groupVersion": said, "resources": [_resource(one) for one in kinds]}
    return None


def _group(group: str, version: str) -> dict[str, object]:
    one = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [one], "preferredVersion": one}


def _resource(kind: str) -> dict[str, object]:
    plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
    return {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["create"]}


def printed() -> Iterable[Mapping[str, Any]]:
    yield sidecar.config_map(PAYMENTS, CLUSTER, DOOR)
    yield from injected(DEPLOYMENT, PAYMENTS, CLUSTER, SIDECAR)
    yield from probe_objects()
    yield networkpolicy.baseline("shop", egress=True)
    known = {kind for kinds in KINDS.values() for kind in kinds}
    yield from (one for one in parsed(emitted(estate())) if one["kind"] in known)


def test_kubectl_reads_every_manifest_as_we_wrote_it(discovery: str) -> None:
    given = list(printed())
    assert len(given) >= 7
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": given})
    options = ("--dry-run=client", "--validate=false", "-o", "json", "-f", "-")
    told = kubectl("create", "--server", discovery, *options, stdin=document)
    assert list(_documents(told)) == given


def _documents(text: str) -> Iterator[Any]:
    """One after the other, as kubectl prints them."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        found, end = decoder.raw_decode(text)
        yield found
        text = text[end:]


def merged(folder: Path, workload: Mapping[str, Any]) -> Any:
    files = {"deployment.json": workload, "patch.json": sidecar.patch(PAYMENTS, SIDECAR)}
    for name, found in files.items():
        (folder / name).write_text(json.dumps(found))
    options = ("--type", "strategic", "--patch-file", str(folder / "patch.json"), "-o", "json")
    return json.loads(kubectl("patch", "--local", "-f", str(folder / "deployment.json"), *options))


def comparable(pod: Mapping[str, Any]) -> dict[str, Any]:
    """A pod's parts by name; what injection does beyond the patch left out."""
    found = {part: {one["name"]: one for one in pod[part]} for part in ("containers", "initContainers", "volumes")}
    for container in found["containers"].values():
        if container["name"] == "payments":
            found["containers"]["payments"] = {key: one for key, one in container.items() if key not in PLAIN}
    return found


def test_the_patch_means_to_kubectl_what_injection_does(tmp_path: Path) -> None:
    _, whole = injected(DEPLOYMENT, PAYMENTS, CLUSTER, SIDECAR)
    told = merged(tmp_path, copy.deepcopy(DEPLOYMENT))["spec"]["template"]
    assert comparable(told["spec"]) == comparable(whole["spec"]["template"]["spec"])
    assert told["metadata"]["labels"] == whole["spec"]["template"]["metadata"]["labels"]
    assert [one["name"] for one in told["spec"]["initContainers"]] == ["sallyport-redirect", "schema"]


def test_the_component_is_one_to_kustomize(tmp_path: Path) -> None:
    door = tmp_path / "payments-door"
    door.mkdir()
    for name, text in sidecar.kustomization(PAYMENTS, CLUSTER, SIDECAR).items():
        (door / name).write_text(text)
    own = tmp_path / "payments"
    own.mkdir()
    (own / "deployment.json").write_text(json.dumps(DEPLOYMENT))
    (own / "kustomization.yaml").write_text("resources: [deployment.json]\ncomponents: [../payments-door]\n")
    told = kubectl("kustomize", str(own))
    assert "name: sallyport-door" in told
    assert "kind: ConfigMap" in told
