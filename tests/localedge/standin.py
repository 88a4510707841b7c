"""The stand-in as a process, with a client that signs like a real one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
from akamai.edgegrid import EdgeGridAuth

from apps.localedge.bundles import pack
from tests.ports import free_port

CREDENTIAL = {
    "client_token": "akab-test-client",
    "client_secret": "test-secret=",
    "access_token": "akab-test-access",
}
REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


def eventually(what: Callable[[], Any], *, patience: float = PATIENCE) -> Any:
    """The first true answer of ``what``; fails when there is none in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true in {patience} s")


class StandIn:
    """``settings`` are merged into the configuration file."""

    def __init__(self, directory: Path, settings: Mapping[str, object]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log_file = directory / "decisions.ndjson"
        self.control = f"http://127.0.0.1:{free_port()}"
        self.ports: dict[str, int] = {}
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self.http = requests.Session()
        self.http.auth = EdgeGridAuth(**CREDENTIAL)

    def start(self) -> None:
        self.begin()
        eventually(self.is_ready)

    def begin(self) -> None:
        """Not waited for."""
        config = self.directory / "config.json"
        if not config.exists():
            self._write(config)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "apps.localedge", "--config", str(config)],
            cwd=REPOSITORY,
            stderr=(self.directory / "stderr.log").open("ab"),
        )

    def _write(self, config: Path) -> None:
        """Ports are picked one after the other, each bound before the next is looked for."""
        held = []
        for name in ("control", "data", "data_staging"):
            port = free_port()
            keeper = socket.socket()
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind(("127.0.0.1", port))
            held.append(keeper)
            self.ports[name] = port
        for keeper in held:
            keeper.close()
        self.control = f"http://127.0.0.1:{self.ports['control']}"
        addresses = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        defaults = {
            **addresses,
            "state_dir": str(self.directory / "state"),
            "credentials": [CREDENTIAL],
            "activation_delay": {"STAGING": 0.1, "PRODUCTION": 0.1},
            "activations_per_minute": 1000,
            "activations_per_day": 10_000,
            "versions_per_minute": 1000,
            "log_file": str(self.log_file),
        }
        config.write_text(json.dumps({**defaults, **self._settings}))

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.control}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError((self.directory / "stderr.log").read_text()) from None
            return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def engine_pid(self) -> int:
        """The data plane's own process."""
        return int(requests.get(f"{self.control}/healthz", timeout=5).json()["pid"])

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def leave(self) -> None:
        """Has it end by itself, while others go on."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop_if_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    # The control plane

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.http.request(method, f"{self.control}{path}", timeout=PATIENCE, **options)

    def faults(self, **faults: object) -> None:
        requests.post(f"{self.control}/__localedge/faults", json=faults, timeout=PATIENCE).raise_for_status()

    def new_id(self, tier: int = 200) -> int:
        body = {"name": "gate", "groupId": 1, "resourceTierId": tier}
        return int(self.call("POST", "/edgeworkers/v1/ids", json=body).json()["edgeWorkerId"])

    def upload(self, ew_id: int, version: str, main: str, **files: str) -> requests.Response:
        manifest = json.dumps({"edgeworker-version": version, "bundle-version": 1})
        content = {"main.js": main.encode(), "bundle.json": manifest.encode()}
        content |= {name: text.encode() for name, text in files.items()}
        headers = {"Content-Type": "application/gzip"}
        return self.call("POST", f"/edgeworkers/v1/ids/{ew_id}/versions", data=pack(content), headers=headers)

    def activate(self, ew_id: int, version: str, network: str = "PRODUCTION") -> str:
        """Waits for the end of the activation; its last status."""
        body = {"network": network, "version": version}
        answer = self.call("POST", f"/edgeworkers/v1/ids/{ew_id}/activations", json=body)
        assert answer.status_code == 201, answer.text
        return self.settled(ew_id, answer.json()["activationId"])

    def settled(self, ew_id: int, activation: int, kind: str = "activations") -> str:
        def last() -> str | None:
            status: str = self.call("GET", f"/edgeworkers/v1/ids/{ew_id}/{kind}/{activation}").json()["status"]
            return None if status in ("PRESUBMIT", "PENDING", "IN_PROGRESS") else status

        return str(eventually(last))

    def deploy(self, main: str, *, version: str = "1", network: str = "PRODUCTION") -> int:
        """A new id with one version, live."""
        ew_id = self.new_id()
        assert self.upload(ew_id, version, main).status_code == 201
        assert self.activate(ew_id, version, network) == "COMPLETE"
        return ew_id

    def open_store(self, namespace: str = "sallyport") -> str:
        """Initialises EdgeKV with one namespace on both networks; the reference of a token that may read it."""
        self.call("PUT", "/edgekv/v1/initialize").raise_for_status()
        for network in ("staging", "production"):
            body = {"namespace": namespace, "retentionInSeconds": 0, "groupId": 1}
            self.call("POST", f"/edgekv/v1/networks/{network}/namespaces", json=body).raise_for_status()
        body = {
            "name": f"reader-{namespace}",
            "allowOnStaging": True,
            "allowOnProduction": True,
            "namespacePermissions": {namespace: ["r"]},
        }
        return str(self.call("POST", "/edgekv/v1/tokens", json=body).json()["uuid"])

    def item(self, method: str, key: str, data: str | None = None, network: str = "production") -> requests.Response:
        path = f"/edgekv/v1/networks/{network}/namespaces/sallyport/groups/services/items/{key}"
        headers = {"Content-Type": "text/plain"} if data is not None else {}
        return self.call(method, path, data=data, headers=headers)

    # The data plane

    def get(self, path: str = "/", *, port: str = "data", method: str = "GET", **options: Any) -> requests.Response:
        headers = {"Host": "api.shop.localhost", **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.ports[port]}{path}"
        return requests.request(method, url, headers=headers, timeout=PATIENCE, **options)

    def decisions(self, count: int) -> list[dict[str, Any]]:
        """The decision lines, once there are ``count`` of them."""

        def lines() -> list[dict[str, Any]] | None:
            text = self.log_file.read_text() if self.log_file.exists() else ""
            found = [json.loads(line) for line in text.splitlines()]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = eventually(lines)
        return found


class Relay:
    """One stand-in after another, each for one test: the next starts, and the last ends, while a test works."""

    def __init__(self, make: Callable[[], StandIn]) -> None:
        self._make = make
        self._next: StandIn | None = None
        self._left: list[StandIn] = []

    def take(self) -> StandIn:
        taken = self._next or self._begun()
        eventually(taken.is_ready)
        self._next = self._begun()
        return taken

    def _begun(self) -> StandIn:
        made = self._make()
        made.begin()
        return made

    def leave(self, taken: StandIn) -> None:
        taken.leave()
        self._left.append(taken)

    def end(self) -> None:
        for one in [*self._left, *([self._next] if self._next else [])]:
            one.stop_if_running()
