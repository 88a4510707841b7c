"""The door as browsers meet it: sent to sign in, back with a session, shown who they are, and let out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.sessions import challenge
from apps.localedge.runner import EdgeRunner, Request
from tests.agreement.strategies import TokenFault
from tests.compiler.browsing import (
    FIRST_FLAGS,
    FROM_HERE,
    GOING,
    HERE,
    HOST,
    ORDER,
    OTHER_SECRET,
    PAGE,
    REFUNDS,
    SECRET,
    SESSION,
    SIGN_IN,
    Headers,
    asked,
    call,
    came_back,
    cookie,
    encoded,
    location,
    pending,
    reason,
    serve,
    token,
)
from tests.compiler.estate import CONSOLE, DENIALS, HOUR, NIGHT, SURROUNDINGS, estate


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeRunner]:
    with serve(estate()) as running:
        yield running


@pytest.fixture(scope="module")
def plain_edge() -> Iterator[EdgeRunner]:
    """As on a laptop, without TLS."""
    with serve(estate(), replace(SURROUNDINGS, edge_url="http://{host}:8080")) as running:
        yield running


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


def test_a_form_sent_too_late_is_told_to_sign_in_and_try_again(edge: EdgeRunner) -> None:
    late = {**PAGE, **cookie(token("person:ada")), **FROM_HERE}
    result = edge.run(call("POST", REFUNDS, late), now=NIGHT + 305)
    assert (result["status"], reason(result)) == (401, "expired_token")
    assert "Sign in, then go back and try again." in result["body"]
    assert 'href="/.sallyport/sign-in"' in result["body"]


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
