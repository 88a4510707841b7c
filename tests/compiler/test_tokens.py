"""Which fault of a token is named, and where its times end."""

from __future__ import annotations

import pytest

from apps.compiler.reasons import Reason
from apps.compiler.tokens import CONTEXT_TOKEN_TYPE, Expected, Presented, bearer, check, take_apart
from tests.agreement.forge import encode, encode_json
from tests.agreement.strategies import TokenFault
from tests.compiler.estate import CONSOLE, EXPECTED, FORGE, NIGHT

CLAIMS: dict[str, object] = {
    "iss": CONSOLE,
    "aud": "sallyport-edge",
    "sub": "person:ada",
    "iat": NIGHT,
    "exp": NIGHT + 300,
}
GOOD = None

VERDICTS = {
    TokenFault.NONE: GOOD,
    TokenFault.JUST_NOT_TOO_EARLY: GOOD,
    TokenFault.JUST_NOT_EXPIRED: GOOD,
    TokenFault.AUDIENCE_LIST: GOOD,
    TokenFault.ABSENT: Reason.NO_TOKEN,
    TokenFault.OTHER_SCHEME: Reason.NO_TOKEN,
    TokenFault.DUPLICATE: Reason.DUPLICATE_TOKEN,
    TokenFault.GARBAGE: Reason.MALFORMED_TOKEN,
    TokenFault.TWO_PARTS: Reason.MALFORMED_TOKEN,
    TokenFault.HEADER_NOT_AN_OBJECT: Reason.MALFORMED_TOKEN,
    TokenFault.OTHER_TYPE: Reason.BAD_TYPE,
    TokenFault.NO_TYPE: Reason.BAD_TYPE,
    TokenFault.ALG_NONE: Reason.BAD_ALGORITHM,
    TokenFault.ALG_HS256: Reason.BAD_ALGORITHM,
    TokenFault.UNKNOWN_KID: Reason.UNKNOWN_KEY,
    TokenFault.NO_KID: Reason.UNKNOWN_KEY,
    TokenFault.EMPTY_SIGNATURE: Reason.BAD_SIGNATURE,
    TokenFault.OTHER_KEY: Reason.BAD_SIGNATURE,
    TokenFault.TAMPERED: Reason.BAD_SIGNATURE,
    TokenFault.DER_SIGNATURE: Reason.BAD_SIGNATURE,
    TokenFault.NO_SUBJECT: Reason.MISSING_CLAIM,
    TokenFault.EMPTY_SUBJECT: Reason.MISSING_CLAIM,
    TokenFault.SUBJECT_NOT_TEXT: Reason.MISSING_CLAIM,
    TokenFault.ACTOR_WITHOUT_A_NAME: Reason.MISSING_CLAIM,
    TokenFault.ACTOR_NOT_AN_OBJECT: Reason.MISSING_CLAIM,
    TokenFault.ACTOR_IS_NULL: Reason.MISSING_CLAIM,
    TokenFault.NO_EXPIRY: Reason.MISSING_CLAIM,
    TokenFault.EXPIRY_IS_TEXT: Reason.MISSING_CLAIM,
    TokenFault.NO_ISSUED_AT: Reason.MISSING_CLAIM,
    TokenFault.NO_AUDIENCE: Reason.MISSING_CLAIM,
    TokenFault.WRONG_ISSUER: Reason.WRONG_ISSUER,
    TokenFault.FROM_THE_FUTURE: Reason.TOKEN_NOT_YET_VALID,
    TokenFault.NOT_BEFORE_LATER: Reason.TOKEN_NOT_YET_VALID,
    TokenFault.EXPIRED: Reason.EXPIRED_TOKEN,
    TokenFault.JUST_EXPIRED: Reason.EXPIRED_TOKEN,
    TokenFault.WRONG_AUDIENCE: Reason.WRONG_AUDIENCE,
}


@pytest.mark.parametrize("fault", TokenFault)
def test_each_fault_has_its_reason(fault: TokenFault) -> None:
    made = FORGE.make(CLAIMS, fault, NIGHT)
    _, reason = bearer(made.values)
    if reason is None and made.presented is not None:
        reason = check(made.presented, EXPECTED, NIGHT)
    assert reason == VERDICTS[fault]


def test_the_first_fault_is_named() -> None:
    worst = Presented({"alg": "none", "typ": "JWT"}, {}, key_known=False, signature_ok=False)
    assert check(worst, EXPECTED, NIGHT) is Reason.BAD_TYPE


@pytest.mark.parametrize("value", ["bearer x.y.z", "Bearer  x.y.z", "BEARER x.y.z "])
def test_the_scheme_has_no_case(value: str) -> None:
    assert bearer([value]) == ("x.y.z", None)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer a b", "x.y.z"])
def test_what_is_not_a_bearer_token_is_none(value: str) -> None:
    assert bearer([value]) == ("", Reason.NO_TOKEN)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "e30=.e30.",
        "bnVsbA.e30.",
        "W10.e30.",
        f"e30.{encode(b'{')}.",
        f"e30.{encode(b'NaN')}.",
    ],
)
def test_what_cannot_be_read_is_not_taken_apart(token: str) -> None:
    assert None in take_apart(token)


def test_a_readable_token_is_taken_apart() -> None:
    assert take_apart(f"{encode_json({'alg': 'ES256'})}.{encode_json({'sub': 'é'})}.") == (
        {"alg": "ES256"},
        {"sub": "é"},
    )


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"svc": "cart", "gr": []}, None),
        ({"svc": ""}, Reason.MISSING_CLAIM),
        ({}, Reason.MISSING_CLAIM),
        ("cart", Reason.MISSING_CLAIM),
    ],
)
def test_a_context_token_names_the_service_it_opens(context: object, reason: Reason | None) -> None:
    expected = Expected(CONTEXT_TOKEN_TYPE, "edge:a", "mesh:b")
    claims = CLAIMS | {"iss": "edge:a", "aud": "mesh:b", "tctx": context}
    assert check(Presented({"alg": "ES256", "typ": CONTEXT_TOKEN_TYPE}, claims), expected, NIGHT) is reason


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "iat", "exp", "nbf"])
@pytest.mark.parametrize("value", [None, True, {}, ""])
def test_a_claim_of_another_kind_counts_as_missing(name: str, value: object) -> None:
    header = {"alg": "ES256", "typ": EXPECTED.type}
    assert check(Presented(header, CLAIMS | {name: value}), EXPECTED, NIGHT) is Reason.MISSING_CLAIM
