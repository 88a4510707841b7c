"""A server that answers what a test says: Akamai on days the stand-in does not have."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOTHING = {"title": "Not Found", "detail": "There is nothing.", "status": 404}


@dataclass
class Answers:
    """``by_path``: status and body (JSON unless it is text); a path that is not there is a 404 of Akamai's kind."""

    by_path: dict[str, tuple[int, Any]] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    address: str = ""

    def of(self, target: str) -> tuple[int, bytes, str]:
        path = target.partition("?")[0]
        self.seen.append(target)
        time.sleep(self.delays.get(path, 0))
        status, body = self.by_path.get(path, (404, NOTHING))
        if isinstance(body, str):
            return status, body.encode(), "text/html"
        return status, json.dumps(body).encode(), "application/json"


@contextmanager
def answering(by_path: Mapping[str, tuple[int, Any]] | None = None) -> Iterator[Answers]:
    answers = Answers(dict(by_path or {}))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, kind = answers.of(self.path)
            with suppress(BrokenPipeError):  # whoever asked did not wait
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    answers.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
