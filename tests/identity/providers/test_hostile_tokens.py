"""Tokens nobody honest would make. Each is refused, and for the reason that is wrong with it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import RSAKey

from apps.identity import verification
from apps.identity.verification import Expectation, ProviderKeys, TokenRefused
from tests.identity.providers.provider import CLIENT_ID, ec_key, rsa_key, running_provider

NOW, NONCE, ISSUER = 1_772_442_000, "the-nonce", "https://id.shop.test"
KEY, OTHER_KEY = rsa_key("k1"), rsa_key("k1")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    good = {"iss": ISSUER, "sub": "00u1", "aud": CLIENT_ID, "iat": NOW, "exp": NOW + 300, "nonce": NONCE}
    return {name: value for name, value in (good | changes).items() if value is not ...}


def header(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in ({"alg": "RS256", "kid": "k1"} | changes).items() if value is not ...}


def signed(head: Any, body: Any, key: RSAKey = KEY) -> str:
    """Really signed, whatever it says: ``head`` and ``body`` are values, or bytes as they stand."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (head, body)]
    text = ".".join(encoded(part) for part in parts)
    signature = key.private_key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{encoded(signature)}"


GOOD = signed(header(), claims())
HEAD, BODY, SIGNATURE = GOOD.split(".")

NO_TEXT = [None, 7, 0, True, False, [], {}, ["x"], {"x": 1}]
NO_NUMBER = [None, "", "1772442000", True, False, [], {}, [NOW], {"at": NOW}]
LIKE_ISSUER = [
    f"{ISSUER}/", ISSUER.upper(), "HTTPS://id.shop.test", "http://id.shop.test", "id.shop.test", "//id.shop.test",
    f"{ISSUER}:443", f" {ISSUER}", f"{ISSUER} ", f"{ISSUER}\n", f"{ISSUER}\x00", f"{ISSUER}?", f"{ISSUER}#",
    f"{ISSUER}/oauth2/default", f"{ISSUER}.evil.test", "https://evil.test/id.shop.test", "https://id.sh0p.test",
    "https://id.shop.tes", "https://\u0456d.shop.test", f"https://x@{ISSUER[8:]}", "", [ISSUER], {"iss": ISSUER},
]  # fmt: skip
LIKE_AUDIENCE = [
    "Console", "console ", " console", "consol", "console2", "", "*", f"{CLIENT_ID},other",
    "c\u043ensole", f"{CLIENT_ID}\x00",
    [], ["other"], ["other", "third"], [CLIENT_ID.upper()], [[CLIENT_ID]], {CLIENT_ID: 1}, {"aud": CLIENT_ID}, None, 7,
    True,
]  # fmt: skip
ALGORITHMS = [
    "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512", "EdDSA", "rs256", "RS256 ", "RS256\x00", "A128KW", "dir", "RSA-OAEP", None, 7, [], ["RS256"],
    {"alg": "RS256"}, ...,
]  # fmt: skip
TYPES = [
    "logout+jwt", "application/logout+jwt", "at+jwt", "secevent+jwt", "global-token-revocation+jwt", "dpop+jwt", "JOSE",
    "JWE", "txntoken+jwt", "application/", "", "jwt ", "text/jwt", 7, None, [], ["JWT"], True,
]  # fmt: skip
UNKNOWN_KEYS = ["k2", "K1", "k1 ", "../k1", "k1\x00", "' OR 1=1 --", "https://evil.test/keys", "\ud800", "k" * 300]
SHAPES = [
    "", ".", "..", "...", "a", "a.b", "a.b.c.d", f"{HEAD}.{BODY}", f"{HEAD}.{BODY}.", f".{BODY}.{SIGNATURE}",
    f"{HEAD}..{SIGNATURE}", f"{GOOD}.", f".{GOOD}", f"{GOOD}.{SIGNATURE}", f"{GOOD}=", f"{GOOD}==", f"{HEAD}=.{BODY}.x",
    f"{HEAD}.{BODY}=.{SIGNATURE}", f" {GOOD}", f"{GOOD} ", f"{GOOD}\n", f"{GOOD}\r\n", f"{GOOD}\t", f"{GOOD}\x00",
    f"Bearer {GOOD}", f'"{GOOD}"', f"{GOOD}~", f"{GOOD}+", f"{GOOD}/", f"{GOOD}é", f"{GOOD},{GOOD}",
    GOOD.replace(".", "\u2024"),
    f"{HEAD}.{BODY}.{SIGNATURE}.{BODY}.{HEAD}", json.dumps({"payload": BODY, "signature": SIGNATURE}),
    f"{HEAD}.{'A' * 16_384}.{SIGNATURE}", "A" * 20_000,
]  # fmt: skip


def flipped(text: str, place: int) -> str:
    """Another character in that place, and another value: the last ones of base64url may hold spare bits."""
    other = "A" if text[place] != "A" else "B"
    return text[:place] + other + text[place + 1 :]


def in_claims() -> Iterator[tuple[str, str, str]]:
    for value in [*LIKE_ISSUER, *NO_TEXT, ...]:
        yield f"iss {value!r}", signed(header(), claims(iss=value)), "issued by"
    for value in [*LIKE_AUDIENCE, ...]:
        yield f"aud {value!r}", signed(header(), claims(aud=value)), "meant for"
    for value in [[CLIENT_ID, "other"], [CLIENT_ID, CLIENT_ID], ["other", CLIENT_ID], [CLIENT_ID, None]]:
        yield f"aud {value!r} without azp", signed(header(), claims(aud=value)), "asked for by None"
    for value in ["other", "", "Console", 7, [CLIENT_ID], {}, False]:
        yield f"azp {value!r}", signed(header(), claims(azp=value)), "asked for by"
    for value in ["", "x" * 256, "ünicode", "a\nb", "a\x00b", "\x7f", "00u1​", *NO_TEXT, ...]:
        yield f"sub {value!r}", signed(header(), claims(sub=value)), "about nobody"
    for value in ["", "other", NONCE.upper(), f"{NONCE} ", f"{NONCE}\x00", NONCE[:-1], "ünicode", *NO_TEXT, ...]:
        yield f"nonce {value!r}", signed(header(), claims(nonce=value)), "wrong nonce"


def in_times() -> Iterator[tuple[str, str, str]]:
    for name in ("exp", "iat", "nbf"):
        for value in [*NO_NUMBER, 10**400, -(10**400), 1 << 53, float("nan"), float("inf"), float("-inf")]:
            yield f"{name} {str(value)[:20]}", signed(header(), claims(**{name: value})), f"without {name}"
    for value in [NOW - 60, NOW - 61, NOW - 3600, 0, -1, 1, 0.5]:
        yield f"exp {value}", signed(header(), claims(exp=value)), "expired"
    for value in [NOW + 61, NOW + 3600, NOW * 1000, NOW - 601, NOW - 86_400, 0, -1]:
        yield f"iat {value}", signed(header(), claims(iat=value)), "issued long ago or in the future"
    for value in [NOW + 61, NOW + 3600, NOW * 1000]:
        yield f"nbf {value}", signed(header(), claims(nbf=value)), "not valid yet"
    for name in ("exp", "iat"):
        yield f"no {name}", signed(header(), claims(**{name: ...})), f"without {name}"


def in_header() -> Iterator[tuple[str, str, str]]:
    for value in ALGORITHMS:
        yield f"alg {value!r}", signed(header(alg=value), claims()), "signed with|does not verify"
    for value in TYPES:
        yield f"typ {value!r}", signed(header(typ=value), claims()), "of type"
    for value in [None, 7, "", [], ["k1"], {}, True, ...]:
        yield f"kid {value!r}", signed(header(kid=value), claims()), "names no key|does not verify"
    for value in UNKNOWN_KEYS:
        yield f"kid {value[:30]!r}", signed(header(kid=value), claims()), "publishes no key"
    for more in ({"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": True}):
        yield f"{more}", signed(header(**more), claims()), "demanding what we do not know|does not verify"


def in_signature() -> Iterator[tuple[str, str, str]]:
    for place in range(0, 340, 20):
        yield f"signature changed at {place}", f"{HEAD}.{BODY}.{flipped(SIGNATURE, place)}", "does not verify"
    for place in range(0, len(BODY) - 4, 16):
        yield f"body changed at {place}", f"{HEAD}.{flipped(BODY, place)}.{SIGNATURE}", "does not verify|The token is"
    for length in (1, 64, 255, 341, 684):
        yield f"signature of {length}", f"{HEAD}.{BODY}.{(SIGNATURE * 2)[:length]}", "does not verify"
    yield "signed by another key of that name", signed(header(), claims(), OTHER_KEY), "does not verify"
    for name, value in {
        "jwk": OTHER_KEY.as_dict(private=False),
        "jku": "https://evil.test/keys",
        "x5u": "https://evil.test/cert",
        "x5c": ["MIIB"],
    }.items():
        yield f"brings its own {name}", signed(header(**{name: value}), claims(), OTHER_KEY), "does not verify"
    for secret in (KEY.as_pem(private=False), json.dumps(KEY.as_dict(private=False)).encode(), b"", b"client-secret"):
        head = header(alg="HS256")
        text = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims()).encode())}"
        mac = encoded(hmac.digest(secret, text.encode(), hashlib.sha256))
        yield f"signed with the public key as a secret, {secret[:8]!r}", f"{text}.{mac}", "signed with 'HS256'"
    elliptic = jwt.encode({"alg": "ES256", "kid": "k1"}, claims(), ec_key("k1"))
    yield "an elliptic key of that name", elliptic, "signed with"


def in_shape() -> Iterator[tuple[str, str, str]]:
    for text in SHAPES:
        yield f"shape {text[:12]!r}…{text[-6:]!r} of {len(text)}", text, "not a compact JWS"
    deep = b"[" * 6000 + b"]" * 6000
    for body in (b"", b"null", b"[]", b'"x"', b"7", b"{", b"{}}", b"\xff\xfe", b"\xef\xbb\xbf{}", deep, b'{"iss":}'):
        yield f"body {body[:12]!r}", signed(header(), body or b" "), "does not verify|not about anything|issued by"
    for head in (b" ", b"null", b"[]", b'"x"', b"7", b"{", b"\xff\xfe", b"[" * 150 + b"]" * 150):
        yield f"header {head[:12]!r}", signed(head, claims()), "does not verify|signed with"
    twice = json.dumps(claims())[:-1].encode()
    yield "issuer twice", signed(header(), twice + b',"iss":"https://evil.test"}'), "issued by"
    yield "audience twice", signed(header(), twice + b',"aud":"other"}'), "meant for"


HOSTILE = [*in_claims(), *in_times(), *in_header(), *in_signature(), *in_shape()]


@pytest.fixture(scope="module")
def keys() -> Iterator[ProviderKeys]:
    with running_provider() as provider:
        provider.key = KEY
        yield ProviderKeys(f"{provider.issuer}/keys", timeout=2)


def verify(token: str, keys: ProviderKeys) -> dict[str, Any]:
    expected = Expectation(issuer=ISSUER, audience=CLIENT_ID, algorithms=["RS256"], nonce=NONCE)
    return verification.verify(token, expected=expected, keys=keys, at=NOW)


def test_there_are_more_than_two_hundred_and_all_differ() -> None:
    tokens = {token for _, token, _ in HOSTILE}
    assert len(tokens) > 300
    assert GOOD not in tokens


def test_the_honest_one_among_them_is_believed(keys: ProviderKeys) -> None:
    assert verify(GOOD, keys)["sub"] == "00u1"


def test_each_is_refused_for_what_is_wrong_with_it(keys: ProviderKeys) -> None:
    for name, token, why in HOSTILE:
        with pytest.raises(TokenRefused, match=why):
            assert verify(token, keys) is None, f"believed: {name}"
