"""A console as far as a node can tell: the agent protocol and the ingest endpoint over HTTP, with a real authority."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey

from apps.compiler.artifacts import Artifact, Bundle
from tests.meshfixtures import Authority

TARGET = "mesh"
NODE_TOKEN, INGEST_TOKEN = "node-token", "ingest-token"


@dataclass
class Publication:
    """What a node is offered. Tests spoil it to see it refused."""

    bundle: Bundle
    revision: int
    target: str = TARGET
    typ: str = "bundle+jwt"
    probes: list[dict[str, Any]] = field(default_factory=list)
    swapped: dict[str, bytes] = field(default_factory=dict)
    inline: bool = True


class FakeConsole:
    """``port`` stays the same across ``down`` and ``up``, as a restarted console's would."""

    def __init__(self, authority: Authority, port: int, lifetime: tuple[float, float] = (-1, 1)) -> None:
        self.authority, self.port, self.lifetime = authority, port, lifetime
        self.signer = ECKey.generate_key("P-256", {"kid": "bundle-1"})
        self.sign_with = self.signer
        self.reports: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.gaps: list[int] = []
        self.certificates: list[str] = []
        self.taking_events = True
        self.asked: list[dict[str, Any]] = []
        self._offer: Publication | None = None
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pinned(self) -> dict[str, Any]:
        return {"keys": [self.signer.as_dict(private=False) | {"kid": "bundle-1", "use": "sig", "alg": "ES256"}]}

    def up(self) -> None:
        handler = type("Handler", (_Handler,), {"console": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        server, self._server = self._server, None
        with self._changed:
            self._changed.notify_all()
        if server is not None:
            server.shutdown()
            server.server_close()
            server.end_connections()

    def publish(self, artifacts: Iterable[Artifact], revision: int, **rest: Any) -> Publication:
        with self._changed:
            self._offer = Publication(Bundle.of(artifacts), revision, **rest)
            self._changed.notify_all()
        return self._offer

    def ask(self, probes: list[dict[str, Any]]) -> None:
        """Probes and nothing else, once, as a console asks one that enforces nothing."""
        with self._changed:
            self.asked = probes
            self._changed.notify_all()

    def wait_probed(self, seconds: float = 15) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for report in list(self.reports):
                if report["probes"]:
                    return report
            time.sleep(0.005)
        raise AssertionError(f"nothing was probed: {self.reports}")

    def wait_report(self, *, revision: int, state: str, node: str = "", seconds: float = 15) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for report in list(self.reports):
                if (report["revision"], report["state"]) == (revision, state) and node in ("", report["node"]):
                    return report
            time.sleep(0.005)
        raise AssertionError(f"no report of revision {revision} as {state}: {self.reports}")

    def wait_events(self, count: int, seconds: float = 10) -> list[dict[str, Any]]:
        deadline = time.monotonic() + seconds
        while len(self.events) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return list(self.events)

    def offer_to(self, have: str, wait: float) -> Publication | None:
        deadline = time.monotonic() + wait
        with self._changed:
            while self._server is not None and (self._offer is None or self._offer.bundle.digest == have):
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            return self._offer if self._server is not None else None

    def signed(self, offer: Publication) -> str:
        payload = {
            "target": offer.target,
            "revision": offer.revision,
            "digest": offer.bundle.digest,
            "issued_at": int(time.time()),
            "artifacts": [
                {"path": a.path, "sha256": a.sha256, "media_type": a.media_type, "size": len(a.content)}
                for a in offer.bundle.artifacts
            ],
        }
        header = {"alg": "ES256", "typ": offer.typ, "kid": "bundle-1"}
        return jws.serialize_compact(header, json.dumps(payload), self.sign_with, algorithms=["ES256"])

    def contents(self, hashes: Iterable[str] | None = None) -> dict[str, str]:
        offer = self._offer
        assert offer is not None
        found = {a.sha256: offer.swapped.get(a.path, a.content) for a in offer.bundle.artifacts}
        wanted = found.keys() if hashes is None else set(hashes)
        return {sha256: base64.b64encode(found[sha256]).decode() for sha256 in wanted}


class _Server(ThreadingHTTPServer):
    """Remembers connections, so that a console that goes down takes them along."""

    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: list[Any] = []

    def get_request(self) -> Any:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def end_connections(self) -> None:
        for connection in self.connections:
            connection.close()

    def handle_error(self, *_: Any) -> None:
        """A connection that was cut is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    console: FakeConsole

    def do_GET(self) -> None:
        if not self._knows(NODE_TOKEN):
            return
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.console.asked:
            probes, self.console.asked = self.console.asked, []
            self._answer(200, {"signed": "", "inline": {}, "probes": probes})
            return
        offer = self.console.offer_to(query.get("have", ""), float(query.get("wait", "0")))
        if offer is None:
            self._answer(204, None)
            return
        inline = self.console.contents() if offer.inline else {}
        self._answer(200, {"signed": self.console.signed(offer), "inline": inline, "probes": offer.probes})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/events"):
            self._take_events(body)
        elif self._knows(NODE_TOKEN):
            self._answer(200, self._agent_call(json.loads(body)))

    def _agent_call(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.path.endswith("/certificates"):
            self.console.certificates.append(asked["workload"])
            leaf = self.console.authority.sign_request(asked["workload"], asked["csr_pem"], days=self.console.lifetime)
            return {"certificate_pem": leaf.decode(), "ca_pem": self.console.authority.pem.decode(), "not_after": ""}
        if self.path.endswith("/artifacts"):
            return {"artifacts": self.console.contents(asked["sha256"])}
        self.console.reports.append(asked)
        return {}

    def _take_events(self, body: bytes) -> None:
        if not self._knows(INGEST_TOKEN):
            return
        if not self.console.taking_events:
            self._answer(503, {})
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        found = [json.loads(line) for line in body.splitlines()]
        self.console.events += found
        self.console.gaps.append(int(self.headers.get("X-Sallyport-Gap") or 0))
        self._answer(202, {"accepted": len(found), "rejected": 0})

    def _knows(self, token: str) -> bool:
        known = self.headers.get("Authorization") == f"Bearer {token}"
        if not known:
            self._answer(401, {})
        return known

    def _answer(self, status: int, body: dict[str, Any] | None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""
