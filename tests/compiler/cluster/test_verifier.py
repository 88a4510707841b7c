"""The verifier as it runs: asked by NGINX as an ingress controller has it ask, told nothing it may believe but that."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.compiler.emitters.cluster import emit_traps
from apps.compiler.emitters.cluster.verifier import LARGEST, policy
from apps.compiler.emitters.edgekv import ItemTooLargeError
from apps.compiler.graph import AccessGraph, Cause, Denial, Grant
from tests.agreement.forge import Claims
from tests.compiler.cluster.estate import KEY, SURROUNDINGS, emitted, of_kind, parsed
from tests.compiler.estate import ADA, BOT, MESH, PAYMENTS
from tests.meshclient import Answer, EchoApplication, read_answer
from tests.meshfixtures import builds
from tests.ports import free_block, free_port
from tests.verifiers import Verifier

HOST = "api.shop.test"
REFUND = Grant("g-ada", ADA.id, "payments", frozenset({"refund"}), MESH, 0)
BOT_GRANT = Grant("g-bot", BOT.id, "payments", frozenset({"order"}), MESH, 0)
GRAPH = AccessGraph(
    {ADA.id: ADA, BOT.id: replace(BOT, calls_per_minute=2)}, {"payments": PAYMENTS}, (REFUND, BOT_GRANT)
)


def token(subject: str = ADA.id, **changed: object) -> str:
    now = int(time.time())
    claims: Claims = {"iss": "edge:test", "aud": "mesh:test", "sub": subject, "iat": now, "exp": now + 60}
    claims |= {"tctx": {"svc": "payments", "gr": []}} | changed
    return KEY.jwt({"alg": "ES256", "typ": "txntoken+jwt", "kid": KEY.kid}, claims)


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    port = free_block(2)
    found = Verifier(tmp_path_factory.mktemp("verifier"), port)
    found.mount(emitted(GRAPH, at_port(port)))
    found.launch()
    yield found
    found.stop()


def at_port(port: int) -> object:
    return replace(SURROUNDINGS, verifier=f"sallyport/sp-verifier:{port}")


def ask(verifier: Verifier, target: str, *headers: tuple[str, str], host: str = HOST) -> tuple[int, str]:
    status, told = verifier.ask(target, host=host, headers=headers)
    return status, told.get("x-sallyport-reason", "")


CALL = "/nic/payments/POST/payments/orders/7/refunds"


def test_it_lets_in_whoever_may_and_says_by_what(verifier: Verifier) -> None:
    status, told = verifier.ask(CALL, host=HOST, headers=[("Txn-Token", token())])
    assert (status, told["x-sallyport-reason"]) == (204, "granted")
    assert (told["x-sallyport-subject"], told["x-sallyport-grant"]) == (ADA.id, "g-ada")


def test_it_refuses_in_the_two_ways_an_ingress_understands(verifier: Verifier) -> None:
    good = ("Txn-Token", token())
    assert ask(verifier, CALL) == (403, "edge_token_absent")
    assert ask(verifier, CALL, good, good) == (401, "duplicate_token")
    assert ask(verifier, CALL, ("Txn-Token", token(exp=1))) == (401, "expired_token")
    assert ask(verifier, CALL, ("Txn-Token", token(tctx={"svc": "cart"}))) == (403, "service_mismatch")
    assert ask(verifier, CALL, ("Txn-Token", token("person:ben"))) == (403, "no_grant")
    assert ask(verifier, "/nic/payments/GET/payments/orders/7", good) == (403, "no_grant")
    assert ask(verifier, "/nic/payments/POST/payments/nothing", good) == (403, "no_route")
    assert ask(verifier, "/nic/payments/POST/payments/orders/7%2Fx/refunds", good) == (403, "bad_path")


def test_it_believes_no_header_about_the_call(verifier: Verifier) -> None:
    lies = [("X-Original-URI", "/payments/orders/7/refunds"), ("X-Original-Method", "POST")]
    lies += [("Path", "/payments/orders/7/refunds"), ("Method", "POST"), ("X-Sallyport-Probe", "1")]
    good = ("Txn-Token", token())
    assert ask(verifier, "/nic/payments/GET/payments/orders/7", good, *lies) == (403, "no_grant")
    assert ask(verifier, "/nic/payments/post/payments/orders/7/refunds", good) == (403, "no_route")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/healthz",
        "/nic",
        "/nic/payments",
        "/nic/payments/POST",
        "/nic/payments/POST/../../../../gateway/payments",
        "/nic/payments/POST/..%2f..%2f..%2fhealthz",
        "/nic/payments/POST//context",
        "/nic/cart/POST/payments/orders/7/refunds",
        "/nic/payments/$request_method$request_uri",
        "/nic/payments/POST/payments/../payments/orders/7/refunds",
        "/nic/payments/POST/payments//orders/7/refunds",
        "//context",
        "/gateway/payments?Path=/payments/orders/7/refunds",
    ],
)
def test_no_path_leads_to_another_answer(verifier: Verifier, target: str) -> None:
    status, reason = ask(verifier, target, ("Txn-Token", token()))
    assert status in (400, 403)
    assert reason in ("", "no_service", "bad_path")


def test_a_gateway_asks_with_headers(verifier: Verifier) -> None:
    good = ("Txn-Token", token())
    told = [("Method", "POST"), ("Path", "/payments/orders/7/refunds?page=2")]
    assert ask(verifier, "/gateway/payments", good, *told) == (204, "granted")
    assert ask(verifier, "/gateway/payments", good) == (403, "no_service")
    assert ask(verifier, "/gateway/payments", good, *told, host="elsewhere.test") == (403, "no_service")


def test_it_counts_the_calls_of_a_minute(verifier: Verifier) -> None:
    """A probe is no way around it: an ingress would pass the call on."""
    call = "/nic/payments/GET/payments/orders/7"
    headers = [("Txn-Token", token(BOT.id)), ("X-Sallyport-Probe", "1")]
    answers = [ask(verifier, call, *headers) for _ in range(6)]
    assert (403, "rate_limited") in answers
    assert answers.count((204, "granted")) in (2, 4)  # a minute may end meanwhile


CONTROLLER = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4;
    scgi_temp_path {root}/t5;
    upstream vs_auth {{ server 127.0.0.1:{verifier}; }}
    upstream vs_app {{ server 127.0.0.1:{app}; }}
    server {{
        listen 127.0.0.1:{port};
        server_name {host};
        location {asked} {{
            internal;
            proxy_pass_request_headers on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "0";
            proxy_set_header Host "$host";
            proxy_pass http://vs_auth{uri};
        }}
        location {path} {{
            auth_request {asked};
            {headers}
            proxy_pass http://vs_app{rewrite};
        }}
    }}
}}
"""


@pytest.fixture(scope="module", params=["/_external_auth", "/_external_auth{uri}"])
def controller(
    request: pytest.FixtureRequest, verifier: Verifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """NGINX configured as the controller makes it of our objects: the question, the route, the headers.

    What it calls the location that asks is its own affair; it may put the address into the name.
    """
    root, port, app = tmp_path_factory.mktemp("controller"), free_port(), free_port()
    objects = parsed(emitted(GRAPH, at_port(verifier.port)))
    asking = of_kind(objects, "Policy")["sp-payments-verify"]["spec"]["externalAuth"]
    [subroute] = of_kind(objects, "VirtualServerRoute")["sp-payments"]["spec"]["subroutes"]
    proxy = subroute["action"]["proxy"]
    headers = "\n".join(f'proxy_set_header {one["name"]} "{one["value"]}";' for one in proxy["requestHeaders"]["set"])
    conf = CONTROLLER.format(
        root=root,
        verifier=verifier.port,
        app=app,
        port=port,
        host=HOST,
        uri=asking["authURI"],
        asked=request.param.format(uri=asking["authURI"]),
        path=subroute["path"],
        headers=headers,
        rewrite=proxy["rewritePath"],
    )
    if Path("/proc/self").owner() == "root":
        conf = "user root;" + conf
    (root / "nginx.conf").write_text(conf)
    with EchoApplication([app]):
        command = [builds()[0].path, "-p", f"{root}/", "-c", "nginx.conf", "-e", "stderr"]
        process = subprocess.Popen(command)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(timeout=10)


def call(port: int, line: str, *headers: str) -> Answer:
    import socket  # noqa: PLC0415

    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
                told = "".join(f"{header}\r\n" for header in (f"Host: {HOST}", "Connection: close", *headers))
                stream.sendall(f"{line} HTTP/1.1\r\n{told}\r\n".encode())
                return read_answer(stream, b"")[0]
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def test_a_controller_tells_method_and_path_in_the_address_it_asks(controller: int) -> None:
    good = f"Txn-Token: {token()}"
    answer = call(controller, "POST /payments/orders/7/refunds?page=2", good, "Content-Length: 0")
    assert answer.status == 200
    assert answer.json()["target"] == "/orders/7/refunds?page=2"
    assert call(controller, "GET /payments/orders/7/refunds", good).status == 403
    assert call(controller, "POST /payments/charges", good, "Content-Length: 0").status == 403
    assert call(controller, "POST /payments/orders/7/refunds", "Content-Length: 0").status == 403
    assert call(controller, "POST /payments/charges/%2e%2e/orders/7/refunds", good, "Content-Length: 0").status == 403
    assert call(controller, "POST /payments/x/../../../..", good, "Content-Length: 0").status == 400


def test_nobody_speaks_in_our_name_to_an_application(controller: int) -> None:
    lies = [f"{name}: lie" for name in ("X-Sallyport-Subject", "Remote-User", "X-Forwarded-User")]
    answer = call(controller, "POST /payments/orders/7/refunds", f"Txn-Token: {token()}", "Content-Length: 0", *lies)
    received = answer.json()["headers"]
    assert isinstance(received, list)
    names = {name.lower() for name, _ in received}
    assert names.isdisjoint({"x-sallyport-subject", "remote-user", "x-forwarded-user", "txn-token"})


def test_it_takes_a_new_policy_over_and_keeps_the_old_one_when_that_is_broken(tmp_path: Path) -> None:
    port = free_block(2)
    told = at_port(port)
    verifier = Verifier(tmp_path, port)
    verifier.mount(emitted(replace(GRAPH, grants=()), told))
    verifier.launch()
    try:
        assert ask(verifier, CALL, ("Txn-Token", token())) == (403, "no_grant")
        verifier.mount(emitted(GRAPH, told))
        until(lambda: ask(verifier, CALL, ("Txn-Token", token())) == (204, "granted"))
        data = verifier.conf / "..v2" / "nginx.conf"
        broken = [one for one in emitted(GRAPH, told) if not one.path.endswith("sp-payments-policy.json")]
        assert data.exists()
        verifier.mount(broken)
        until(lambda: ask(verifier, CALL, ("Txn-Token", token())) == (403, "no_route"))
        (verifier.conf / "..v4").mkdir()
        (verifier.conf / "..v4" / "nginx.conf").write_text("nonsense;")
        (verifier.conf / "..next").symlink_to("..v4")
        (verifier.conf / "..next").rename(verifier.conf / "..data")
        until(lambda: "the old one stays" in verifier.log())
        assert ask(verifier, CALL, ("Txn-Token", token())) == (403, "no_route")
    finally:
        verifier.stop()


def until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_was_revoked_is_told_so(tmp_path: Path) -> None:
    port = free_block(2)
    denial = Denial(ADA.id, Cause.SUSPENDED, int(time.time()) + 600)
    verifier = Verifier(tmp_path, port)
    verifier.mount(emitted(replace(GRAPH, denials=(denial,)), at_port(port)))
    verifier.launch()
    try:
        assert ask(verifier, CALL, ("Txn-Token", token())) == (403, "subject_revoked")
    finally:
        verifier.stop()


def test_a_grant_changes_one_object() -> None:
    before, after = (
        {artifact.path: artifact for artifact in emitted(graph)} for graph in (replace(GRAPH, grants=()), GRAPH)
    )
    changed = {path for path in after if before.get(path) != after[path]}
    assert changed == {
        "sallyport/configmaps.core/sp-payments-policy.json",
        "shop/traffictargets.access.smi-spec.io/"
        + next(p for p in changed if "traffictargets" in p).rpartition("/")[2],
    }


def test_a_policy_that_no_configmap_holds_is_refused_by_size() -> None:
    long = "g" * 4000
    grants = tuple(
        Grant(f"{long}{place}", ADA.id, "payments", frozenset({"refund"}), MESH, place) for place in range(250)
    )
    graph = AccessGraph({ADA.id: ADA}, {"payments": PAYMENTS}, grants)
    with pytest.raises(ItemTooLargeError, match=f"holds {LARGEST}"):
        policy(graph, PAYMENTS, SURROUNDINGS)
    assert "too_large" in {trap.code for trap in emit_traps(graph, graph, graph, PAYMENTS, SURROUNDINGS)}
