"""What a browser's call shows of who calls, and what counts as proof that a page of the same address made it."""

from __future__ import annotations

import pytest

from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.sessions import (
    SIGNS_IN,
    Came,
    Shown,
    challenge,
    comes_from,
    cookie_names,
    cookie_values,
    needs_proof,
    origin_of,
    shown,
)

NAME = "__Host-sallyport-session"
SECRET = "s" * 43
HERE = "https://api.shop.test"


def test_with_tls_the_names_keep_other_hosts_out() -> None:
    assert cookie_names("https://{host}").session == NAME
    assert cookie_names("https://{host}").sign_in == "__Host-sallyport-sign-in"
    assert cookie_names("http://{host}:8080").session == "sallyport-session"


@pytest.mark.parametrize(
    ("authorization", "cookies", "wanted"),
    [
        ([], [f"{NAME}={SECRET}.a.b.c"], Shown("a.b.c", SECRET)),
        ([], ["x=1", f"y=2;\t{NAME} = {SECRET}.a.b.c ;z"], Shown("a.b.c", SECRET)),
        (["Bearer t"], [f"{NAME}={SECRET}.a.b.c"], Shown("t")),
        (["Basic eA=="], [f"{NAME}={SECRET}.a.b.c"], Shown(fault=Reason.NO_TOKEN)),
        ([""], [f"{NAME}={SECRET}.a.b.c"], Shown(fault=Reason.NO_TOKEN)),
        ([], [], Shown(fault=Reason.NO_TOKEN)),
        ([], [f"{NAME.lower()}={SECRET}.a.b.c"], Shown(fault=Reason.NO_TOKEN)),
        ([], [NAME], Shown(fault=Reason.NO_TOKEN)),
        ([], [f"{NAME}={SECRET}.a; {NAME}={SECRET}.a"], Shown(fault=Reason.DUPLICATE_TOKEN)),
        ([], [f"{NAME}={SECRET}.a", f"{NAME}="], Shown(fault=Reason.DUPLICATE_TOKEN)),
        ([], [f"{NAME}="], Shown(fault=Reason.MALFORMED_TOKEN)),
        ([], [f"{NAME}=a.b.c"], Shown(fault=Reason.MALFORMED_TOKEN)),
        ([], [f"{NAME}={SECRET}s.a.b.c"], Shown(fault=Reason.MALFORMED_TOKEN)),
        ([], [f"{NAME}={SECRET}.{'x' * 3501}"], Shown(fault=Reason.MALFORMED_TOKEN)),
        ([], [f'{NAME}="{SECRET}.a.b.c"'], Shown(fault=Reason.MALFORMED_TOKEN)),
    ],
)
def test_a_header_goes_before_a_cookie_and_two_are_none(
    authorization: list[str], cookies: list[str], wanted: Shown
) -> None:
    assert shown(authorization, cookies, NAME) == wanted


def test_quotes_mean_nothing_in_a_cookie_header() -> None:
    assert cookie_values([f'a="; {NAME}=x"; b=2'], NAME) == ['x"']


def test_the_challenge_is_that_of_pkce() -> None:
    """RFC 7636, appendix B."""
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    ("site", "origin", "proven"),
    [
        (("same-origin",), (HERE,), True),
        (("same-origin",), (), True),
        (("same-origin",), ("null",), True),
        ((), (HERE,), True),
        ((), (), False),
        ((), ("null",), False),
        ((), ("https://evil.test",), False),
        ((), ("https://api.shop.test.evil.test",), False),
        ((), ("http://api.shop.test",), False),
        ((), ("https://api.shop.test:8443",), False),
        ((), ("https://shop.test",), False),
        ((), (HERE, HERE), False),
        ((), (f"{HERE}, {HERE}",), False),
        (("same-site",), (HERE,), False),
        (("cross-site",), (HERE,), False),
        (("none",), (HERE,), False),
        (("Same-Origin",), (HERE,), False),
        (("same-origin", "cross-site"), (HERE,), False),
        (("same-origin",), ("https://evil.test",), False),
        (("",), (HERE,), False),
    ],
)
def test_only_a_page_of_the_very_same_address_proves_it(
    site: tuple[str, ...], origin: tuple[str, ...], proven: bool
) -> None:
    assert comes_from(HERE, Came(site, origin)) is proven


def test_an_origin_leaves_the_usual_port_out() -> None:
    assert origin_of("https://{host}", "API.shop.test:443") == HERE
    assert origin_of("https://{host}", "api.shop.test:80") == "https://api.shop.test:80"
    assert origin_of("http://{host}:8080", "api.shop.test:8080") == "http://api.shop.test:8080"


def test_reading_needs_no_proof() -> None:
    methods = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "QUERY")
    assert [method for method in methods if not needs_proof(method)] == ["GET", "HEAD", "OPTIONS"]


def test_nobody_is_sent_to_sign_in_in_vain() -> None:
    assert {reason for reason in Reason if TEXTS[reason].status == 401} - SIGNS_IN == {
        Reason.DUPLICATE_TOKEN,
        Reason.TOKEN_NOT_YET_VALID,
        Reason.TOKEN_REVOKED,
    }
