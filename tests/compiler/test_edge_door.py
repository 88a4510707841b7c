"""What the edge door forwards, refuses and says, in V8."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from apps.compiler.emitters.edgekv import GROUP, emit_item, item_key
from apps.compiler.emitters.edgeworker import PACKED_LIMIT, UNPACKED_LIMIT, emit_code
from apps.compiler.graph import AccessGraph, TrafficRule
from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.slices import split
from apps.compiler.tokens import CONTEXT_TOKEN_TYPE, Expected, Presented, check, take_apart
from apps.localedge.runner import EdgeRunner, Request, Result
from tests.agreement.strategies import TokenFault
from tests.compiler.estate import BOTH, CONSOLE, CONTEXT_KEY, FORGE, HOUR, NIGHT, SURROUNDINGS, estate

ITEM = (SURROUNDINGS.namespace, GROUP, "payments")
FORGED_HEADERS = [
    "Txn-Token",
    "X-Request-Id",
    "X-Sallyport-Subject",
    "X-Sallyport-Grant",
    "X_Sallyport_Grant",
    "X-Forwarded-User",
    "X_Forwarded_Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Client-Cert",
    "X-Auth-Request-User",
    "X-Remote-User",
    "Remote_User",
    "X-SSL-Client-Verify",
    "SSL-Client-S-DN",
    "X-Client-Cert",
    "Forwarded",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
]


def items(graph: AccessGraph) -> dict[tuple[str, str, str], str]:
    parts = split(graph)
    return {
        (SURROUNDINGS.namespace, GROUP, item_key(service)): emit_item(part, service, SURROUNDINGS).content.decode()
        for service, part in parts
    }


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeRunner]:
    files = {artifact.path: artifact.content for artifact in emit_code(estate(), SURROUNDINGS)}
    with EdgeRunner(files, items(estate())) as running:
        yield running


def call(
    subject: str = "person:ada",
    method: str = "POST",
    path: str = "/payments/orders/7/refunds",
    *,
    at: int = NIGHT,
    fault: TokenFault = TokenFault.NONE,
    headers: Mapping[str, list[str]] | None = None,
    actor: str | None = None,
    issued: int | None = None,
) -> Request:
    own = {"iss": CONSOLE, "aud": "sallyport-edge", "sub": subject, "exp": at + 300}
    own |= {"iat": at if issued is None else issued}
    claims = own if actor is None else own | {"act": {"iss": CONSOLE, "sub": actor}}
    values = list(FORGE.make(claims, fault, at).values)
    authorization = {"Authorization": values} if values else {}
    return {"method": method, "host": "api.shop.test", "path": path, "headers": {**authorization, **(headers or {})}}


def told(result: Result) -> dict[str, object]:
    found: dict[str, object] = json.loads(result["variables"]["PMUSER_SP_V"])
    return found


def test_an_allowed_call_goes_on_with_a_context_token_and_nothing_forged(edge: EdgeRunner) -> None:
    forged = {name: ["forged"] for name in FORGED_HEADERS}
    result = edge.run(call(path="/payments/orders/7/refunds?dry=1", headers={**forged, "X-Other": ["kept"]}), now=NIGHT)
    assert result["action"] == "forward"
    headers = result["headers"]
    assert headers.keys() == {"host", "x-other", "txn-token", "x-request-id"}
    assert "forged" not in json.dumps(headers)
    assert (headers["host"], headers["x-other"]) == (["api.shop.test"], ["kept"])
    assert (result["path"], result["query"]) == ("/payments/orders/7/refunds", "dry=1")
    assert headers["x-request-id"] == [result["variables"]["PMUSER_SP_RID"]]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"][0])
    assert told(result) == {
        "p": "edge",
        "v": "allow",
        "r": "granted",
        "s": "person:ada",
        "i": NIGHT,
        "svc": "payments",
        "rt": "refund",
        "g": ["g-ada"],
        "pr": 0,
    }


def verify(token: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    CONTEXT_KEY.private.public_key().verify(der, text.encode(), ec.ECDSA(hashes.SHA256()))
    header, claims = take_apart(token)
    assert header is not None
    assert claims is not None
    return header, claims


def test_a_header_of_a_traffic_rule_is_the_rules_however_a_client_spells_it() -> None:
    rule = TrafficRule(
        "t-1",
        "person:ada",
        "payments",
        frozenset({"refund"}),
        BOTH,
        NIGHT - HOUR,
        set_headers=(("X-Canary", "on"),),
        remove_headers=("X-Debug",),
    )
    graph = replace(estate(), traffic=(rule,))
    files = {artifact.path: artifact.content for artifact in emit_code(graph, SURROUNDINGS)}
    theirs = ("x-canary", "X_Canary", "X_CANARY", "X-DEBUG", "x_debug", "X-Debugger", "X-Experiment", "Prefer")
    with EdgeRunner(files, items(graph)) as running:
        result = running.run(call(headers={name: ["theirs"] for name in theirs}), now=NIGHT)
    kept = {"x-canary": ["on"], "x-debugger": ["theirs"], "x-experiment": ["theirs"], "prefer": ["theirs"]}
    assert result["action"] == "forward"
    assert result["headers"].keys() == {"host", "txn-token", "x-request-id", *kept}
    assert {name: result["headers"][name] for name in kept} == kept


def test_the_context_token_says_who_what_and_how_long(edge: EdgeRunner) -> None:
    result = edge.run(call(at=NIGHT + 607), now=NIGHT + 607.9)
    header, claims = verify(result["headers"]["txn-token"][0])
    assert header == {"alg": "ES256", "typ": "txntoken+jwt", "kid": "context-1"}
    assert re.fullmatch(r"[0-9a-f]{32}", str(claims["txn"]))
    assert {name: value for name, value in claims.items() if name != "txn"} == {
        "iss": "edge:test",
        "aud": "mesh:test",
        "sub": "person:ada",
        "iat": NIGHT + 607,
        "exp": NIGHT + 667,
        "scope": "svc:payments",
        "req_wl": "edge:test",
        "tctx": {"svc": "payments", "gr": ["g-ada"], "iat": NIGHT + 607},
    }
    expected = Expected(CONTEXT_TOKEN_TYPE, "edge:test", "mesh:test")
    assert check(Presented(header, claims), expected, NIGHT + 607) is None


def test_the_context_token_says_who_acts_for_whom(edge: EdgeRunner) -> None:
    alone = edge.run(call(at=NIGHT + 300), now=NIGHT + 300)
    acted = edge.run(call(at=NIGHT + 300, actor="person:ada"), now=NIGHT + 300)
    assert "act" not in verify(alone["headers"]["txn-token"][0])[1]
    assert verify(acted["headers"]["txn-token"][0])[1]["act"] == {"sub": "person:ada"}
    assert (told(acted)["a"], "a" in told(alone)) == ("person:ada", False)
    refused = edge.run(call(at=NIGHT + 300, actor="agent:nobody"), now=NIGHT + 300)
    assert (refused["action"], told(refused)["s"], told(refused)["a"]) == ("respond", "person:ada", "agent:nobody")


def test_the_context_token_is_shared_within_a_minute_by_the_same_edge_token_only(edge: EdgeRunner) -> None:
    def token(subject: str, method: str, path: str, at: int, issued: int = NIGHT) -> str:
        return edge.run(call(subject, method, path, at=at, issued=issued), now=at)["headers"]["txn-token"][0]

    first = token("person:ada", "POST", "/payments/orders/7/refunds", NIGHT + 120)
    assert token("person:ada", "POST", "/payments/orders/8/refunds", NIGHT + 179) == first
    assert token("person:ada", "POST", "/payments/orders/8/refunds", NIGHT + 179, NIGHT + 1) != first
    assert token("person:ada", "POST", "/payments/orders/7/refunds", NIGHT + 180) != first
    assert verify(token("person:ben", "GET", "/payments/orders/7", NIGHT + 120))[1]["sub"] == "person:ben"


def test_a_refusal_is_a_problem_with_a_next_step(edge: EdgeRunner) -> None:
    result = edge.run(call(path="/payments/charges", headers={"Accept": ["*/*"]}), now=NIGHT)
    assert (result["action"], result["status"]) == ("respond", 403)
    assert result["headers"]["content-type"] == ["application/problem+json"]
    rid = result["variables"]["PMUSER_SP_RID"]
    assert result["headers"]["x-request-id"] == [rid]
    assert json.loads(result["body"]) == {
        "type": f"{CONSOLE}/docs/reasons#no_grant",
        "title": "no grant",
        "status": 403,
        "detail": TEXTS[Reason.NO_GRANT].sentence,
        "reason": "no_grant",
        "request_id": rid,
        "point": "edge",
        "service": "payments",
        "method": "POST",
        "path": "/charges",
        "next_step": TEXTS[Reason.NO_GRANT].next_step,
        "request_url": f"{CONSOLE}/requests/new?service=payments&method=POST&path=%2Fcharges&rid={rid}",
    }


def test_asking_is_offered_only_where_it_helps(edge: EdgeRunner) -> None:
    expired = edge.run(call("person:ben", path="/payments/charges"), now=NIGHT)
    guarded = edge.run(call("agent:release-bot", path="/payments/charges"), now=NIGHT)
    assert json.loads(expired["body"])["reason"] == "grant_expired"
    assert "request_url" in json.loads(expired["body"])
    assert json.loads(guarded["body"])["reason"] == "guardrail"
    assert "request_url" not in json.loads(guarded["body"])


def test_a_missing_token_is_challenged(edge: EdgeRunner) -> None:
    result = edge.run(call(fault=TokenFault.ABSENT), now=NIGHT)
    assert (result["status"], result["headers"]["www-authenticate"]) == (401, ['Bearer realm="sallyport"'])
    assert json.loads(result["body"])["reason"] == "no_token"


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("application/json;q=0.5, text/html", True),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_people_get_a_page_and_programs_a_problem(edge: EdgeRunner, accept: str, page: bool) -> None:
    result = edge.run(call(fault=TokenFault.ABSENT, headers={"Accept": [accept]}), now=NIGHT)
    kind = "text/html; charset=utf-8" if page else "application/problem+json"
    assert result["headers"]["content-type"] == [kind]
    assert result["body"].startswith("<!doctype html>" if page else "{")
    assert CONSOLE in result["body"]


def test_a_page_offers_to_ask_and_quotes_what_it_was_sent(edge: EdgeRunner) -> None:
    path = "/payments/orders/'%22%3Cscript%3E&x"
    headers = {"Accept": ["text/html"]}
    result = edge.run(call("person:ada", "GET", path, headers=headers), now=NIGHT)
    assert told(result)["r"] == "no_grant"
    assert "Ask for access" in result["body"]
    assert "<script" not in result["body"]
    assert "default-src 'none'" in result["headers"]["content-security-policy"][0]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize(
    "path", ["/payments/orders/" + "%22" * 3000, "/payments/orders/" + "'" * 199, "/payments/" + '"' * 180]
)
def test_a_body_never_outgrows_the_platform(edge: EdgeRunner, path: str, accept: str) -> None:
    result = edge.run(call("person:ada", "GET", path, headers={"Accept": [accept]}), now=NIGHT)
    assert result["action"] == "respond"
    assert told(result)["r"] in ("no_grant", "no_route")
    assert len(result["body"]) < 2048


def test_an_answer_carries_the_request_id_and_no_verdicts(edge: EdgeRunner) -> None:
    request = call()
    request["response"] = {"status": 200, "headers": {"x-sallyport-mesh": ["allow;granted;g"], "x-app": ["1"]}}
    result = edge.run(request, now=NIGHT)
    relayed = result["relayed"]["headers"]
    assert relayed == {"x-app": ["1"], "x-request-id": [result["variables"]["PMUSER_SP_RID"]]}


def test_a_probe_is_marked_and_hears_both_doors(edge: EdgeRunner) -> None:
    request = call(headers={"X-Sallyport-Probe": ["1"]})
    request["response"] = {"status": 204, "headers": {"x-sallyport-mesh": ["allow;granted;g-ada"]}}
    result = edge.run(request, now=NIGHT)
    assert result["headers"]["x-sallyport-probe"] == ["1"]
    assert told(result)["pr"] == 1
    relayed = result["relayed"]["headers"]
    assert relayed["x-sallyport-edge"] == ["allow;granted;g-ada"]
    assert relayed["x-sallyport-mesh"] == ["allow;granted;g-ada"]


@pytest.mark.parametrize("values", [["1"], ["0", "1"], ["0, 1"], ["1", "1"]])
def test_in_doubt_a_call_is_a_probe(edge: EdgeRunner, values: list[str]) -> None:
    result = edge.run(call(headers={"X-Sallyport-Probe": values}), now=NIGHT)
    assert result["headers"]["x-sallyport-probe"] == ["1"]


@pytest.mark.parametrize("values", [["0"], [""], ["true"], ["11"]])
def test_another_value_is_no_probe_and_is_stripped(edge: EdgeRunner, values: list[str]) -> None:
    result = edge.run(call(headers={"X-Sallyport-Probe": values}), now=NIGHT)
    assert "x-sallyport-probe" not in result["headers"]


def test_a_refused_probe_hears_why(edge: EdgeRunner) -> None:
    request = call(at=NIGHT + 18 * HOUR, headers={"X-Sallyport-Probe": ["1"]})
    result = edge.run(request, now=NIGHT + 18 * HOUR)
    assert result["headers"]["x-sallyport-edge"] == ["deny;grant_expired;g-ada"]


def test_many_grants_fit_into_the_variables(edge: EdgeRunner) -> None:
    item = json.loads(items(estate())[ITEM])
    [[subject, _]] = [pair for pair in item["subjects"].items() if pair[1] == [0]]
    item["grants"] = [[f"{place:036}", [0, 1, 2, 3], 0, None] for place in range(100)]
    item["subjects"] = {subject: list(range(100))}
    edge.set_items({ITEM: json.dumps(item)})
    try:
        result = edge.run(call(), now=NIGHT)
    finally:
        edge.set_items(items(estate()))
    assert result["action"] == "forward"
    grants = told(result)["g"]
    assert isinstance(grants, list)
    assert grants == [f"{place:036}" for place in range(len(grants))]
    assert len(grants) > 10


@pytest.mark.parametrize(
    "item",
    [
        None,
        "",
        "null",
        "[]",
        "{",
        json.dumps({"v": 2, "svc": "payments"}),
        json.dumps({"v": 1, "svc": "cart", "routes": [], "guards": [], "subjects": {}, "grants": []}),
        json.dumps({"v": 1, "svc": "payments"}),
    ],
)
def test_a_policy_that_cannot_be_read_closes_the_door(edge: EdgeRunner, item: str | None) -> None:
    edge.set_items({ITEM: item})
    try:
        result = edge.run(call(), now=NIGHT)
    finally:
        edge.set_items(items(estate()))
    assert (result["action"], result["status"]) == ("respond", 503)
    assert json.loads(result["body"])["reason"] == "policy_unavailable"
    assert json.loads(result["body"])["request_id"] == result["variables"]["PMUSER_SP_RID"]


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_store_in_trouble_closes_the_door(edge: EdgeRunner, status: int) -> None:
    edge.set_kv_fault(status=status)
    try:
        result = edge.run(call(), now=NIGHT)
    finally:
        edge.set_kv_fault()
    assert (result["status"], told(result)["r"]) == (503, "policy_unavailable")


def test_the_cheap_checks_do_not_need_the_store(edge: EdgeRunner) -> None:
    edge.set_kv_fault(status=500)
    try:
        results = edge.run_many(
            [call(path="/payments//"), call(path="/nowhere"), call(fault=TokenFault.EXPIRED)], now=NIGHT
        )
    finally:
        edge.set_kv_fault()
    assert [told(result)["r"] for result in results] == ["bad_path", "no_service", "expired_token"]


def test_a_subject_that_does_not_fit_is_refused(edge: EdgeRunner) -> None:
    result = edge.run(call("person:" + "x" * 1000), now=NIGHT)
    assert (result["action"], result["status"]) == ("respond", 503)


def test_the_log_never_holds_a_token(edge: EdgeRunner) -> None:
    edge.set_kv_fault(status=500)
    try:
        result = edge.run(call(), now=NIGHT)
    finally:
        edge.set_kv_fault()
    assert result["log"] != []
    assert "eyJ" not in json.dumps(result["log"])


def test_the_bundle_stays_far_below_the_limits(edge: EdgeRunner) -> None:
    edge.run_many([call(), call(path="/payments/charges")] * 50, now=NIGHT)
    measured = edge.measure()
    assert measured["compressed_bytes"] < PACKED_LIMIT / 10
    assert measured["uncompressed_bytes"] < UNPACKED_LIMIT / 10
    assert measured["heap_bytes"] < 1_000_000
    assert measured["handlers"] == ["onClientRequest", "onClientResponse", "onOriginRequest"]
