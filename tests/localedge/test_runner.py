"""The engine: what a bundle may do, what it may not, and what happens when it does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from apps.localedge.engine import EngineError
from apps.localedge.runner import EdgeRunner, Request, Result
from tests.localedge.encoding import base64url, public_jwk

BEHAVIOURS = Path(__file__).with_name("behaviours.js").read_bytes()
MANIFEST = b'{"edgeworker-version": "1"}'
NOON = 1_767_225_600.0


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeRunner]:
    files = {"main.js": BEHAVIOURS, "bundle.json": MANIFEST}
    with EdgeRunner(files, {("ns", "g", "a"): "value of a"}) as runner:
        yield runner


def opened(main: str, **files: str) -> EdgeRunner:
    others = {name: text.encode() for name, text in files.items()}
    return EdgeRunner({"main.js": main.encode(), "bundle.json": MANIFEST, **others})


def told(result: Result) -> object:
    assert result["action"] == "respond", result
    return json.loads(result["body"])


def code(result: Result) -> str:
    assert result["action"] == "error", result
    return result["error"]["code"]


# Limits: everything fails closed, and only the guilty event fails.


@pytest.mark.parametrize(
    "behaviour",
    ["throws", "rejects", "longBody", "evals", "newFunction", "missing", "tooManySubrequests", "tooManyAtOnce"],
)
def test_an_error_ends_the_event(edge: EdgeRunner, behaviour: str) -> None:
    assert code(edge.run({"path": f"/{behaviour}"})) == "EW_RUNTIME"


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [("loop", "EW_CPU_TIMEOUT"), ("asyncLoop", "EW_CPU_TIMEOUT"), ("memory", "EW_MEMORY_LIMIT")],
)
def test_a_runaway_is_killed_and_the_others_are_not(edge: EdgeRunner, behaviour: str, expected: str) -> None:
    requests: list[Request] = [{"path": "/"}] * 20 + [{"path": f"/{behaviour}"}] + [{"path": "/"}] * 20
    results = edge.run_many(requests)
    assert code(results[20]) == expected
    assert [result["action"] for result in results[:20] + results[21:]] == ["forward"] * 40


def test_a_promise_that_never_settles_ends_after_the_tier_s_wall_time() -> None:
    with EdgeRunner({"main.js": BEHAVIOURS, "bundle.json": MANIFEST}, tier="basic") as runner:
        began = time.monotonic()
        results = runner.run_many([{"path": "/never"}, {"path": "/"}])
        assert code(results[0]) == "EW_WALL_TIMEOUT"
        assert 4.0 <= time.monotonic() - began < 6.0
        assert results[1]["action"] == "forward"


def rounds_for(edge: EdgeRunner, cpu_ms: float) -> int:
    """How many rounds of the busy loop take that long here and now."""
    probe = 4_000_000
    cost = min(edge.run({"path": f"/busy?{probe}"})["most_cpu_ms"] for _ in range(5))
    return int(probe * cpu_ms / cost)


def test_a_busy_event_within_its_limit_is_left_alone(edge: EdgeRunner) -> None:
    """20 ms are Akamai's; five times that are ours."""
    result = edge.run({"path": f"/busy?{rounds_for(edge, 40)}"})
    assert result["action"] == "respond"
    assert 20 < result["most_cpu_ms"] < 100


def test_an_event_over_its_limit_fails(edge: EdgeRunner) -> None:
    assert code(edge.run({"path": f"/busy?{rounds_for(edge, 250)}"})) == "EW_CPU_TIMEOUT"


def test_two_thousand_characters_are_the_most_to_respond_with(edge: EdgeRunner) -> None:
    assert len(edge.run({"path": "/longestBody"})["body"]) == 2048


# Activation: a bundle that does not come up is refused.


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        ("for (;;);", "EW_CPU_TIMEOUT"),
        ("for (;;) await null;", "EW_CPU_TIMEOUT"),
        ("throw new Error('at init');", "EW_RUNTIME"),
        ("import 'fs';", "EW_RUNTIME"),
        ("import './absent.js';", "EW_RUNTIME"),
        ("import { ReadableStream } from 'streams';", "EW_RUNTIME"),
        ("import 'internal:realm';", "EW_RUNTIME"),
        ("export function onClientRequest( {", "EW_RUNTIME"),
        ("export const kept = Array.from({ length: 600000 }, (_, i) => ({ i }));", "EW_MEMORY_LIMIT"),
    ],
)
def test_a_bundle_that_does_not_start_is_refused(main: str, expected: str) -> None:
    with pytest.raises(EngineError) as refused, opened(main):
        pass
    assert refused.value.code == expected


def test_the_old_bundle_stays_when_the_new_one_is_refused() -> None:
    with opened("export const onClientRequest = (r) => r.respondWith(200, {}, 'old');") as runner:
        with pytest.raises(EngineError):
            runner.activate({"main.js": b"throw new Error('new');", "bundle.json": MANIFEST})
        assert runner.run({})["body"] == "old"
        runner.activate({"main.js": b"export const onClientRequest = (r) => r.respondWith(200, {}, 'new');"})
        assert runner.run({})["body"] == "new"


def test_the_position_in_the_bundle_is_told_and_nothing_of_this_machine() -> None:
    with pytest.raises(EngineError) as refused, opened("\nthrow new Error('at init');"):
        pass
    assert str(refused.value) == "Error: at init\n    at bundle:main.js:2:7"


def test_files_import_each_other() -> None:
    files = {"lib/a.js": "import { b } from '../b.js'; export const a = b + 1;", "b.js": "export const b = 1;"}
    with opened(
        "import { a } from './lib/a.js'; export const onClientRequest = (r) => r.respondWith(200, {}, a);", **files
    ) as r:
        assert r.run({})["body"] == "2"


# Objects and modules


def test_time_stands_still(edge: EdgeRunner) -> None:
    millis = NOON * 1000
    assert told(edge.run({"path": "/time"}, now=NOON)) == [millis, millis, 0, "undefined"]


def test_the_clock_runs_when_nobody_holds_it(edge: EdgeRunner) -> None:
    told_millis = told(edge.run({"path": "/time"}))
    assert isinstance(told_millis, list)
    assert abs(told_millis[0] / 1000 - time.time()) < 5


def test_events_at_the_same_time_have_their_own_clocks() -> None:
    main = """
    import { httpRequest } from 'http-request';
    export async function onClientRequest(request) {
      const before = Date.now();
      await httpRequest('https://edgekv.akamai-edge-svcs.net/api/v1/namespaces/ns/groups/g/items/a');
      request.respondWith(200, {}, String(Date.now() - before));
    }"""
    with opened(main) as runner:
        assert {result["body"] for result in runner.run_many([{}] * 50)} == {"0"}


def test_platform_headers_cannot_be_changed(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/refusedHeaders"})) == [
        "the header host cannot be changed",
        "the header content-length cannot be changed",
        "the header transfer-encoding cannot be changed",
        "the header connection cannot be changed",
        "invalid header name: bad name",
        "done",
    ]


def test_header_values_hold_no_control_characters(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/controlCharacters"})) == "a header value holds a control character"


def test_header_names_are_only_names(edge: EdgeRunner) -> None:
    result = edge.run({"path": "/odd", "headers": {"X-Twice": ["1", "2"]}})
    assert told(result) == [None, None, ["1", "2"]]


def test_variables_are_named_and_limited(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/variables"})) == [
        "not a PMUSER_ variable: SP_V",
        "done",
        "done",
        "PMUSER_ variables are longer than 1024 characters",
        508,
        True,
    ]


def test_a_request_has_the_documented_members(edge: EdgeRunner) -> None:
    members = """addHeader cacheKey clientIp cpCode device getHeader getHeaders getVariable host method path query
        removeHeader respondWith route scheme setHeader setVariable url userLocation wasTerminated"""
    assert told(edge.run({"path": "/members"})) == members.split()


def test_nothing_of_node_is_there(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/globals"})) == []


def test_no_object_leads_out_of_the_context(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/escape"})) == [[], 0, "EvalError"]
    assert told(edge.run({"path": "/poison"})) is True
    assert told(edge.run({"path": "/dynamicImport"})) == "refused"


def test_log_lines_are_kept_and_cut(edge: EdgeRunner) -> None:
    first, second = edge.run({"path": "/log"})["log"]
    assert first == 'info one thing of 2 {"a":1}'
    assert second == "error " + "x" * 1024


def test_cookies(edge: EdgeRunner) -> None:
    result = edge.run({"path": "/cookies", "headers": {"Cookie": ["a=1; b=2; c=3; c=33"]}})
    assert told(result) == [
        "1",
        ["3", "33"],
        ["a", "c", "c", "d"],
        "a=1; c=3; c=33; d=4",
        "s=1; Max-Age=60; Path=/; SameSite=Lax; Secure; HttpOnly",
    ]


def test_search_parameters(edge: EdgeRunner) -> None:
    result = edge.run({"path": "/search?a=1&b=%C3%A9+x&b=2&gone=1&a=2&bad=%zz"})
    assert told(result) == [
        "9",
        ["é x", "2"],
        False,
        None,
        "a=9&b=%C3%A9+x&b=2&bad=%25zz&n=x+y%26z",
        ["a", "b", "b", "bad", "n"],
    ]


def test_encodings(edge: EdgeRunner) -> None:
    odd = [0, 255, 254, 128, 7]
    assert told(edge.run({"path": "/encoding"})) == [
        "AP/+gAc=",
        "AP_-gAc",
        "00fffe8007",
        odd,
        odd,
        "hi",
        "hi",
        "aGk=",
        "hé €",
        3,
        "invalid base64: wrong length",
        "invalid base64: unexpected character",
        "btoa: character outside Latin-1",
        "The encoded data was not valid for encoding utf-8",
        True,
    ]


def test_es256_signatures_are_verified(edge: EdgeRunner) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    r, s = decode_dss_signature(key.sign(b"a token", ec.ECDSA(hashes.SHA256())))
    signature = base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    given = quote(json.dumps([public_jwk(key), "a token", signature]))
    good, bad, refused, kind, extractable = told(edge.run({"path": f"/es256?{given}"}))  # type: ignore[misc]
    assert (good, bad, kind, extractable) == (True, False, "public", False)
    assert refused == "the key may not be used to sign"


def test_hmac_and_digests_are_the_published_ones(edge: EdgeRunner) -> None:
    """RFC 4231, test case 2, and FIPS 180's "abc"."""
    assert told(edge.run({"path": "/hmac"})) == [
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "extractable keys are not supported",
        "the local edge imports keys for HMAC, ECDSA, RSASSA-PKCS1-v1_5, RSA-PSS only",
        "undefined",
    ]


def test_pem_keys_can_be_imported(edge: EdgeRunner) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    assert told(edge.run({"path": f"/pem?{quote(pem)}"})) == "public"


def test_random_values_differ(edge: EdgeRunner) -> None:
    results = edge.run_many([{"path": "/random"}] * 20)
    assert len({result["body"] for result in results}) == 20


# EdgeKV


def test_items_are_read_and_change_between_runs(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/item?a"})) == [200, True, "value of a"]
    assert told(edge.run({"path": "/item?none"})) == [404, False, ""]
    edge.set_items({("ns", "g", "none"): "now there"})
    assert told(edge.run({"path": "/item?none"})) == [200, True, "now there"]
    edge.set_items({("ns", "g", "none"): None})
    assert told(edge.run({"path": "/item?none"})) == [404, False, ""]


def test_a_handler_may_ask_as_often_as_its_tier_says(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/enoughSubrequests"})) == ["value of a"] * 4


def test_other_hosts_are_not_served(edge: EdgeRunner) -> None:
    assert told(edge.run({"path": "/otherHost"})) == 400


def test_an_unreadable_store_shows(edge: EdgeRunner) -> None:
    edge.set_kv_fault(status=503)
    assert told(edge.run({"path": "/item?a"})) == [503, False, ""]
    edge.set_kv_fault()
    assert told(edge.run({"path": "/item?a"})) == [200, True, "value of a"]


# The whole way through


def test_handlers_run_in_order_and_pass_variables_on() -> None:
    main = """
    export function onClientRequest(request) {
      request.setHeader('X-Added', ['1', '2']);
      request.removeHeader('Cookie');
      request.setVariable('PMUSER_ORDER', 'client');
      request.route({ path: '/elsewhere' });
    }
    export function onOriginRequest(request) {
      request.setVariable('PMUSER_ORDER', request.getVariable('PMUSER_ORDER') + ',origin');
      request.addHeader('X-Added', '3');
    }
    export function onOriginResponse(request, response) { response.setHeader('X-Status', String(response.status)); }
    export function onClientResponse(request, response) {
      response.removeHeader('Server');
      response.setHeader('X-Order', request.getVariable('PMUSER_ORDER'));
      response.status = 203;
    }"""
    with opened(main) as runner:
        result = runner.run(
            {
                "host": "shop.localhost",
                "path": "/here?q=1",
                "headers": {"Cookie": ["a=1"], "Accept": ["*/*"]},
                "response": {"status": 200, "headers": {"server": ["x"]}},
            }
        )
    assert (result["action"], result["path"], result["query"]) == ("forward", "/elsewhere", "q=1")
    assert result["headers"] == {"host": ["shop.localhost"], "accept": ["*/*"], "x-added": ["1", "2", "3"]}
    assert result["variables"] == {"PMUSER_ORDER": "client,origin"}
    relayed = result["relayed"]
    assert (relayed["action"], relayed["status"]) == ("relay", 203)
    assert relayed["headers"] == {"x-status": ["200"], "x-order": ["client,origin"]}


def test_thousands_of_events_a_second() -> None:
    """The acceptance run counts on it; half of what an idle machine does leaves room for a busy one."""
    with opened("export const onClientRequest = (r) => r.setHeader('x', r.path);") as runner:
        runner.run_many([{"path": "/warm"}] * 2000)
        began = time.process_time(), time.monotonic()
        results = runner.run_many([{"path": f"/{number}"} for number in range(10_000)])
        elapsed = time.monotonic() - began[1]
    assert [result["headers"]["x"] for result in results] == [[f"/{number}"] for number in range(10_000)]
    assert 10_000 / elapsed > 2000


def test_a_bundle_is_measured() -> None:
    main = (
        "export const kept = Array.from({ length: 20000 }, (_, i) => ({ i }));"
        "let spent = 0; for (let i = 0; i < 3e7; i += 1) spent += i % 7;"  # longer than a tick of the processor's clock
        "export const onClientRequest = () => spent;"
    )
    with opened(main) as runner:
        runner.run_many([{}] * 10)
        measured = runner.measure()
    files = {"main.js": main.encode(), "bundle.json": MANIFEST}
    assert measured["uncompressed_bytes"] == sum(map(len, files.values()))
    assert 0 < measured["compressed_bytes"] < 1000
    assert measured["handlers"] == ["onClientRequest"]
    assert 20_000 * 16 < measured["heap_bytes"] < 20_000 * 100
    assert 0 < measured["init_cpu_ms"] < 300
    assert 0 <= measured["max_event_cpu_ms"] < 100
