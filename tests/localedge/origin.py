"""An origin that wants a client certificate and says back what reached it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EVENTS = 3
EVENT_PAUSE = 0.15


class OriginServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, ca: Path, cert: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.sni_callback = self._note_name
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.names: list[str | None] = []
        self.connections = 0
        self.paths: list[str] = []
        self.left_early = threading.Event()

    def _note_name(self, _socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.names.append(name)

    def get_request(self) -> tuple[ssl.SSLSocket, tuple[str, int]]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """Refused handshakes are what some tests are about."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: OriginServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def __getattr__(self, name: str) -> Callable[[], None]:
        """The base class calls ``do_<METHOD>``; all of them do the same here."""
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _any(self) -> None:
        body = self._body()
        self.server.paths.append(self.path)
        if self.path.startswith("/events"):
            return self._events()
        if self.path.startswith("/slow"):
            time.sleep(0.3)
        told = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body_bytes": len(body),
            "client_serial": self._client_serial(),
        }
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("X-Origin", "yes")
        self.send_header("Connection", "x-hop")
        self.send_header("X-Hop", "secret of this connection")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)
        return None

    def _client_serial(self) -> int:
        """Of the certificate the edge has shown."""
        return int(str((self.connection.getpeercert() or {}).get("serialNumber", "0")), 16)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number in range(EVENTS if self.path == "/events" else 10 * EVENTS):
                data = f"data: {number}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
                time.sleep(EVENT_PAUSE)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.left_early.set()
            self.close_connection = True


@contextmanager
def serving(ca: Path, cert: Path, key: Path) -> Iterator[OriginServer]:
    server = OriginServer(ca, cert, key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
