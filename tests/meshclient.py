"""Both ends of a mesh under test: a client that sends requests as written, an application that echoes."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def json(self) -> dict[str, object]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


class Client:
    """Sends requests exactly as written over kept-alive TLS connections with one client certificate (or none)."""

    def __init__(
        self, authority_pem: bytes, key_and_certificate: bytes | None = None, address: str = "127.0.0.1"
    ) -> None:
        self._address = address
        self._context = ssl.create_default_context(cadata=authority_pem.decode())
        self._context.check_hostname = False
        if key_and_certificate is not None:
            with tempfile.NamedTemporaryFile() as both:
                both.write(key_and_certificate)
                both.flush()
                self._context.load_cert_chain(both.name)
        self._open: dict[int, tuple[ssl.SSLSocket, list[bytes]]] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for port in list(self._open):
            self._drop(port)

    def connect(self, port: int, *, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        return self._context.wrap_socket(socket.create_connection((self._address, port), timeout=10), session=session)

    def session(self, port: int) -> ssl.SSLSession:
        """The TLS session of the open connection to a port."""
        found = self._open[port][0].session
        assert found is not None
        return found

    def pipeline(self, requests: bytes, *, port: int, count: int) -> list[Answer]:
        """Several requests at once on a connection of their own."""
        answers, left = [], b""
        with self.connect(port) as stream:
            stream.sendall(requests)
            for _ in range(count):
                answer, left = read_answer(stream, left)
                answers.append(answer)
        return answers

    def send(
        self,
        method: str,
        target: str,
        *,
        port: int,
        host: str = "mesh.test",
        headers: Headers = (),
        body: bytes = b"",
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.raw(("\r\n".join(lines) + "\r\n\r\n").encode() + body, port=port, head=method == "HEAD")

    def raw(self, request: bytes, *, port: int, head: bool = False) -> Answer:
        """Retries once on a connection that was kept alive and has gone meanwhile."""
        reused = port in self._open
        try:
            return self._exchange(request, port, head)
        except (ConnectionError, ssl.SSLError, EOFError):
            self._drop(port)
            if not reused:
                raise
            return self._exchange(request, port, head)

    def _exchange(self, request: bytes, port: int, head: bool) -> Answer:
        if port not in self._open:
            self._open[port] = (self.connect(port), [b""])
        stream, left = self._open[port]
        stream.sendall(request)
        answer, left[0] = read_answer(stream, left[0], head=head)
        if answer.header("Connection").lower() == "close":
            self._drop(port)
        return answer

    def _drop(self, port: int) -> None:
        if port in self._open:
            self._open.pop(port)[0].close()


def read_answer(stream: socket.socket, left: bytes, *, head: bool = False) -> tuple[Answer, bytes]:
    """One HTTP/1.1 response off a socket, and the bytes that came after it."""
    while b"\r\n\r\n" not in left:
        left += _more(stream)
    top, _, left = left.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    answer = Answer(int(lines[0].split()[1]), headers, b"")
    if head or answer.status == 204:
        return answer, left
    if answer.header("Transfer-Encoding") == "chunked":
        body, left = _read_chunks(stream, left)
    else:
        length = int(answer.header("Content-Length") or 0)
        while len(left) < length:
            left += _more(stream)
        body, left = left[:length], left[length:]
    return Answer(answer.status, headers, body), left


def _read_chunks(stream: socket.socket, left: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        while b"\r\n" not in left:
            left += _more(stream)
        size_text, _, left = left.partition(b"\r\n")
        size = int(size_text, 16)
        while len(left) < size + 2:
            left += _more(stream)
        body, left = body + left[:size], left[size + 2 :]
        if size == 0:
            return body, left


def _more(stream: socket.socket) -> bytes:
    data = stream.recv(65536)
    if not data:
        raise EOFError("the server closed the connection")
    return data


class EchoApplication:
    """Answers every request with what it received, on each of the given ports; with the status in X-Answer, or 200."""

    def __init__(self, ports: Iterable[int]) -> None:
        self.servers = [ThreadingHTTPServer(("127.0.0.1", port), _Echo) for port in ports]

    def __enter__(self) -> EchoApplication:
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = {"method": self.command, "target": self.path, "headers": self.headers.items(), "body": body.decode()}
        data = json.dumps(found).encode()
        self.send_response(int(self.headers.get("X-Answer") or 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Request-Id", "from-the-application")
        self.send_header("X-Port", str(self.connection.getsockname()[1]))
        self.send_header("X-Sallyport-Mesh", "allow;forged;")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
    setattr(_Echo, f"do_{_method}", _Echo.answer)
