"""The small mesh that the agent tests roll out: one service, two workloads that call it, one of them by grant."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.nginx import identity_slug
from apps.compiler.graph import (
    AccessGraph,
    EdgeExposure,
    Grant,
    MeshExposure,
    Point,
    Route,
    Service,
    Subject,
    SubjectKind,
    TrafficRule,
    Variant,
)
from apps.compiler.surroundings import MeshSurroundings
from tests.agreement.forge import KeyPair
from tests.meshagent.console import INGEST_TOKEN, NODE_TOKEN, FakeConsole
from tests.meshclient import Client
from tests.meshfixtures import Authority, builds, compile_mesh
from tests.ports import free_ports

REPOSITORY = Path(__file__).parents[2]
DOMAIN = "spiffe://shop.test/ns/shop/sa"
INGRESS, EDGE, PAYMENTS, CART, ADS = (f"{DOMAIN}/{name}" for name in ("ingress", "edge", "payments", "cart", "ads"))
HOSTED = (INGRESS, PAYMENTS, CART, ADS)


@dataclass
class Mesh:
    ingress_port: int
    port: int
    upstream_port: int

    @classmethod
    def make(cls) -> Mesh:
        return cls(*free_ports(3))

    def grant(self, ends_at: int | None = None, name: str = "g1") -> Grant:
        return Grant(name, f"workload:{CART}", "payments", frozenset({"read"}), frozenset({Point.MESH}), 0, ends_at)

    def artifacts(self, *grants: Grant, traffic: tuple[TrafficRule, ...] = ()) -> tuple[Artifact, ...]:
        exposure = MeshExposure("shop", PAYMENTS, self.port, self.upstream_port)
        service = Service(
            "payments",
            "Payments",
            (Route("read", frozenset({"GET"}), "/charges/{id}"),),
            EdgeExposure("api.shop.test", "/payments"),
            exposure,
            (Variant("v2", self.upstream_port),),
        )
        callers = [Subject(f"workload:{name}", SubjectKind.WORKLOAD) for name in (CART, ADS)]
        graph = AccessGraph({one.id: one for one in callers}, {"payments": service}, grants, traffic=traffic)
        surroundings = MeshSurroundings(
            mesh_id="test",
            console_url="http://console.test",
            ingress_port=self.ingress_port,
            ingress_workload=INGRESS,
            edge_workload=EDGE,
            context_keys=(KeyPair.of("context-1", 0x3333).verifying,),
            context_issuer="edge:test",
            context_audience="mesh:test",
        )
        return compile_mesh(graph, surroundings)

    def probe(self, workload: str, expect: str, name: str = "p1") -> dict[str, object]:
        where = {"host": "127.0.0.1", "port": self.port, "method": "GET", "path": "/charges/7"}
        return {"id": name, "workload": workload, "service": "payments", "expect": expect, **where}


def broken(artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    """The same bundle with an ingress that NGINX will not take."""
    spoiled = Artifact.of("ingress.conf", "text/x-nginx-conf", b"server { listen nowhere; }\n")
    return (*(one for one in artifacts if one.path != "ingress.conf"), spoiled)


@dataclass
class Agent:
    """The agent as a process of its own."""

    root: Path
    config: Path
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def install(cls, folder: Path, console: FakeConsole, workloads: tuple[str, ...] = HOSTED, nginx: str = "") -> Agent:
        root = folder / "node"
        root.mkdir()
        (folder / "node.token").write_text(NODE_TOKEN)
        (folder / "ingest.token").write_text(INGEST_TOKEN)
        (folder / "bundle_keys.json").write_text(json.dumps(console.pinned))
        config = {
            "console": console.url,
            "token_file": str(folder / "node.token"),
            "node": "node-1",
            "root": str(root),
            "bundle_keys": str(folder / "bundle_keys.json"),
            "nginx": nginx or builds()[0].path,
            "workloads": workloads,
            "ship": {"url": f"{console.url}/telemetry/v1/events", "token_file": str(folder / "ingest.token")},
            "poll_seconds": 5,
        }
        (folder / "agent.json").write_text(json.dumps(config))
        return cls(root, folder / "agent.json")

    @contextlib.contextmanager
    def running(self) -> Iterator[Agent]:
        self.start()
        try:
            yield self
        finally:
            self.kill()
            self.end_nginx()

    def start(self) -> None:
        log = (self.root.parent / "agent.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "apps.meshagent", "--config", str(self.config)], cwd=REPOSITORY, stderr=log
        )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=15)
            self.process = None

    def master(self) -> int:
        """The NGINX master's process id, 0 while there is none."""
        try:
            return int((self.root / "run/nginx.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def end_nginx(self) -> None:
        master = self.master()
        with contextlib.suppress(OSError):
            if f"-p {self.root}/" in Path(f"/proc/{master}/cmdline").read_text().replace("\0", " "):
                os.kill(master, signal.SIGTERM)
                until(lambda: not Path(f"/proc/{master}").exists())

    def log(self) -> str:
        return (self.root.parent / "agent.log").read_text()

    def client(self, authority: Authority, workload: str) -> Client:
        """A caller with the very files that the agent keeps."""
        folder = self.root / "identities" / identity_slug(workload)
        return Client(authority.pem, (folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())


def until(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
