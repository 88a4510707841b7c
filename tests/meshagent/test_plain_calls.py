"""A probe made as a pod makes its calls: read as what it is, harmless, and never taken for more than it shows."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.meshagent import plain_calls
from tests.ports import free_port

RECEIVED: list[tuple[str, str]] = []


class _Mesh(BaseHTTPRequestHandler):
    """Answers with the status that the path asks for, as a mesh or an application would."""

    def answer(self) -> None:
        RECEIVED.append((self.command, self.path))
        _, status, *told = self.path.split("/")
        self.send_response(int(status))
        if told:
            self.send_header("X-Sallyport-Mesh", f"{told[0]};no_grant;")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""


for _method in ("GET", "HEAD", "POST"):
    setattr(_Mesh, f"do_{_method}", _Mesh.answer)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), _Mesh)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def tried(**probe: Any) -> dict[str, Any]:
    whole = {"id": "p1", "workload": "w", "host": "127.0.0.1", "method": "GET", "path": "/200", "how": "http", **probe}
    [found] = plain_calls.run([whole], lambda host: True)
    return found


@pytest.mark.parametrize(
    ("path", "verdict", "reason"),
    [
        ("/200", "allow", "answered_200"),
        ("/404", "allow", "answered_404"),
        ("/401", "allow", "answered_401"),
        ("/403", "deny", "answered_403"),
        ("/200/deny", "allow", "answered_200"),
        ("/400", "error", ""),
        ("/502", "error", ""),
        ("/503", "error", ""),
    ],
)
def test_an_answer_is_read_as_what_it_is(port: int, path: str, verdict: str, reason: str) -> None:
    found = tried(port=port, path=path)
    assert (found["verdict"], found["reason"], found["grants"]) == (verdict, reason, [])


def test_what_could_do_something_is_not_sent(port: int) -> None:
    RECEIVED.clear()
    found = tried(port=port, method="POST")
    assert (found["verdict"], RECEIVED) == ("error", [])
    assert found["detail"] == "A POST would reach the application, so it is not sent as a probe."


@pytest.mark.parametrize("how", ["http", "connect"])
def test_where_nobody_listens_there_is_no_connection(how: str) -> None:
    found = tried(port=free_port(), how=how)
    assert (found["verdict"], found["reason"]) == ("deny", "no_connection")


def test_a_connection_is_made_and_nothing_is_said() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        found = tried(port=listening.getsockname()[1], how="connect")
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.recv(10) == b""
    assert (found["verdict"], found["reason"]) == ("allow", "connected")


def test_a_name_that_nobody_finds_proves_nothing() -> None:
    found = tried(host="payments.shop.svc.invalid", port=80, how="connect")
    assert found["verdict"] == "error"


def test_a_way_that_is_not_known_is_said() -> None:
    found = tried(port=1, how="pigeon")
    assert (found["verdict"], found["detail"]) == ("error", "It is not known here how to make a probe by pigeon.")


@pytest.mark.parametrize(
    ("said", "verdict", "reason"),
    [(b"", "deny", "closed"), (b"ready\n", "allow", "connected"), (None, "allow", "connected")],
    ids=["closed at once", "speaks first", "waits"],
)
def test_a_connection_counts_as_open_while_it_is_kept(said: bytes | None, verdict: str, reason: str) -> None:
    """A sidecar takes every connection, and closes those that it lets nowhere."""
    with socket.create_server(("127.0.0.1", free_port())) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with taken:
                taken.sendall(said or b"")
                if said is None:
                    taken.settimeout(10)
                    taken.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        found = plain_calls.stay({"host": "127.0.0.1", "port": server.getsockname()[1]}, 3, 0.2)
    assert (found["verdict"], found["reason"]) == (verdict, reason)


def test_a_connection_that_is_not_made_is_denied_and_the_way_of_asking_has_a_name() -> None:
    found = tried(port=free_port(), how="stay")
    assert (found["verdict"], found["reason"]) == ("deny", "no_connection")
