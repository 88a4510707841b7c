"""The stand-in API server as a process, with a client that says just what it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import requests

from apps.rollout.drivers.kubernetes.driver import ClusterConnection
from tests.ports import free_port

ADMIN = "test-admin-token"
REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"

Obj = dict[str, Any]


def eventually(what: Callable[[], Any], *, patience: float = PATIENCE) -> Any:
    """The first true answer of ``what``; fails when there is none in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true in {patience} s")


class LocalCluster:
    """``settings`` are merged into the configuration file. With a ``certificate`` it is spoken to by TLS."""

    def __init__(self, directory: Path, **settings: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self._settings = directory, settings
        port = free_port()
        certificate = str(settings.get("certificate", ""))
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
        self._address = f"127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.http = requests.Session()
        self.http.verify, self.http.trust_env = certificate or True, False
        self.ca_file = certificate or None
        self.ca_pem = Path(certificate).read_text() if certificate else ""

    def start(self) -> None:
        config = self.directory / "config.json"
        defaults = {
            "address": self._address,
            "state_dir": str(self.directory / "state"),
            "tokens": {ADMIN: {"user": "admin", "groups": ["system:masters"]}},
            "namespaces": ["default", "shop"],
        }
        config.write_text(json.dumps({**defaults, **self._settings}))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "apps.localcluster", "--config", str(config)],
            cwd=REPOSITORY,
            stderr=(self.directory / "stderr.log").open("ab"),
        )
        eventually(self.is_ready)

    def is_ready(self) -> bool:
        try:
            return self.http.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError((self.directory / "stderr.log").read_text()) from None
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(PATIENCE)

    def connection(self, token: str = ADMIN, **more: Any) -> ClusterConnection:
        return ClusterConnection(url=self.url, token=token, ca_pem=self.ca_pem, **more)

    # -- what a test can ask of it ---------------------------------------------------------------------------------
    def forget(self) -> None:
        """All that was, so that a list or watch from then has to begin anew. Streams may be cut by it."""
        self.control("forget", {})

    def forget_pages(self) -> None:
        """So that a list that began before has to begin anew."""
        self.control("forget", {})

    def since(self, minor: int, *, custom: bool = False) -> None:
        """The test is of what Kubernetes 1.``minor`` brought; ``custom``: to kinds that are defined."""

    def standin(self) -> None:
        """The test is of the stand-in alone."""

    # -- calls -----------------------------------------------------------------------------------------------------
    def call(self, method: str, path: str, body: object = None, *, token: str = ADMIN, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        data = None if body is None else json.dumps(body)
        return self.http.request(method, self.url + path, data=data, headers=headers, timeout=PATIENCE, **options)

    def apply(self, path: str, body: Obj, manager: str = "one", **params: str) -> requests.Response:
        given = {"fieldManager": manager, **params}
        answer: requests.Response = self.call("PATCH", path, body, params=given, headers={"Content-Type": APPLY})
        return answer

    def merge(self, path: str, body: Obj, manager: str = "hand") -> Obj:
        answer = self.call("PATCH", path, body, params={"fieldManager": manager}, headers={"Content-Type": MERGE})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def control(self, what: str, body: Mapping[str, object]) -> None:
        self.http.post(f"{self.url}/__localcluster/{what}", json=body, timeout=60).raise_for_status()

    def faults(self, *rules: Mapping[str, object], admission: Iterable[Mapping[str, object]] = ()) -> None:
        self.control("faults", {"rules": list(rules), "admission": list(admission)})

    def account_keys(self) -> Obj | None:
        """The public keys of the tokens of its service accounts; None where those are no tokens for others."""
        return None

    def define(self, definition: Obj) -> None:
        answer = self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        assert answer.status_code == 201, answer.text

    def load(self, objects: Iterable[Mapping[str, Any]], manager: str = "loader") -> None:
        self.control("load", {"objects": list(objects), "manager": manager})
