"""The door as browsers meet it: sent to sign in, back with a session, refused when somebody else uses it, out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.compiler.emitters.edgekv import GROUP, emit_item, item_key
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.graph import AccessGraph
from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.sessions import challenge
from apps.compiler.slices import split
from apps.compiler.surroundings import EdgeSurroundings
from apps.compiler.tokens import EDGE_SESSION_TYPE
from apps.localedge.runner import EdgeRunner, Request, Result
from tests.agreement.forge import Forge, KeyPair
from tests.agreement.strategies import TokenFault
from tests.compiler.estate import CONSOLE, DENIALS, FORGE, HOUR, NIGHT, SURROUNDINGS, TOKEN_KEY, estate
from tests.compiler.test_tokens import VERDICTS

HOST = "api.shop.test"
HERE = f"https://{HOST}"
SESSION, SIGN_IN = "__Host-sallyport-session", "__Host-sallyport-sign-in"
SECRET, OTHER_SECRET = "s" * 43, "o" * 43
ORDER, REFUNDS = "/payments/orders/7", "/payments/orders/7/refunds"
BROWSERS = Forge(TOKEN_KEY, KeyPair.of("token-1", 0x2222), EDGE_SESSION_TYPE)
PAGE = {"Accept": ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"]}
GOING = {**PAGE, "Sec-Fetch-Mode": ["navigate"], "Sec-Fetch-Dest": ["document"], "Sec-Fetch-Site": ["cross-site"]}
FROM_HERE = {"Origin": [HERE], "Sec-Fetch-Site": ["same-origin"]}
FIRST_FLAGS = "; Path=/; HttpOnly; SameSite=Lax; Secure"

Headers = Mapping[str, Sequence[str]]


def serve(graph: AccessGraph, surroundings: EdgeSurroundings = SURROUNDINGS) -> EdgeRunner:
    files = {artifact.path: artifact.content for artifact in emit_code(graph, surroundings)}
    items = {
        (surroundings.namespace, GROUP, item_key(service)): emit_item(part, service, surroundings).content.decode()
        for service, part in split(graph)
    }
    return EdgeRunner(files, items)


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeRunner]:
    with serve(estate()) as running:
        yield running


@pytest.fixture(scope="module")
def plain_edge() -> Iterator[EdgeRunner]:
    """As on a laptop, without TLS."""
    with serve(estate(), replace(SURROUNDINGS, edge_url="http://{host}:8080")) as running:
        yield running


def token(
    subject: str = "person:ben",
    fault: TokenFault = TokenFault.NONE,
    *,
    at: int = NIGHT,
    secret: str = SECRET,
    host: str = HOST,
    **changed: object,
) -> str:
    claims: dict[str, object] = {"iss": CONSOLE, "aud": host, "sub": subject, "iat": at, "exp": at + 300}
    claims |= {"jti": "1", "cnf": {"s256": challenge(secret)}, **changed}
    made = BROWSERS.make(claims, fault, at)
    return made.values[0].removeprefix("Bearer ")


def cookie(value: str, *, name: str = SESSION, secret: str = SECRET) -> dict[str, list[str]]:
    return {"Cookie": [f"{name}={secret}.{value}"]}


def call(method: str = "GET", path: str = ORDER, headers: Headers | None = None, host: str = HOST) -> Request:
    return {"method": method, "host": host, "path": path, "headers": headers or {}}


def reason(result: Result) -> str:
    return str(json.loads(result["variables"]["PMUSER_SP_V"])["r"])


def location(result: Result) -> str:
    assert (result["action"], result["status"]) == ("respond", 302), result
    return result["headers"]["location"][0]


def asked(result: Result) -> dict[str, str]:
    """The parameters that a browser takes along to sign in."""
    parts = urlsplit(location(result))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{CONSOLE}/edge/sign-in"
    found = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def encoded(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).rstrip(b"=").decode()


def came_back(value: str, path: str = ORDER) -> str:
    return f"/.sallyport/callback?token={value}&state={encoded(path)}"


def pending(secret: str = SECRET) -> dict[str, list[str]]:
    return {"Cookie": [f"{SIGN_IN}={secret}"]}


# -- there and back -----------------------------------------------------------------------------------------------
def test_a_person_on_the_way_to_a_page_is_sent_to_sign_in(edge: EdgeRunner) -> None:
    result = edge.run(call(path=f"{ORDER}?full=1&x=%2F", headers=GOING), now=NIGHT)
    found = asked(result)
    assert found.keys() == {"host", "challenge", "state"}
    assert (found["host"], found["state"]) == (HOST, encoded(f"{ORDER}?full=1&x=%2F"))
    [kept] = result["headers"]["set-cookie"]
    secret, _, flags = kept.removeprefix(f"{SIGN_IN}=").partition(";")
    assert found["challenge"] == challenge(secret)
    assert flags == " Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    assert secret not in location(result)
    assert result["headers"]["cache-control"] == ["no-store"]
    assert reason(result) == "no_token"


def test_there_and_back_and_in(edge: EdgeRunner) -> None:
    begun = edge.run(call(headers=GOING), now=NIGHT)
    secret = begun["headers"]["set-cookie"][0].partition("=")[2].partition(";")[0]
    made = token(secret=secret)
    back = edge.run(call(path=came_back(made), headers={**GOING, **pending(secret)}), now=NIGHT)
    assert location(back) == f"{HERE}{ORDER}"
    begins, ends = back["headers"]["set-cookie"]
    assert begins == f"{SESSION}={secret}.{made}{FIRST_FLAGS}"
    assert ends == f"{SIGN_IN}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
    assert (back["headers"]["cache-control"], back["headers"]["referrer-policy"]) == (["no-store"], ["no-referrer"])
    told = json.loads(back["variables"]["PMUSER_SP_V"])
    assert (told["v"], told["r"], told["s"], told["svc"]) == ("deny", "sign_in", "", "")
    inside = edge.run(call(headers={**GOING, **cookie(made, secret=secret)}), now=NIGHT + 299)
    assert (inside["action"], reason(inside)) == ("forward", "granted")


def test_windows_that_begin_at_once_share_a_secret(edge: EdgeRunner) -> None:
    first, second = edge.run_many(
        [call(headers={**GOING, **pending()}), call(path="/payments/x", headers={**GOING, **pending()})], now=NIGHT
    )
    assert asked(first)["challenge"] == asked(second)["challenge"] == challenge(SECRET)


def test_the_slower_window_finds_the_session_there(edge: EdgeRunner) -> None:
    late = edge.run(call(path=came_back(token()), headers={**GOING, **cookie(token())}), now=NIGHT)
    assert location(late) == f"{HERE}{ORDER}"
    assert "set-cookie" not in late["headers"]


def test_a_window_whose_secret_was_replaced_tries_again(edge: EdgeRunner) -> None:
    result = edge.run(call(path=came_back(token()), headers={**GOING, **pending(OTHER_SECRET)}), now=NIGHT)
    assert location(result) == f"{HERE}{ORDER}"
    assert "set-cookie" not in result["headers"]


@pytest.mark.parametrize("held", [SECRET[:-1], f"{SECRET}s", f"{SECRET}; {SIGN_IN}={SECRET}", "", "é" * 43])
def test_a_secret_that_is_none_of_ours_is_not_used(edge: EdgeRunner, held: str) -> None:
    result = edge.run(call(headers={**GOING, "Cookie": [f"{SIGN_IN}={held}"]}), now=NIGHT)
    assert asked(result)["challenge"] not in {challenge(held), challenge(SECRET)}
    back = edge.run(call(path=came_back(token()), headers={**GOING, "Cookie": [f"{SIGN_IN}={held}"]}), now=NIGHT)
    assert (back["status"], reason(back)) == (401, "other_browser")


@pytest.mark.parametrize("fault", [TokenFault.EXPIRED, TokenFault.TAMPERED, TokenFault.UNKNOWN_KID, TokenFault.GARBAGE])
def test_a_session_that_is_no_good_is_made_anew(edge: EdgeRunner, fault: TokenFault) -> None:
    result = edge.run(call(headers={**GOING, **cookie(token(fault=fault))}), now=NIGHT)
    assert asked(result)["host"] == HOST


NOT_SENT = [
    ("POST", PAGE),
    ("PUT", GOING),
    ("GET", {}),
    ("GET", {"Accept": ["*/*"]}),
    ("GET", {"Accept": ["application/json"]}),
    ("GET", {"Accept": ["application/json, text/html;q=0.9"]}),
    ("GET", {**GOING, "Sec-Fetch-Mode": ["cors"]}),
    ("GET", {**GOING, "Sec-Fetch-Mode": ["navigate", "cors"]}),
    ("GET", {**GOING, "Sec-Fetch-Dest": ["iframe"]}),
    ("GET", {**GOING, "Sec-Fetch-Dest": ["image"]}),
    ("GET", {**GOING, "Authorization": ["Bearer nonsense"]}),
    ("GET", {**GOING, "Authorization": ["Basic eA=="]}),
    ("GET", {**GOING, "X-Sallyport-Probe": ["1"]}),
]


@pytest.mark.parametrize(("method", "headers"), NOT_SENT)
def test_a_program_is_challenged_and_never_sent_anywhere(edge: EdgeRunner, method: str, headers: Headers) -> None:
    result = edge.run(call(method, headers=headers), now=NIGHT)
    assert (result["action"], result["status"]) == ("respond", 401)
    assert result["headers"]["www-authenticate"][0].startswith('Bearer realm="sallyport"')
    assert not {"location", "set-cookie"} & result["headers"].keys()


def test_head_is_reading_too(edge: EdgeRunner) -> None:
    assert asked(edge.run(call("HEAD", headers=GOING), now=NIGHT))["host"] == HOST


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (call(path="/payments//", headers=GOING), "bad_path"),
        (call(path="/nowhere", headers=GOING), "no_service"),
        (call(host="nowhere.test", headers=GOING), "no_service"),
        (call(path="/.sallyport/session", host="nowhere.test", headers=GOING), "no_service"),
        (call(path="/.sallyport/callback", host="console.shop.test", headers=GOING), "no_service"),
        (call(path="/.sallyport/", headers=GOING), "no_service"),
        (call(path="/.sallyport/constructor", headers=GOING), "no_service"),
        (call("POST", path="/.sallyport/callback", headers=GOING), "no_service"),
        (call("GET", path="/.sallyport/callback/", headers=GOING), "no_service"),
    ],
)
def test_nobody_signs_in_to_get_nowhere(edge: EdgeRunner, request_: Request, why: str) -> None:
    result = edge.run(request_, now=NIGHT)
    assert (result["status"], reason(result)) == (TEXTS[Reason(why)].status, why)
    assert not {"location", "set-cookie"} & result["headers"].keys()


def test_on_a_laptop_there_is_no_tls_and_the_cookies_are_plain(plain_edge: EdgeRunner) -> None:
    begun = plain_edge.run(call(host=f"{HOST}:8080", headers=GOING), now=NIGHT)
    [kept] = begun["headers"]["set-cookie"]
    assert kept.startswith("sallyport-sign-in=")
    assert "Secure" not in kept
    made = token()
    back = call(path=came_back(made), host=f"{HOST}:8080", headers={"Cookie": [f"sallyport-sign-in={SECRET}"]})
    arrived = plain_edge.run(back, now=NIGHT)
    assert location(arrived) == f"http://{HOST}:8080{ORDER}"
    assert arrived["headers"]["set-cookie"][0] == f"sallyport-session={SECRET}.{made}; Path=/; HttpOnly; SameSite=Lax"
    held = {"Cookie": [f"sallyport-session={SECRET}.{made}"], "Origin": [f"http://{HOST}:8080"]}
    assert reason(plain_edge.run(call(host=f"{HOST}:8080", headers=held), now=NIGHT)) == "granted"
    assert reason(plain_edge.run(call("POST", "/payments/charges", held, f"{HOST}:8080"), now=NIGHT)) == "grant_expired"
    assert reason(plain_edge.run(call("POST", "/payments/charges", held, HOST), now=NIGHT)) == "cross_site"


# -- what must not work -------------------------------------------------------------------------------------------
OF_HEADERS = {TokenFault.ABSENT, TokenFault.OTHER_SCHEME, TokenFault.DUPLICATE}


@pytest.mark.parametrize("fault", [fault for fault, wanted in VERDICTS.items() if wanted and fault not in OF_HEADERS])
def test_a_bad_session_is_refused_like_a_bad_token(edge: EdgeRunner, fault: TokenFault) -> None:
    result = edge.run(call(headers=cookie(token(fault=fault))), now=NIGHT)
    assert (result["action"], reason(result)) == ("respond", VERDICTS[fault])
    assert result["status"] == TEXTS[Reason(reason(result))].status


EDGE_TOKEN = FORGE.make(
    {"iss": CONSOLE, "aud": "sallyport-edge", "sub": "person:ben", "iat": NIGHT, "exp": NIGHT + 300},
    TokenFault.NONE,
    NIGHT,
).values[0]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (cookie(token(), secret=OTHER_SECRET), "other_browser"),
        (cookie(token(secret=OTHER_SECRET)), "other_browser"),
        (cookie(token(cnf=None)), "missing_claim"),
        (cookie(token(cnf={"s256": ""})), "missing_claim"),
        (cookie(token(cnf=challenge(SECRET))), "missing_claim"),
        (cookie(token(cnf={"s256": SECRET})), "other_browser"),
        (cookie(token(host="shop.test")), "wrong_audience"),
        (cookie(token(host="sallyport-edge")), "wrong_audience"),
        (cookie(token(host=f"{HOST}:443")), "wrong_audience"),
        (cookie(EDGE_TOKEN.removeprefix("Bearer ")), "bad_type"),
        ({"Authorization": [f"Bearer {token()}"]}, "bad_type"),
        ({"Cookie": [f"{SESSION}={token()}"]}, "malformed_token"),
        ({"Cookie": [f"{SESSION}={SECRET}.{token()}; {SESSION}={SECRET}.{token()}"]}, "duplicate_token"),
        ({"Cookie": [f"{SESSION}={SECRET}.{token()}", f"{SESSION}=x"]}, "duplicate_token"),
        ({"Cookie": [f"sallyport-session={SECRET}.{token()}"]}, "no_token"),
        ({"Cookie": [f"__host-sallyport-session={SECRET}.{token()}"]}, "no_token"),
        ({"Cookie": [f"{SIGN_IN}={SECRET}.{token()}"]}, "no_token"),
        ({"Cookie": [f"{SESSION}={SECRET}.{'x' * 9000}"]}, "malformed_token"),
        (cookie(token(pad="x" * 4000)), "malformed_token"),
        ({**cookie(token()), "Authorization": ["Bearer nonsense"]}, "malformed_token"),
        ({**cookie(token()), "Authorization": ["Basic eA=="]}, "no_token"),
    ],
)
def test_what_is_not_this_browsers_session_here_opens_nothing(edge: EdgeRunner, headers: Headers, why: str) -> None:
    result = edge.run(call(headers=headers), now=NIGHT)
    assert (result["action"], result["status"], reason(result)) == ("respond", 401, why)


def test_two_sessions_at_once_are_not_mended_by_signing_in(edge: EdgeRunner) -> None:
    """A sibling host may have planted one; a redirect would come back to the same, for ever."""
    planted = {"Cookie": [f"{SESSION}={SECRET}.{token()}; {SESSION}={OTHER_SECRET}.{token('person:ada')}"]}
    result = edge.run(call(headers={**GOING, **planted}), now=NIGHT)
    assert (result["status"], reason(result)) == (401, "duplicate_token")


def test_an_edge_token_goes_before_a_session(edge: EdgeRunner) -> None:
    headers = {**cookie(token("person:ada")), "Authorization": [EDGE_TOKEN]}
    result = edge.run(call(headers=headers), now=NIGHT)
    assert json.loads(result["variables"]["PMUSER_SP_V"])["s"] == "person:ben"


@pytest.mark.parametrize(
    ("path", "headers", "why"),
    [
        (came_back(token()), {}, "other_browser"),
        (came_back(token()), {"Cookie": [f"{SIGN_IN}={SECRET}; {SIGN_IN}={SECRET}"]}, "other_browser"),
        (came_back(token(host="shop.test")), pending(), "wrong_audience"),
        (came_back(token(fault=TokenFault.TAMPERED)), pending(), "bad_signature"),
        (came_back(token(fault=TokenFault.JUST_EXPIRED)), pending(), "expired_token"),
        (came_back(EDGE_TOKEN.removeprefix("Bearer ")), pending(), "bad_type"),
        (came_back(""), pending(), "malformed_token"),
        ("/.sallyport/callback", pending(), "malformed_token"),
        (f"{came_back(token())}&token=x", pending(), "malformed_token"),
        (f"/.sallyport/callback?Token={token()}", pending(), "malformed_token"),
        (came_back(token().replace(".", "%2E")), pending(), "malformed_token"),
    ],
)
def test_an_address_to_come_back_to_is_good_once_and_in_one_browser(
    edge: EdgeRunner, path: str, headers: Headers, why: str
) -> None:
    result = edge.run(call(path=path, headers={**GOING, **headers}), now=NIGHT)
    assert (result["status"], reason(result)) == (401, why)
    assert not {"location", "set-cookie"} & result["headers"].keys()


def test_nobody_is_signed_in_as_somebody_else(edge: EdgeRunner) -> None:
    """An attacker's own way back, given to a person who is signing in or is signed in: their session stays theirs."""
    theirs = came_back(token("person:ada", secret=OTHER_SECRET))
    for held in (pending(), cookie(token())):
        result = edge.run(call(path=theirs, headers={**GOING, **held}), now=NIGHT)
        assert "set-cookie" not in result["headers"]


@pytest.mark.parametrize(
    "path",
    [
        "//evil.test",
        "//evil.test/x",
        "/\\evil.test",
        "\\\\evil.test",
        "https://evil.test",
        "https:evil.test",
        "javascript:alert(1)",
        "evil.test",
        "@evil.test",
        ".evil.test",
        ":443@evil.test",
        " /x",
        "/x\r\nSet-Cookie: a=b",
        "/x\nLocation: https://evil.test",
        "/\tx",
        "/é",
        "",
        "/" + "x" * 1100,
        "\x00",
    ],
)
def test_the_way_back_is_a_path_here_or_the_front_page(edge: EdgeRunner, path: str) -> None:
    result = edge.run(call(path=came_back(token(), path), headers={**GOING, **pending()}), now=NIGHT)
    assert location(result) == f"{HERE}/"


@pytest.mark.parametrize("state", ["%2F%2Fevil.test", "!!!!", "Ly9ldmlsLnRlc3Q=", "x", "_w", "L3g&state=L3k"])
def test_a_state_that_is_none_of_ours_leads_to_the_front_page(edge: EdgeRunner, state: str) -> None:
    path = f"/.sallyport/callback?token={token()}&state={state}"
    assert location(edge.run(call(path=path, headers={**GOING, **pending()}), now=NIGHT)) == f"{HERE}/"


@pytest.mark.parametrize("path", ["/..//evil.test", "/%2e%2e//evil.test", "/x//evil.test", "/?u=//evil.test", "/x?y=1"])
def test_a_strange_path_is_still_a_path_here(edge: EdgeRunner, path: str) -> None:
    result = edge.run(call(path=came_back(token(), path), headers={**GOING, **pending()}), now=NIGHT)
    assert urlsplit(location(result)).netloc == HOST
    assert location(result) == f"{HERE}{path}"


# -- other sites --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        (FROM_HERE, "granted"),
        ({"Origin": [HERE]}, "granted"),
        ({"Sec-Fetch-Site": ["same-origin"], "Origin": ["null"]}, "granted"),
        ({}, "cross_site"),
        ({"Referer": [f"{HERE}/"]}, "cross_site"),
        ({"Origin": ["null"]}, "cross_site"),
        ({"Origin": ["https://evil.test"]}, "cross_site"),
        ({"Origin": ["https://shop.test"], "Sec-Fetch-Site": ["same-site"]}, "cross_site"),
        ({"Origin": [f"{HERE}:8443"]}, "cross_site"),
        ({"Origin": [HERE, "https://evil.test"]}, "cross_site"),
        ({"Origin": [HERE], "Sec-Fetch-Site": ["cross-site"]}, "cross_site"),
        ({"Origin": [HERE], "Sec-Fetch-Site": ["same-origin", "none"]}, "cross_site"),
        ({**FROM_HERE, "Origin": ["https://evil.test"]}, "cross_site"),
    ],
)
def test_a_session_changes_something_from_a_page_of_its_host_only(
    edge: EdgeRunner, headers: Headers, wanted: str
) -> None:
    result = edge.run(call("POST", REFUNDS, {**cookie(token("person:ada")), **headers}), now=NIGHT)
    assert reason(result) == wanted
    assert result["action"] == ("forward" if wanted == "granted" else "respond")
    if wanted == "cross_site":
        assert result["status"] == 403
        assert json.loads(result["variables"]["PMUSER_SP_V"])["s"] == "person:ada"


def test_a_token_in_a_header_needs_no_proof(edge: EdgeRunner) -> None:
    headers = {"Authorization": [EDGE_TOKEN], "Origin": ["https://evil.test"], "Sec-Fetch-Site": ["cross-site"]}
    assert reason(edge.run(call("GET", headers=headers), now=NIGHT)) == "granted"
    assert reason(edge.run(call("POST", "/payments/charges", headers), now=NIGHT)) == "grant_expired"


def test_a_handshake_for_a_socket_needs_proof_though_it_reads(edge: EdgeRunner) -> None:
    shaking = {**cookie(token()), "Upgrade": ["websocket"], "Origin": ["https://shop.test"]}
    assert reason(edge.run(call(headers=shaking), now=NIGHT)) == "cross_site"
    assert reason(edge.run(call(headers={**shaking, "Origin": [HERE]}), now=NIGHT)) == "granted"


# -- what the origin sees and says --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], None),
        (["a=1"], ["a=1"]),
        (["a=1; b=2", "c=3"], ["a=1; b=2; c=3"]),
        ([f"{SIGN_IN}={SECRET}; sallyport-session=x; __SECURE-Sallyport-Session=y; a=1"], ["a=1"]),
        ([f'a="; SALLYPORT-SESSION={SECRET}.x"; b=2'], ['a="; b=2']),
        ([f'a="{SESSION}={SECRET}.x"; b=2'], ["b=2"]),
        ([f" {SIGN_IN}\t=x;;"], None),
        (["ref=sallyport-docs"], ["ref=sallyport-docs"]),
    ],
)
def test_the_session_never_travels_on(edge: EdgeRunner, others: list[str], left: list[str] | None) -> None:
    made = token()
    headers = {"Cookie": [f"{SESSION}={SECRET}.{made}", *others]}
    result = edge.run(call(headers=headers), now=NIGHT)
    assert result["action"] == "forward"
    assert result["headers"].get("cookie") == left
    sent = json.dumps(result["headers"])
    assert SECRET not in sent
    assert made not in sent


def test_a_call_with_a_token_loses_our_cookies_too_and_keeps_the_others_as_they_came(edge: EdgeRunner) -> None:
    kept = edge.run(call(headers={"Authorization": [EDGE_TOKEN], "Cookie": ["a=1;b=2;", " c"]}), now=NIGHT)
    assert kept["headers"]["cookie"] == ["a=1;b=2;", " c"]
    lost = edge.run(call(headers={"Authorization": [EDGE_TOKEN], **cookie(token())}), now=NIGHT)
    assert "cookie" not in lost["headers"]


@pytest.mark.parametrize(
    ("set_cookies", "left"),
    [
        (["a=1; Path=/", f"{SESSION}={SECRET}.x; Path=/; Secure", "b=2"], ["a=1; Path=/", "b=2"]),
        ([f" {SIGN_IN} =x"], None),
        (["sallyport-session=x; Domain=shop.test"], None),
        (["a=1"], ["a=1"]),
    ],
)
def test_nobody_behind_the_edge_sets_its_cookies(
    edge: EdgeRunner, set_cookies: list[str], left: list[str] | None
) -> None:
    request = call(headers=cookie(token()))
    request["response"] = {"status": 200, "headers": {"set-cookie": set_cookies}}
    assert edge.run(request, now=NIGHT)["relayed"]["headers"].get("set-cookie") == left


def test_the_context_token_is_about_the_subject_and_when_the_session_was_made(edge: EdgeRunner) -> None:
    result = edge.run(call(headers=cookie(token(at=NIGHT + 5))), now=NIGHT + 9)
    text = result["headers"]["txn-token"][0].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(text + "=="))
    assert (claims["sub"], claims["tctx"]["iat"]) == ("person:ben", NIGHT + 5)


# -- the same decision --------------------------------------------------------------------------------------------
def test_a_person_without_a_grant_sees_the_refusal_and_where_to_ask(edge: EdgeRunner) -> None:
    result = edge.run(call(headers={**GOING, **cookie(token("person:ada"))}), now=NIGHT)
    assert (result["status"], reason(result)) == (403, "no_grant")
    assert f"{CONSOLE}/requests/new?service=payments&amp;method=GET&amp;path=%2Forders%2F7" in result["body"]
    assert 'href="/.sallyport/session"' in result["body"]


def test_the_end_of_a_grant_and_of_a_session_hold_without_the_console(edge: EdgeRunner) -> None:
    last = NIGHT + 18 * HOUR
    for at, wanted in ((last - 1, "granted"), (last, "grant_expired")):
        headers = {**cookie(token("person:ada", at=at)), **FROM_HERE}
        assert reason(edge.run(call("POST", REFUNDS, headers), now=at)) == wanted
    for at, wanted in ((NIGHT + 304, "granted"), (NIGHT + 305, "expired_token")):
        assert reason(edge.run(call(headers=cookie(token())), now=at)) == wanted


def test_a_denial_ends_a_session_and_is_not_hidden_behind_a_sign_in() -> None:
    """Ben signed out everywhere at midnight: what was made out before is no good, and a fresh one is."""
    with serve(replace(estate(), denials=DENIALS)) as edge:
        old = edge.run(call(headers={**GOING, **cookie(token())}), now=NIGHT + 1)
        new = edge.run(call(headers={**GOING, **cookie(token(at=NIGHT + 1))}), now=NIGHT + 1)
    assert (old["status"], reason(old)) == (401, "token_revoked")
    assert 'href="/.sallyport/sign-in"' in old["body"]
    assert (new["action"], reason(new)) == ("forward", "granted")


# -- our own pages ------------------------------------------------------------------------------------------------
def test_signing_in_without_having_come_from_anywhere(edge: EdgeRunner) -> None:
    result = edge.run(call(path="/.sallyport/sign-in", headers=PAGE), now=NIGHT)
    assert asked(result)["state"] == encoded("/.sallyport/session")


@pytest.mark.parametrize("address", ["session", "sign-out"])
def test_a_session_is_shown_with_a_way_to_end_it(edge: EdgeRunner, address: str) -> None:
    result = edge.run(call(path=f"/.sallyport/{address}", headers={**GOING, **cookie(token())}), now=NIGHT)
    assert (result["status"], reason(result)) == (200, "sign_in")
    assert "Signed in as person:ben" in result["body"]
    assert '<form method="post" action="/.sallyport/sign-out">' in result["body"]
    assert "set-cookie" not in result["headers"]
    policy = result["headers"]["content-security-policy"][0]
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    nobody = edge.run(call(path=f"/.sallyport/{address}", headers=GOING), now=NIGHT)
    assert "Not signed in" in nobody["body"]
    assert "<form" not in nobody["body"]


def test_a_name_on_a_page_is_text(edge: EdgeRunner) -> None:
    made = cookie(token("person:<script>"))
    assert "<script" not in edge.run(call(path="/.sallyport/session", headers=made), now=NIGHT)["body"]


def test_signing_out_ends_here(edge: EdgeRunner) -> None:
    result = edge.run(call("POST", "/.sallyport/sign-out", {**PAGE, **cookie(token()), **FROM_HERE}), now=NIGHT)
    assert (result["action"], result["status"], reason(result)) == ("respond", 200, "sign_in")
    assert result["headers"]["set-cookie"] == [
        f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure" for name in (SESSION, SIGN_IN)
    ]
    assert "location" not in result["headers"]
    assert CONSOLE in result["body"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ["https://evil.test"]},
        {"Sec-Fetch-Site": ["cross-site"]},
        {"Origin": [HERE], "Sec-Fetch-Site": ["same-site"]},
    ],
)
def test_no_other_site_signs_anybody_out(edge: EdgeRunner, headers: Headers) -> None:
    result = edge.run(call("POST", "/.sallyport/sign-out", {**cookie(token()), **headers}), now=NIGHT)
    assert (result["status"], reason(result)) == (403, "cross_site")
    assert "set-cookie" not in result["headers"]


# -- challenges ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, None),
        ({"Authorization": ["Basic eA=="]}, None),
        ({"Authorization": ["Bearer x"]}, "invalid_token"),
        ({"Authorization": ["Bearer x", "Bearer y"]}, "invalid_request"),
        (cookie(token(fault=TokenFault.EXPIRED)), "invalid_token"),
    ],
)
def test_a_challenge_names_the_error_where_something_was_shown(
    edge: EdgeRunner, headers: Headers, error: str | None
) -> None:
    result = edge.run(call(headers=headers), now=NIGHT)
    sentence = TEXTS[Reason(reason(result))].sentence
    more = "" if error is None else f', error="{error}", error_description="{sentence}"'
    assert result["headers"]["www-authenticate"] == [f'Bearer realm="sallyport"{more}']


def test_every_sentence_of_a_challenge_may_stand_there() -> None:
    """RFC 6750, section 3: printable ASCII without quotation marks and backslashes."""
    spoken = [text.sentence for text in TEXTS.values() if text.status == 401]
    assert all(sentence.isascii() and sentence.isprintable() and not {'"', "\\"} & set(sentence) for sentence in spoken)


def test_a_session_costs_little(edge: EdgeRunner) -> None:
    """Basic, the smallest tier, gives a handler ten milliseconds; a laptop is not Akamai, so a fifth must do."""
    edge.run_many([call(headers=cookie(token()))] * 50, now=NIGHT)
    results = edge.run_many([call(headers=cookie(token()))] * 200, now=NIGHT)
    used = sorted(result["most_cpu_ms"] for result in results)
    assert used[len(used) // 2] < 2
