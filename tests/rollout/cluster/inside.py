"""An agent as a process of its own, with just the rights its manifest gives it, and a line to the console to cut."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
import yaml
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from apps.audit.actors import SYSTEM
from apps.identity.proofs import issuers
from apps.identity.proofs.issuers import IssuerInput
from apps.rollout import handouts
from apps.rollout.services.targets import enroll_account
from tests.localcluster.cluster import REPOSITORY, LocalCluster
from tests.rollout.cluster.world import OLGA
from tests.rollout.world import now

ISSUER, AUDIENCE = "https://kubernetes.default.svc", "http://127.0.0.1:8000"
ACCOUNT = "sallyport/sallyport-agent"
SUBJECT = "system:serviceaccount:sallyport:sallyport-agent"
KEY = RSAKey.generate_key(2048, {"kid": "sa-1"})
BASES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}
"""Where the manifest's objects go; a volume is a kubelet's business."""


def projected(*, key: RSAKey = KEY, **changed: Any) -> str:
    """What a kubelet lays into the pod: a token of its service account for the console."""
    at = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": [AUDIENCE],
        "sub": SUBJECT,
        "iat": at,
        "nbf": at,
        "exp": at + 3600,
        "kubernetes.io": {"namespace": "sallyport", "serviceaccount": {"name": "sallyport-agent"}},
        **changed,
    }
    return jwt.encode({"alg": "RS256", "kid": key.kid}, said, key, algorithms=["RS256"])


def trusted(slug: str = "inner", keys: dict[str, Any] | None = None) -> None:
    """The cluster signs for its accounts; its keys were pasted."""
    given = IssuerInput(slug=slug, kind="eks", issuer=ISSUER, jwks=keys or dict(KeySet([KEY]).as_dict(private=False)))
    issuers.add_issuer(given=issuers.completed(given), actor=SYSTEM, at=now())


def let_in(slug: str = "cluster", keys: dict[str, Any] | None = None) -> None:
    trusted(keys=keys)
    enroll_account(target_slug=slug, name="agent", issuer="inner", account=ACCOUNT, actor=OLGA, at=now())


class Line:
    """Between an agent and its console: it can be cut, and it can say something else than was said."""

    def __init__(self, console: str) -> None:
        self.console, self.is_cut, self.instead = console, False, ""
        self.bundles: list[str] = []
        self.busy = threading.Lock()
        line = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass("GET", None)

            def do_POST(self) -> None:
                self._pass("POST", self.rfile.read(int(self.headers["Content-Length"])))

            def _pass(self, method: str, body: bytes | None) -> None:
                if line.is_cut:
                    self.close_connection = True
                    return
                with line.busy:
                    status, answer = line.answer(method, self.path, dict(self.headers), body)
                if line.is_cut:  # meanwhile: what was asked for before is not answered either
                    self.close_connection = True
                    return
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the base class
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
        if self.instead and path.startswith("/agent/v1/bundle"):
            return 200, self.instead.encode()
        kept = {name: value for name, value in headers.items() if name in ("Authorization", "Content-Type")}
        got = requests.request(method, self.console + path, headers=kept, data=body, timeout=30)
        if path.startswith("/agent/v1/bundle") and got.status_code == 200:
            self.bundles.append(got.text)
        return got.status_code, got.content

    def stop(self) -> None:
        """Nothing is under way at the console any more when this returns."""
        self.is_cut = True
        with self.busy:
            self._server.shutdown()
        self._server.server_close()


@dataclass
class AgentProcess:
    folder: Path
    line: Line
    cluster: LocalCluster
    process: subprocess.Popen[bytes] | None = None

    def install(self, slug: str = "cluster") -> None:
        """As an administrator applies the manifest, and a kubelet lays out what it names."""
        printed = handouts.cluster_agent(target_slug=slug, image="sallyport:1", by_account=True, at=now())
        for one in yaml.safe_load_all(printed["agent.yaml"]):
            meta = one["metadata"]
            if one["kind"] in BASES:
                path = f"{BASES[one['kind']].format(meta.get('namespace'))}/{meta['name']}"
                assert self.cluster.apply(path, one, "kubectl").status_code in (200, 201), one
            if one["kind"] == "ConfigMap":
                self._settle(one["data"])

    def _settle(self, data: dict[str, str]) -> None:
        signs = self.cluster.account_keys() is not None
        (self.folder / "cluster.token").write_text(self._token())
        (self.folder / "node.token").write_text(self._token(AUDIENCE) if signs else projected())
        (self.folder / "keys.json").write_text(data["keys.json"])
        settings = {
            **json.loads(data["agent.json"]),
            "console": self.line.url,
            "token_file": str(self.folder / "node.token"),
            "bundle_keys": str(self.folder / "keys.json"),
            "memory_file": str(self.folder / "memory.json"),
            "server": {
                "url": self.cluster.url,
                "token_file": str(self.folder / "cluster.token"),
                "ca_file": self.cluster.ca_file,
            },
            "poll_seconds": 0.3,
            "look_seconds": 0.3,
        }
        (self.folder / "agent.json").write_text(json.dumps(settings))

    def _token(self, *audiences: str) -> str:
        asked = {"spec": {"audiences": audiences, "expirationSeconds": 3600} if audiences else {}}
        path = f"{BASES['ServiceAccount'].format('sallyport')}/sallyport-agent/token"
        return str(self.cluster.call("POST", path, asked).json()["status"]["token"])

    def start(self) -> None:
        argv = [sys.executable, "-m", "apps.meshagent.cluster_agent", "--config", str(self.folder / "agent.json")]
        self.process = subprocess.Popen(argv, cwd=REPOSITORY, stderr=(self.folder / "log").open("ab"))

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def memory(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "memory.json").read_text())
        return found
