"""The reverse proxy: what crosses it, what does not, and how it fails."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import requests

from tests.localedge.conftest import MakeStandIn
from tests.localedge.origin import EVENT_PAUSE, EVENTS, OriginServer, serving
from tests.localedge.pki import ORIGIN_ID, Authority, dns, uri
from tests.localedge.standin import StandIn, eventually

RID = "0123456789abcdef" * 2
VERDICT = {
    "p": "edge",
    "v": "allow",
    "r": "granted",
    "s": "person:ada",
    "svc": "cart",
    "rt": "r1",
    "g": ["g1"],
    "pr": 0,
}
GATE = (
    f"const RID = '{RID}'; const VERDICT = {json.dumps(VERDICT)};"
    + """
export async function onClientRequest(request) {
  request.setVariable('PMUSER_SP_RID', RID);
  if (request.path === '/loop') for (;;);
  if (request.path === '/throw') throw new Error('on purpose');
  if (request.path === '/denied') {
    request.setVariable('PMUSER_SP_V', JSON.stringify({ ...VERDICT, v: 'deny', r: 'no_grant', g: [], pr: 1 }));
    request.respondWith(403, { 'X-Request-Id': RID, 'X-Text': '\\u20ac' }, 'no \\u20ac');
    return;
  }
  request.setVariable('PMUSER_SP_V', JSON.stringify(VERDICT));
  request.removeHeader('Authorization');
  request.setHeader('Txn-Token', 'made by the edge');
}
export function onClientResponse(request, response) {
  if (request.path === '/late') throw new Error('on purpose');
  response.setHeader('X-Request-Id', request.getVariable('PMUSER_SP_RID'));
}
"""
)


@pytest.fixture(scope="module")
def gate(standin: StandIn) -> StandIn:
    standin.deploy(GATE)
    return standin


def sent(answer: requests.Response) -> dict[str, list[str]]:
    """The headers that reached the origin."""
    found: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        found.setdefault(name, []).append(value)
    return found


def raw(standin: StandIn, request: bytes) -> bytes:
    """Bytes as they are: clients tidy up what some tests are about."""
    with socket.create_connection(("127.0.0.1", standin.ports["data"]), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


def test_a_call_reaches_the_origin_as_it_was_sent(gate: StandIn) -> None:
    answer = gate.get("/carts/a%20b?x=1&y=%2F", headers={"Host": "api.shop.localhost:8080", "X-Own": "1"})
    assert answer.status_code == 200
    assert (answer.json()["method"], answer.json()["path"]) == ("GET", "/carts/a%20b?x=1&y=%2F")
    assert sent(answer)["host"] == ["api.shop.localhost:8080"]
    assert sent(answer)["x-own"] == ["1"]
    assert answer.headers["X-Request-Id"] == RID


def test_what_the_bundle_did_to_the_headers_is_what_is_sent(gate: StandIn) -> None:
    answer = gate.get("/", headers={"Authorization": "Bearer x", "Txn-Token": "made up"})
    assert "authorization" not in sent(answer)
    assert sent(answer)["txn-token"] == ["made by the edge"]


def test_the_caller_s_address_is_ours_to_tell(gate: StandIn) -> None:
    answer = gate.get("/", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher"})
    assert (sent(answer)["x-forwarded-for"], sent(answer)["x-forwarded-proto"]) == (["127.0.0.1"], ["http"])


def test_hop_by_hop_headers_stay_behind(gate: StandIn) -> None:
    request = (
        b"GET / HTTP/1.1\r\nHost: api.shop.localhost\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n"
        b"Keep-Alive: 5\r\nProxy-Authorization: x\r\nUpgrade: websocket\r\nX-Kept: 1\r\n\r\n"
    )
    head, _, body = raw(gate, request).partition(b"\r\n\r\n")
    headers = dict(json.loads(body)["headers"])
    assert not {"x-mine", "te", "keep-alive", "proxy-authorization", "upgrade"} & headers.keys()
    assert headers["x-kept"] == "1"
    assert b"x-hop" not in head.lower().replace(b"connection: close", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies_are_streamed(gate: StandIn, method: str) -> None:
    size = 3_000_000
    assert gate.get("/", method=method, data=b"x" * size).json()["body_bytes"] == size
    chunks = (b"y" * 10_000 for _ in range(300))
    answer = gate.get("/", method=method, data=chunks)
    assert answer.json()["body_bytes"] == size
    assert sent(answer)["transfer-encoding"] == ["chunked"]


def test_a_chunked_get_keeps_its_framing(gate: StandIn) -> None:
    """Sent on without it, the body would be read as the next request."""
    answer = gate.get("/", data=(b"z" * 10 for _ in range(3)))
    assert answer.json()["body_bytes"] == 30
    assert gate.get("/next").json()["path"] == "/next"


def test_a_post_without_a_body_has_none(gate: StandIn) -> None:
    answer = gate.get("/", method="POST")
    assert sent(answer)["content-length"] == ["0"]


def test_head_and_options(gate: StandIn) -> None:
    head = gate.get("/", method="HEAD")
    assert (head.status_code, head.text, int(head.headers["Content-Length"]) > 0) == (200, "", True)
    assert gate.get("/", method="OPTIONS").json()["method"] == "OPTIONS"


def test_events_arrive_while_the_answer_is_under_way(gate: StandIn) -> None:
    began = time.monotonic()
    arrivals = []
    with gate.get("/events", stream=True) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line:
                arrivals.append(time.monotonic() - began)
    assert len(arrivals) == EVENTS
    assert arrivals[-1] - arrivals[0] > EVENT_PAUSE * (EVENTS - 1) * 0.8


def test_the_origin_learns_that_the_client_left(gate: StandIn, origin: OriginServer) -> None:
    origin.left_early.clear()
    with gate.get("/events/many", stream=True) as answer:
        next(answer.iter_lines())
    assert origin.left_early.wait(5)


def test_connections_to_the_origin_are_kept(gate: StandIn, origin: OriginServer) -> None:
    gate.get("/")
    before = origin.connections
    for _ in range(20):
        assert gate.get("/").status_code == 200
    assert origin.connections == before


def test_the_origin_is_asked_for_by_the_forwarded_name(gate: StandIn, origin: OriginServer) -> None:
    gate.get("/")
    assert set(origin.names) == {"api.shop.localhost"}


def test_the_bundle_s_denial_is_the_answer(gate: StandIn) -> None:
    answer = gate.get("/denied", method="POST", data=b"x" * 100_000)
    assert (answer.status_code, answer.content.decode()) == (403, "no €")
    assert answer.headers["X-Text"].encode("latin-1").decode() == "€"
    assert gate.get("/denied", method="HEAD").text == ""


@pytest.mark.parametrize(
    ("path", "expected"), [("/throw", "EW_RUNTIME"), ("/loop", "EW_CPU_TIMEOUT"), ("/late", "EW_RUNTIME")]
)
def test_a_dying_bundle_keeps_the_door_shut(gate: StandIn, path: str, expected: str) -> None:
    answer = gate.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["code"], answer.json()["reason"]) == (expected, "policy_unavailable")
    assert "on purpose" not in answer.text
    assert len(answer.headers["X-Request-Id"]) == 32
    assert gate.get("/").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET http://api.shop.localhost/ HTTP/1.1\r\nHost: api.shop.localhost\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: api.shop.localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(gate: StandIn, request_bytes: bytes) -> None:
    assert raw(gate, request_bytes).startswith(b"HTTP/1.1 400 ")


def test_health_is_told_to_this_machine_only(gate: StandIn) -> None:
    told = gate.get("/__sallyport/healthz", headers={"Host": "localhost:8080"})
    assert (told.status_code, told.json()["ready"]) == (200, True)
    assert gate.get("/__sallyport/healthz").json()["path"] == "/__sallyport/healthz"


def test_every_request_leaves_one_line(make_standin: MakeStandIn) -> None:
    standin = make_standin(name="edge-7")
    standin.get("/before", headers={"Host": "Api.Shop.localhost:8080"})
    standin.deploy(GATE)
    for path in ("/a?secret=1", "/denied", "/throw", "/late", "/" + "x" * 600):
        standin.get(path)
    raw(standin, b"OPTIONS * HTTP/1.1\r\nHost: api.shop.localhost\r\nConnection: close\r\n\r\n")
    lines = standin.decisions(7)
    assert len(lines) == 7
    told = [(line["path"][:10], line["verdict"], line["reason"], line["status"]) for line in lines]
    assert told == [
        ("/before", "deny", "policy_unavailable", 503),
        ("/a", "allow", "granted", 200),
        ("/denied", "deny", "no_grant", 403),
        ("/throw", "deny", "policy_unavailable", 500),
        ("/late", "deny", "policy_unavailable", 500),
        ("/xxxxxxxxx", "allow", "granted", 200),
        ("*", "deny", "bad_path", 400),
    ]
    allowed = lines[1]
    assert abs(allowed.pop("ts") - time.time()) < 60
    assert 0 < allowed.pop("ms") < 10_000
    assert allowed == {
        "rid": RID,
        "point": "edge",
        "node": "edge-7",
        "verdict": "allow",
        "reason": "granted",
        "subject": "person:ada",
        "peer": "",
        "service": "cart",
        "route": "r1",
        "method": "GET",
        "path": "/a",
        "host": "api.shop.localhost",
        "grants": ["g1"],
        "status": 200,
        "probe": False,
    }
    assert (lines[2]["probe"], len(lines[5]["path"]), lines[0]["host"]) == (True, 512, "api.shop.localhost")


def test_a_call_goes_to_the_origin_it_was_routed_to_and_nowhere_when_there_is_none_of_that_name(
    make_standin: MakeStandIn, authority: Authority
) -> None:
    cert, key = authority.issue("blue", [uri(ORIGIN_ID), dns("api.shop.localhost")])
    with serving(authority.ca, cert, key) as blue:
        standin = make_standin(origins={"blue": blue.url})
        standin.deploy("""
        export function onClientRequest(request) {
          if (request.path !== '/usual') request.route({ origin: request.path.slice(1) });
        }
        """)
        answers = [standin.get(path) for path in ("/blue", "/usual", "/blue", "/constructor")]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 500]
        assert answers[3].json()["code"] == "EW_ORIGIN"
        assert blue.paths == ["/blue", "/blue"]


def test_an_unreachable_origin_is_told_and_recorded(make_standin: MakeStandIn) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        standin = make_standin(origin=f"https://127.0.0.1:{silent.getsockname()[1]}")
        standin.deploy(GATE)
        answer = standin.get("/")
    assert (answer.status_code, answer.json()["code"], answer.headers["X-Request-Id"]) == (500, "EW_ORIGIN", RID)
    (line,) = standin.decisions(1)
    assert (line["verdict"], line["status"], line["subject"]) == ("allow", 500, "person:ada")


def test_a_silent_origin_is_given_up(make_standin: MakeStandIn) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        standin = make_standin(origin=f"https://127.0.0.1:{silent.getsockname()[1]}")
        standin.deploy(GATE)
        began = time.monotonic()
        assert standin.get("/").json()["code"] == "EW_ORIGIN"
        assert 4 < time.monotonic() - began < 8


def test_an_origin_that_stops_answering_is_given_up(make_standin: MakeStandIn) -> None:
    standin = make_standin(origin_idle_seconds=0.1)
    standin.deploy(GATE)
    assert standin.get("/slow").json()["code"] == "EW_ORIGIN"


def test_an_origin_by_another_name_is_not_the_origin(make_standin: MakeStandIn, authority: Authority) -> None:
    with serving(authority.ca, *authority.issue("named", [dns("api.shop.localhost")])) as origin:
        standin = make_standin(origin=origin.url)
        standin.deploy(GATE)
        assert standin.get("/").status_code == 200
        assert standin.get("/", headers={"Host": "else.localhost"}).json()["code"] == "EW_ORIGIN"


@pytest.mark.parametrize(
    ("identity", "status"), [(ORIGIN_ID, 200), ("api.shop.localhost", 200), (ORIGIN_ID + "x", 500), ("localhost", 500)]
)
def test_the_origin_s_identity_can_be_pinned(make_standin: MakeStandIn, identity: str, status: int) -> None:
    standin = make_standin(origin_identity=identity)
    standin.deploy(GATE)
    assert standin.get("/").status_code == status


def test_an_origin_of_another_authority_is_refused(make_standin: MakeStandIn, tmp_path: Path) -> None:
    standin = make_standin(origin_ca=str(Authority(tmp_path).ca))
    standin.deploy(GATE)
    assert standin.get("/").json()["code"] == "EW_ORIGIN"


def test_certificates_are_picked_up_when_they_come_and_when_they_change(
    make_standin: MakeStandIn, authority: Authority, tmp_path: Path
) -> None:
    cert, key = tmp_path / "late.pem", tmp_path / "late.key"
    standin = make_standin(origin_cert=str(cert), origin_key=str(key))
    standin.deploy(GATE)
    assert standin.get("/").json()["code"] == "EW_ORIGIN"
    late = Authority(tmp_path).issue("wrong", [uri("spiffe://other")])
    key.write_bytes(late[1].read_bytes())
    cert.write_bytes(late[0].read_bytes())
    time.sleep(1.5)
    assert standin.get("/").json()["code"] == "EW_ORIGIN"
    right = authority.issue("renewed", [uri("spiffe://shop.test/edge")])
    key.write_bytes(right[1].read_bytes())
    cert.write_bytes(right[0].read_bytes())
    eventually(lambda: standin.get("/").status_code == 200, patience=5)


def test_a_response_provider_answers_instead_of_the_origin(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.deploy(
        """
        import { createResponse } from 'create-response';
        export async function responseProvider(request) {
          return createResponse(201, { 'X-Made': ['here'] }, 'got ' + (await request.text()));
        }
        export function onClientResponse(request, response) { response.setHeader('X-Seen', String(response.status)); }
        """
    )
    answer = standin.get("/", method="POST", data=b"hello")
    assert (answer.status_code, answer.text) == (201, "got hello")
    assert (answer.headers["X-Made"], answer.headers["X-Seen"]) == ("here", "201")


def test_a_killed_data_plane_comes_back_as_it_was(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.deploy(GATE)
    assert standin.get("/").status_code == 200
    os.kill(standin.engine_pid(), signal.SIGKILL)

    def is_back() -> bool:
        try:
            return standin.get("/").status_code == 200
        except (requests.ConnectionError, http.client.HTTPException):
            return False

    eventually(is_back, patience=10)
    assert requests.get(f"{standin.control}/healthz", timeout=5).status_code == 200


def test_the_data_plane_does_not_outlive_its_parent(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    engine = standin.engine_pid()
    standin.kill()

    def is_gone() -> bool:
        try:
            os.kill(engine, 0)
        except ProcessLookupError:
            return True
        return False

    eventually(is_gone, patience=5)


def test_a_signal_ends_it_after_the_calls_under_way(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.deploy(GATE)
    with standin.get("/events", stream=True) as answer:
        lines = answer.iter_lines()
        next(lines)
        os.kill(standin.pid, signal.SIGTERM)
        assert len([line for line in lines if line]) == EVENTS - 1
    assert standin.stop() == 0
