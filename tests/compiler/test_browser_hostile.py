"""What a browser must not be used for: sessions that are not its own, other sites' calls, ways that lead elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.sessions import challenge
from apps.localedge.runner import EdgeRunner
from tests.agreement.strategies import TokenFault
from tests.compiler.browsing import (
    EDGE_TOKEN,
    FROM_HERE,
    GOING,
    HERE,
    HOST,
    OTHER_SECRET,
    REFUNDS,
    SECRET,
    SESSION,
    SIGN_IN,
    Headers,
    call,
    came_back,
    cookie,
    location,
    pending,
    reason,
    serve,
    token,
)
from tests.compiler.estate import NIGHT, estate
from tests.compiler.test_tokens import VERDICTS


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeRunner]:
    with serve(estate()) as running:
        yield running


# -- what must not work -------------------------------------------------------------------------------------------
OF_HEADERS = {TokenFault.ABSENT, TokenFault.OTHER_SCHEME, TokenFault.DUPLICATE}


@pytest.mark.parametrize("fault", [fault for fault, wanted in VERDICTS.items() if wanted and fault not in OF_HEADERS])
def test_a_bad_session_is_refused_like_a_bad_token(edge: EdgeRunner, fault: TokenFault) -> None:
    result = edge.run(call(headers=cookie(token(fault=fault))), now=NIGHT)
    assert (result["action"], reason(result)) == ("respond", VERDICTS[fault])
    assert result["status"] == TEXTS[Reason(reason(result))].status


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
