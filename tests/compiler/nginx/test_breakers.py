"""A service that fails too often is left alone by its sidecar; and why NGINX's own accounting is not what does it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib import resources
from pathlib import Path
from random import Random

import pytest

from apps.compiler.breakers import Breakers
from apps.compiler.graph import Breaker, TrafficRule
from tests.compiler.nginx.doors import CALL, CART, EDGE, HOST, MESH, Doors, token
from tests.meshclient import Answer, EchoApplication
from tests.meshfixtures import builds
from tests.ports import free_ports

SHORT = Breaker(3, 2)
RULE = TrafficRule("t1", "", "payments", CALL, MESH, 0, breaker=SHORT)
SCRIPT = resources.files("apps.compiler.emitters") / "assets/nginx/js/breakers.js"


def can_count(doors: Doors) -> bool:
    return "sp_failures" in (doors.node.root / "node_http.conf").read_text()


@pytest.fixture
def breaking(own_doors: Doors) -> Doors:
    own_doors.traffic = (RULE,)
    own_doors.node.reload(own_doors.artifacts())
    return own_doors


def call(doors: Doors, status: int = 200, method: str = "GET", **headers: str) -> Answer:
    """As a workload, straight at the sidecar; the application answers with ``status``."""
    with doors.node.client(doors.identities[CART]) as client:
        sent = [("X-Answer", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        return client.send(method, "/v1/7", port=doors.sidecar, headers=sent, body=b"x" if method == "POST" else b"")


def from_outside(doors: Doors) -> Answer:
    with doors.node.client(doors.identities[EDGE]) as client:
        return client.send("GET", "/payments/v1/7", port=doors.ingress, host=HOST, headers=[("Txn-Token", token())])


def test_after_so_many_errors_nobody_gets_through_until_the_seconds_are_over(breaking: Doors) -> None:
    if not can_count(breaking):
        pytest.skip("this NGINX has no memory that its workers share")
    answers = [
        call(breaking, status, method) for status, method in ((500, "GET"), (404, "GET"), (503, "POST"), (599, "GET"))
    ]
    assert [one.status for one in answers] == [500, 404, 503, 599]
    assert {one.header("X-Port") for one in answers} == {str(breaking.ports[2])}, "the application's own answers"
    refused, outside = call(breaking), from_outside(breaking)
    assert [(one.status, one.json()["reason"]) for one in (refused, outside)] == [(503, "breaker_open")] * 2
    assert refused.header("Retry-After") in ("1", "2")
    assert refused.json()["next_step"] == "Wait the seconds in Retry-After."
    assert call(breaking, X_Sallyport_Probe="1").status == 204, "a probe asks the policy, which still lets it in"
    breaking.node.reload(breaking.artifacts())
    assert call(breaking).status == 503, "a new configuration forgets nothing"
    deadline = time.monotonic() + 10
    while (answer := call(breaking)).status == 503 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert answer.status == 200
    assert call(breaking, 500).status == 500
    assert call(breaking).status == 200, "and it takes as many errors again"


def test_no_answer_is_an_error_and_each_version_is_counted_apart(breaking: Doors) -> None:
    if not can_count(breaking):
        pytest.skip("this NGINX has no memory that its workers share")
    long = TrafficRule("t1", "", "payments", CALL, MESH, 0, breaker=Breaker(3, 60))
    to_v2 = TrafficRule("t2", f"workload:{CART}", "payments", CALL, MESH, 0, variant="v2")
    breaking.traffic = (long, to_v2)
    breaking.node.reload(breaking.artifacts())
    assert [call(breaking).status for _ in range(4)] == [502, 502, 502, 503]
    assert from_outside(breaking).status == 200


def test_a_refusal_of_the_door_is_no_error_of_the_service(breaking: Doors) -> None:
    breaking.traffic = (TrafficRule("t1", "", "payments", CALL, MESH, 0, breaker=Breaker(2, 60)),)
    breaking.node.reload(breaking.artifacts())
    with breaking.node.client(breaking.identities[CART]) as client:
        refused = [client.send("GET", path, port=breaking.sidecar).status for path in ("/%", "/v1", "/v1/%2f")]
    assert refused == [400, 404, 400]
    assert call(breaking).status == 200


def test_where_nginx_cannot_count_every_call_goes_through(breaking: Doors) -> None:
    if can_count(breaking):
        pytest.skip("this NGINX can count")
    assert [call(breaking, 500).status for _ in range(5)] == [500] * 5


def test_only_a_service_with_a_breaker_has_its_answers_looked_at(own_doors: Doors) -> None:
    watched = {}
    for name, traffic in (("with", (RULE,)), ("without", ())):
        own_doors.traffic = traffic
        [text] = [one.content.decode() for one in own_doors.artifacts() if one.path == "services/payments/server.conf"]
        watched[name] = text.count("js_header_filter doors.answered;")
    assert watched == {"with": 2, "without": 0}


HARNESS = """
import breakers from './breakers.js';
function one(asked) {
  let told = [[asked[1], asked[2], asked[3]]];
  return asked[0] ? (breakers.failed(told, asked[4]), null) : breakers.rest(told, asked[4]);
}
export default { run: (r) => r.return(200, JSON.stringify(JSON.parse(r.requestText).map(one))) };
"""
TEMP = "".join(f"{name}_temp_path temp/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


@contextmanager
def nginx(folder: Path, port: int, http: str) -> Iterator[HTTPConnection]:
    """The wheel's NGINX on a configuration of a test's own, and a connection to it."""
    (folder / "temp").mkdir()
    user = "user root; worker_processes 1; daemon off; pid nginx.pid;"
    (folder / "nginx.conf").write_text(f"{user} events {{}} http {{ access_log off; {TEMP} {http} }}")
    process = subprocess.Popen([builds()[0].path, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"])
    try:
        yield _connected(port)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _connected(port: int) -> HTTPConnection:
    deadline = time.monotonic() + 10
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.connect()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "it did not start"
            time.sleep(0.005)
        else:
            return connection


def sequence(chance: Random) -> list[tuple[bool, int, Breaker, float]]:
    """Failures and questions about three breakers, at times that grow by halves of a second."""
    breakers = [Breaker(chance.randint(1, 4), chance.randint(1, 5)) for _ in range(3)]
    at, told = 1000.0, []
    for _ in range(300):
        at += chance.choice((0, 0, 0.5, 0.5, 1, 3))
        which = chance.randrange(3)
        told.append((chance.random() < 0.6, which, breakers[which], at))
    return told


def test_a_node_remembers_as_the_reference_does(tmp_path: Path) -> None:
    """The same failures at the same made-up times, and the same answer to every question."""
    (tmp_path / "breakers.js").write_text(SCRIPT.read_text())
    (tmp_path / "harness.js").write_text(HARNESS)
    [port] = free_ports(1)
    zone = "js_shared_dict_zone zone=sp_failures:1m timeout=1300s type=number evict;"
    server = (
        f"server {{ listen 127.0.0.1:{port}; client_body_buffer_size 1m; location / {{ js_content harness.run; }} }}"
    )
    with nginx(tmp_path, port, f"{zone} js_import harness from harness.js; {server}") as connection:
        rests = 0
        for seed in range(20):
            asked, memory = sequence(Random(seed)), Breakers()
            rows = [[failed, f"{seed}-{which}", *breaker, at] for failed, which, breaker, at in asked]
            connection.request("POST", "/", json.dumps(rows))
            found = json.loads(connection.getresponse().read())
            for (failed, which, breaker, at), answer in zip(asked, found, strict=True):
                name = (str(which), "")
                if failed:
                    memory.failed(name, breaker, at)
                else:
                    assert answer == memory.rest(name, at), (seed, which, breaker, at)
                    rests += answer > 0
        assert rests > 100


def test_why_max_fails_is_not_what_counts(tmp_path: Path) -> None:
    """Alone in its group a server is never left alone. With a backup beside it an error is only counted by asking the
    backup in its place, so the application's own answer is lost; and what was sent to change something, or unbuffered
    as our doors send it, is not counted at all.
    """
    port, application, backup = free_ports(3)
    server = f"server 127.0.0.1:{application} max_fails=2 fail_timeout=60s;"
    ways = "proxy_next_upstream error timeout http_500; proxy_pass_request_headers on;"
    http = (
        f"upstream alone {{ {server} }} upstream pair {{ {server} server 127.0.0.1:{backup} backup; }}"
        f"upstream posted {{ {server} server 127.0.0.1:{backup} backup; }}"
        f"server {{ listen 127.0.0.1:{backup}; return 503; }}"
        f"server {{ listen 127.0.0.1:{port}; {ways} location /alone {{ proxy_pass http://alone; }}"
        f" location /pair {{ proxy_pass http://pair; }} location /posted {{ proxy_pass http://posted; }} }}"
    )

    def statuses(connection: HTTPConnection, method: str, path: str) -> list[int]:
        found = []
        for status in (500, 500, 500, 200):
            connection.request(method, path, headers={"X-Answer": str(status)}, body="x" if method == "POST" else None)
            with connection.getresponse() as answer:
                answer.read()
                found.append(answer.status)
        return found

    with EchoApplication([application]), nginx(tmp_path, port, http) as connection:
        assert statuses(connection, "GET", "/alone") == [500, 500, 500, 200]
        assert statuses(connection, "GET", "/pair") == [503, 503, 503, 503]
        assert statuses(connection, "POST", "/posted") == [500, 500, 500, 200]
