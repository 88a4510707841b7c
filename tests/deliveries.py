"""A receiver of log lines that keeps what it gets, and refuses when told to."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Delivery:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def login(self) -> str:
        """``user:password``."""
        return base64.b64decode(self.headers["authorization"].partition(" ")[2]).decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        text = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return [json.loads(line) for line in text.splitlines()]


@dataclass
class Receiver:
    """``statuses`` are answered one after the other; then 202."""

    address: str = ""
    statuses: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def with_lines(self) -> list[Delivery]:
        """Without the sample requests."""
        return [one for one in self.deliveries if one.body]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.deliveries.append(Delivery(self.path, headers, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    receiver.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
