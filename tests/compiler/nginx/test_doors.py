"""What goes through the doors, what is taken off it, and how a refusal reads."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from cryptography import x509

from tests.compiler.nginx.doors import CART, EDGE, HOST, INGRESS, LONG, Doors, token
from tests.meshclient import Answer, read_answer
from tests.meshfixtures import Authority, Identity

SPOOFED = (
    "Txn-Token",
    "X-Sallyport-Subject",
    "X-Sallyport-Grant",
    "X-Sallyport-Anything",
    "x-sallyport-edge",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Client-Cert",
    "X-Auth-Request-User",
    "X-Auth-Request-Whatever",
    "X-Remote-User",
    "Remote-User",
    "X-SSL-Client-Cert",
    "SSL-Client-Verify",
    "X-Client-Cert",
    "Forwarded",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X_Sallyport_Subject",
    "X_Remote_User",
    "Remote_User",
)


def call(doors: Doors, caller: str = CART, target: str = "/v1/7", method: str = "GET", **rest: object) -> Answer:
    with doors.node.client(doors.identities[caller]) as client:
        return client.send(method, target, port=doors.sidecar, **rest)  # type: ignore[arg-type]


def call_edge(doors: Doors, target: str = "/payments/v1/7", **rest: object) -> Answer:
    with doors.node.client(doors.identities[EDGE]) as client:
        return client.send("GET", target, port=doors.ingress, host=HOST, **rest)  # type: ignore[arg-type]


def received(answer: Answer) -> dict[str, str]:
    """The headers that reached the application, by lower-case name."""
    assert answer.status == 200, answer
    headers = answer.json()["headers"]
    assert isinstance(headers, list)
    return {name.lower(): value for name, value in headers}


def reason(answer: Answer) -> tuple[int, object]:
    return answer.status, answer.json()["reason"]


def test_the_application_learns_who_calls_and_by_which_grant(doors: Doors) -> None:
    answer = call(doors)
    headers = received(answer)
    assert headers["x-sallyport-subject"] == f"workload:{CART}"
    assert headers["x-sallyport-grant"] == "g-cart"
    assert headers["x-request-id"] == answer.header("X-Request-Id")
    assert len(headers["x-request-id"]) == 32


def test_path_and_query_arrive_as_they_were_sent(doors: Doors) -> None:
    assert call(doors, target="/v1/a%20b'?x=%2F..%2F&y=a+b").json()["target"] == "/v1/a%20b'?x=%2F..%2F&y=a+b"
    with_token = [("Txn-Token", token())]
    assert call_edge(doors, "/payments/v1/%C3%A9?q=1", headers=with_token).json()["target"] == "/v1/%C3%A9?q=1"


@pytest.mark.parametrize("name", SPOOFED)
def test_nobody_speaks_in_our_name(doors: Doors, name: str) -> None:
    direct = received(call(doors, headers=[(name, "forged"), ("Accept", "a/b"), ("Cookie", "c=d")]))
    assert "forged" not in direct.values()
    assert (direct["accept"], direct["cookie"]) == ("a/b", "c=d")
    if name != "Txn-Token":
        through = received(call_edge(doors, headers=[("Txn-Token", token()), (name, "forged")]))
        assert "forged" not in through.values()
        assert "txn-token" not in through
        assert through["x-sallyport-subject"] == "person:Ada"


def test_other_headers_pass(doors: Doors) -> None:
    assert received(call(doors, headers=[("X-Custom", "1"), ("Authorization", "Basic x")])).items() >= {
        ("x-custom", "1"),
        ("authorization", "Basic x"),
    }


def test_only_the_edge_may_bring_a_request_id(doors: Doors) -> None:
    given = [("X-Request-Id", "ab" * 16)]
    assert received(call(doors, headers=given))["x-request-id"] != "ab" * 16
    through = call_edge(doors, headers=[("Txn-Token", token()), *given])
    assert received(through)["x-request-id"] == through.header("X-Request-Id") == "ab" * 16
    odd = call_edge(doors, headers=[("Txn-Token", token()), ("X-Request-Id", "AB" * 16)])
    assert received(odd)["x-request-id"] != "AB" * 16


def test_a_token_from_anybody_but_the_ingress_says_nothing(doors: Doors) -> None:
    answer = call(doors, headers=[("Txn-Token", token("person:Ada"))])
    assert received(answer)["x-sallyport-subject"] == f"workload:{CART}"


def test_only_the_edge_enters_by_the_ingress(doors: Doors) -> None:
    with doors.node.client(doors.identities[CART]) as cart:
        answer = cart.send("GET", "/payments/v1/7", port=doors.ingress, host=HOST, headers=[("Txn-Token", token())])
    assert reason(answer) == (403, "edge_token_absent")


def test_a_token_for_one_service_does_not_open_another(doors: Doors) -> None:
    assert reason(call_edge(doors, "/other/v1/7", headers=[("Txn-Token", token())])) == (403, "service_mismatch")
    with doors.node.client(doors.identities[INGRESS]) as ingress:
        elsewhere = [("Txn-Token", token(service="other"))]
        answer = ingress.send("GET", "/v1/7", port=doors.sidecar, headers=elsewhere)
    assert reason(answer) == (403, "service_mismatch")


def test_subjects_that_differ_in_case_only_are_two(doors: Doors) -> None:
    assert call_edge(doors, headers=[("Txn-Token", token("person:Ada"))]).status == 200
    assert reason(call_edge(doors, headers=[("Txn-Token", token("person:ada"))])) == (403, "no_grant")


def test_a_subject_that_could_break_a_header_is_nobody(doors: Doors) -> None:
    answer = call_edge(doors, headers=[("Txn-Token", token("person:Ada\r\nX-Evil: 1"))])
    assert reason(answer) == (403, "unknown_subject")


def test_a_certificate_issued_later_is_recognised_by_its_name(doors: Doors) -> None:
    fresh = doors.authority.issue(CART)
    with doors.node.client(fresh) as client:
        assert client.send("GET", "/v1/7", port=doors.sidecar).status == 200
    assert received(call(doors, LONG))["x-sallyport-grant"] == "g-long"


def _named(*names: x509.GeneralName) -> list[x509.GeneralName]:
    return list(names)


URI = x509.UniformResourceIdentifier


@pytest.mark.parametrize(
    "names",
    [
        _named(),
        _named(x509.DNSName("cart")),
        _named(URI(CART), URI(INGRESS)),
        _named(URI(CART), URI(CART)),
        _named(URI("https://shop.test/ns/shop/sa/cart")),
        _named(URI("spiffe://shop.test.evil/ns/shop/sa/cart")),
        _named(URI("spiffe://evil/ns/shop/sa/cart")),
        _named(x509.RFC822Name("cart@shop.test"), x509.DNSName(CART.replace("/", "-").replace(":", "-"))),
    ],
)
def test_a_certificate_that_names_no_single_workload_of_ours_is_unknown(
    doors: Doors, names: list[x509.GeneralName]
) -> None:
    with doors.node.client(doors.authority.issue(CART, names=names)) as client:
        assert reason(client.send("GET", "/v1/7", port=doors.sidecar)) == (403, "unknown_workload")
        assert reason(client.send("GET", "/payments/v1/7", port=doors.ingress)) == (403, "unknown_workload")


def test_a_certificate_of_a_node_that_was_removed_stands_for_nobody(own_doors: Doors) -> None:
    """Though our authority issued it, and it has not run out."""
    lost = own_doors.authority.issue(CART)
    own_doors.node.reload(replace(own_doors, distrusted=(lost.fingerprint,)).artifacts())
    with own_doors.node.client(lost) as client:
        assert reason(client.send("GET", "/v1/7", port=own_doors.sidecar)) == (403, "unknown_workload")
    with own_doors.node.client(own_doors.identities[CART]) as client:
        assert client.send("GET", "/v1/7", port=own_doors.sidecar).status == 200


def _no_certificate(doors: Doors) -> Identity | None:
    return None


def _expired(doors: Doors) -> Identity | None:
    return doors.authority.issue(CART, days=(-3, -1))


def _not_ours(doors: Doors) -> Identity | None:
    return Authority("somebody else").issue(CART)


@pytest.mark.parametrize("made", [_no_certificate, _expired, _not_ours])
def test_a_bad_certificate_is_refused_in_our_words(doors: Doors, made: object) -> None:
    assert callable(made)
    with doors.node.client(made(doors)) as client:
        for port in (doors.sidecar, doors.ingress):
            answer = client.send("GET", "/v1/7", port=port)
            assert reason(answer) == (403, "bad_client_certificate")
            assert answer.json()["request_id"] == answer.header("X-Request-Id")


def test_plain_http_is_refused(doors: Doors) -> None:
    with socket.create_connection(("127.0.0.1", doors.sidecar), timeout=5) as stream:
        stream.sendall(b"GET /v1/7 HTTP/1.1\r\nHost: x\r\n\r\n")
        answer, _ = read_answer(stream, b"")
    assert reason(answer) == (403, "bad_client_certificate")


def test_a_denial_says_what_to_do(doors: Doors) -> None:
    answer = call_edge(doors, "/payments/v1/7?secret=1", headers=[("Txn-Token", token("person:ben"))])
    told = answer.json()
    assert answer.header("Content-Type") == "application/problem+json"
    assert answer.header("Cache-Control") == "no-store"
    assert told["type"] == "https://console.test/docs/reasons#no_grant"
    assert (told["point"], told["service"], told["method"], told["path"]) == ("mesh", "payments", "GET", "/v1/7")
    rid = answer.header("X-Request-Id")
    asked = f"https://console.test/requests/new?service=payments&method=GET&path=%2Fv1%2F7&rid={rid}"
    assert told["request_url"] == asked


def test_a_denial_for_people_is_a_page(doors: Doors) -> None:
    browser = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
    answer = call(doors, INGRESS, headers=[*browser, ("Txn-Token", token("person:ben"))])
    assert answer.status == 403
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.header("Content-Security-Policy")
    assert b"Ask for access" in answer.body
    odd = call(doors, target="/v1/<script>", method="BREW", headers=browser)
    assert odd.status == 404
    assert b"<script>" not in odd.body


def test_a_bad_token_is_a_401_with_a_challenge(doors: Doors) -> None:
    answer = call_edge(doors, headers=[("Txn-Token", "x.y.z")])
    assert reason(answer) == (401, "malformed_token")
    assert answer.header("WWW-Authenticate") == "Bearer"


def test_a_probe_never_reaches_the_application(doors: Doors) -> None:
    probe = ("X-Sallyport-Probe", "1")
    allowed = call(doors, headers=[probe])
    assert (allowed.status, allowed.header("X-Sallyport-Mesh")) == (204, "allow;granted;g-cart")
    through = call_edge(doors, headers=[probe, ("Txn-Token", token())])
    assert (through.status, through.header("X-Sallyport-Mesh")) == (204, "allow;granted;g-ada")
    denied = call(doors, EDGE, headers=[probe])
    assert (denied.status, denied.header("X-Sallyport-Mesh")) == (403, "deny;no_grant;")


def test_what_the_application_says_in_our_name_is_taken_off(doors: Doors) -> None:
    answer = call(doors)
    assert answer.header("X-Sallyport-Mesh") == ""
    assert [value for name, value in answer.headers if name.lower() == "x-request-id"] != ["from-the-application"]


def test_both_doors_tell_of_a_call_under_one_id(doors: Doors) -> None:
    rid = call_edge(doors, headers=[("Txn-Token", token())]).header("X-Request-Id")
    told = {line["point"]: line for line in doors.node.decisions(rid, 2)}
    assert {line["rid"] for line in told.values()} == {rid}
    assert [told[point]["peer"] for point in ("ingress", "sidecar")] == [EDGE, INGRESS]
    expected = {"subject": "person:Ada", "service": "payments", "verdict": "allow", "reason": "granted"}
    assert all(line.items() >= expected.items() for line in told.values())
    assert told["sidecar"].items() >= {"route": "call", "path": "/v1/7", "method": "GET", "status": 200}.items()


def test_a_session_is_resumed_with_its_certificate(doors: Doors) -> None:
    with doors.node.client(doors.identities[CART]) as client:
        assert client.send("GET", "/v1/7", port=doors.sidecar).status == 200
        session = client.session(doors.sidecar)
        with client.connect(doors.sidecar, session=session) as again:
            assert again.session_reused
            again.sendall(b"GET /v1/7 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(again, b"")[0].status == 200
