"""What happens as time goes on: grants end by themselves, tokens too, keys are changed, streams are cut."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from apps.compiler.artifacts import Artifact
from tests.compiler.nginx.doors import CART, EDGE, GRANTS, HOST, INGRESS, KEY, NEXT_KEY, Doors, token
from tests.meshclient import Answer, Client
from tests.ports import free_port


def ask(client: Client, doors: Doors) -> str:
    """The reason, or ``granted``."""
    answer = client.send("GET", "/v1/7", port=doors.sidecar)
    return "granted" if answer.status == 200 else str(answer.json()["reason"])


def through(client: Client, doors: Doors, bearer: str) -> str:
    answer = client.send("GET", "/payments/v1/7", port=doors.ingress, host=HOST, headers=[("Txn-Token", bearer)])
    return "granted" if answer.status == 200 else str(answer.json()["reason"])


def spoil(artifacts: tuple[Artifact, ...], path: str, old: str, new: str) -> tuple[Artifact, ...]:
    def changed(one: Artifact) -> Artifact:
        text = one.content.decode()
        assert one.path != path or old in text
        return Artifact.of(path, one.media_type, text.replace(old, new).encode()) if one.path == path else one

    return tuple(changed(one) for one in artifacts)


def test_a_grant_begins_and_ends_on_time_without_a_new_configuration(own_doors: Doors) -> None:
    starts = int(time.time()) + 2
    own_doors.grants = (replace(GRANTS[0], starts_at=starts, ends_at=starts + 2),)
    own_doors.node.reload(own_doors.artifacts())
    told: dict[str, list[float]] = {}
    with own_doors.node.client(own_doors.identities[CART]) as client:
        while time.time() < starts + 2.5:
            before = time.time()
            told.setdefault(ask(client, own_doors), []).append(before)
            time.sleep(0.02)
    assert list(told) == ["grant_not_started", "granted", "grant_expired"]
    assert starts - 0.1 < told["granted"][0] < starts + 0.1
    assert starts + 1.9 < told["grant_expired"][0] < starts + 2.1


def test_a_remembered_token_still_ends_on_time(own_doors: Doors) -> None:
    bearer = token(exp=int(time.time()) - 3)
    with own_doors.node.client(own_doors.identities[EDGE]) as client:
        assert through(client, own_doors, bearer) == "granted"
        assert through(client, own_doors, bearer) == "granted"
        time.sleep(2.5)
        assert through(client, own_doors, bearer) == "expired_token"


def test_a_remembered_token_does_not_outlive_its_key(own_doors: Doors) -> None:
    with own_doors.node.client(own_doors.identities[EDGE]) as client:
        old, new = token(), token(key=NEXT_KEY)
        assert [through(client, own_doors, one) for one in (old, new)] == ["granted", "unknown_key"]
        own_doors.keys = (KEY, NEXT_KEY)
        own_doors.node.reload(own_doors.artifacts())
        assert [through(client, own_doors, one) for one in (old, new)] == ["granted", "granted"]
        own_doors.keys = (NEXT_KEY,)
        own_doors.node.reload(own_doors.artifacts())
        assert [through(client, own_doors, one) for one in (old, new)] == ["unknown_key", "granted"]


def test_a_door_whose_script_fails_stays_closed(own_doors: Doors) -> None:
    """A js_set function that returns nothing yields the value of the one before it: that must not open anything."""
    healthy = own_doors.artifacts()
    forgetful = spoil(
        healthy, "js/mesh.js", "let next = decideWith(r, judgeAtSidecar);", "if (r) return;\n  let next = '';"
    )
    throwing = spoil(
        healthy, "js/policy.js", "function decide(r, call) {", "function decide(r, call) {\n  throw new Error('x');"
    )
    stranger = own_doors.authority.issue(CART)
    for artifacts in (forgetful, throwing):
        own_doors.node.reload(artifacts)
        for identity in (own_doors.identities[CART], stranger):
            with own_doors.node.client(identity) as client:
                answer = client.send("GET", "/v1/7", port=own_doors.sidecar)
                assert (answer.status, answer.json()["reason"]) == (503, "policy_unavailable")


def test_a_verifier_that_fails_lets_no_token_in(own_doors: Doors) -> None:
    broken = spoil(
        own_doors.artifacts(),
        "js/context.js",
        "async function verify(r) {",
        "async function verify(r) {\n  throw new Error('x');",
    )
    own_doors.node.reload(broken)
    with own_doors.node.client(own_doors.identities[EDGE]) as client:
        assert through(client, own_doors, token()) == "policy_unavailable"
    with own_doors.node.client(own_doors.identities[CART]) as client:
        assert ask(client, own_doors) == "granted"


def test_what_is_missing_from_the_policy_is_closed(own_doors: Doors) -> None:
    own_doors.node.reload(tuple(one for one in own_doors.artifacts() if not one.path.endswith("grants.map")))
    with own_doors.node.client(own_doors.identities[CART]) as client:
        assert ask(client, own_doors) == "no_grant"


class Stream:
    """An application that answers with a stream of events for as long as anybody listens."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._stream, args=(connection,), daemon=True).start()

    def _stream(self, connection: socket.socket) -> None:
        try:
            request = connection.recv(65536)
            if b"upgrade: websocket" in request.lower():
                connection.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                )
                while data := connection.recv(1024):
                    connection.sendall(data)
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            while True:
                connection.sendall(f"data: {time.time()}\n\n".encode())
                time.sleep(0.05)
        except OSError:
            connection.close()


@contextmanager
def streaming(doors: Doors) -> Iterator[ssl.SSLSocket]:
    """An open stream of the caller, through a sidecar whose application streams."""
    port = doors.ports[2] = free_port()
    stream = Stream(port)
    doors.node.reload(doors.artifacts())
    with doors.node.client(doors.identities[CART]) as client, client.connect(doors.sidecar) as connection:
        yield connection
    stream.listener.close()


def test_events_arrive_as_they_are_sent(own_doors: Doors) -> None:
    with streaming(own_doors) as connection:
        connection.sendall(b"GET /v1/7 HTTP/1.1\r\nHost: x\r\n\r\n")
        delays = []
        while len(delays) < 5:
            for line in connection.recv(65536).decode().splitlines():
                if line.startswith("data: "):
                    delays.append(time.time() - float(line.removeprefix("data: ")))
    assert max(delays) < 0.2


def test_a_websocket_passes(own_doors: Doors) -> None:
    with streaming(own_doors) as connection:
        connection.sendall(
            b"GET /v1/7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " in connection.recv(65536)
        connection.sendall(b"ping")
        assert connection.recv(65536) == b"ping"


def test_an_open_stream_ends_soon_after_its_grant_is_taken_away(own_doors: Doors) -> None:
    with streaming(own_doors) as connection:
        connection.sendall(b"GET /v1/7 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in connection.recv(65536)
        own_doors.grants = ()
        own_doors.node.reload(own_doors.artifacts())
        revoked = time.monotonic()
        with own_doors.node.client(own_doors.identities[CART]) as client:
            assert ask(client, own_doors) == "no_grant"
        connection.settimeout(6)
        with_end = _read_to_end(connection)
    assert with_end
    assert time.monotonic() - revoked < 4


def _read_to_end(connection: ssl.SSLSocket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        return True
    return True


def test_a_large_upload_arrives_whole(own_doors: Doors) -> None:
    body = b"x" * 3_000_000
    with own_doors.node.client(own_doors.identities[INGRESS]) as client:
        headers = [("Txn-Token", token())]
        answer: Answer = client.send("POST", "/v1/7", port=own_doors.sidecar, headers=headers, body=body)
    assert answer.status == 200
    assert len(json.loads(answer.body)["body"]) == len(body)
