"""Whether somebody else really signed what a token says. Nothing in a token is believed before this.

One place for every token that is not our own: ID tokens, logout tokens, security events, tokens of workloads. Every
rule is ours to keep, because the library we use for the sign-in flow does not check audience, issuer or expiry.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from apps.identity.providers import outgoing

LEEWAY = 60
OLDEST = 600
LONGEST_TOKEN = 16 * 1024
LARGEST = 2**53
"""No moment is written with a larger number; Python's floats end at some, and a token must not find out."""
SAFE_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
PLAIN_TYPES = frozenset({"", "jwt"})
"""An ID token says it is a JWT or nothing. A token of another type, such as a logout token, never passes for one."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""Strict base64url: what decoders tolerate besides (padding, white space) would make two texts of one token."""

KEEP_KEYS = 600
KEEP_KEYS_AT_MOST = 3600
REFETCH_AFTER = 30
STALE_KEYS_AT_MOST = 24 * 3600
FARTHEST = 1 << 53
"""Times beyond are no times, and NaN is on neither side of it."""

_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class TokenRefused(Exception):
    """The token does not prove anything. The message is for the log, not for whoever sent it."""


class KeysUnreachable(TokenRefused):
    """Nobody can tell now: whoever signed does not give out its keys."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a good token says. ``algorithms`` is ours: a token never chooses how it is checked.

    ``other_issuers`` are other spellings of the same issuer. ``nonce`` is None where none was asked for. ``types`` are
    values of the header ``typ``, in lower case without ``application/``. Tokens that tell of an event may have no
    subject and no end, and say when they were made. They may be ``for_several`` (RFC 8417, section 2.2); an ID token
    that is has to say that it was us who asked for it.
    """

    issuer: str
    audience: str
    algorithms: Sequence[str]
    other_issuers: Collection[str] = ()
    nonce: str | None = None
    types: Collection[str] = PLAIN_TYPES
    has_subject: bool = True
    has_end: bool = True
    for_several: bool = False
    oldest: int = OLDEST


class KeySource(Protocol):
    """Where the public keys of whoever signed are found."""

    def find(self, kid: str, *, at: int) -> Key:
        """The key named ``kid``; raises TokenRefused."""


class ProviderKeys:
    """The provider's public keys, fetched when needed: not at every sign-in, and soon after the provider rotates."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._url, self._timeout = url, timeout
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._fetched_at = self._good_until = self._tried_at = 0

    def find(self, kid: str, *, at: int) -> Key:
        """The key named ``kid``. One we do not know is looked for again, at most every half minute."""
        with self._lock:
            if at >= self._good_until or kid not in self._keys:
                self._refresh(at)
            if kid not in self._keys:
                kind = TokenRefused if self._fetched_at == at else KeysUnreachable
                raise kind(f"The provider publishes no key {kid!r}.")
            return self._keys[kid]

    def _refresh(self, at: int) -> None:
        if at - self._tried_at < REFETCH_AFTER:
            return
        self._tried_at = at
        try:
            answer = outgoing.get(self._url, seconds=self._timeout)
            found = read_keys(answer)
        except outgoing.Unreachable as error:
            if at - self._fetched_at > STALE_KEYS_AT_MOST:
                raise KeysUnreachable(f"The provider's keys cannot be read: {error}") from error
            return
        self._keys = found
        self._fetched_at, self._good_until = at, at + _max_age(answer.headers.get("Cache-Control", ""))


def read_keys(answer: outgoing.Answer) -> dict[str, Key]:
    """By name. Keys of a kind we do not know, without a name, or not for signing are nobody's loss."""
    listed = answer.json().get("keys") if answer.status == 200 else None
    if not isinstance(listed, list):
        raise outgoing.Unreachable(f"answered with {answer.status} and no keys")
    found: dict[str, Key] = {}
    for one in listed:
        try:
            kid, use, kind = str(one.get("kid") or ""), one.get("use", "sig"), one.get("kty")
            if kid and use == "sig" and kind != "oct":
                found[kid] = JWKRegistry.import_key(one)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _max_age(cache_control: str) -> int:
    for part in cache_control.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "max-age" and value.isascii() and value.isdigit():
            return min(int(value), KEEP_KEYS_AT_MOST)
    return KEEP_KEYS


def verify(token: str, *, expected: Expectation, keys: KeySource, at: int) -> dict[str, Any]:
    """The claims of a token that passes every check; raises TokenRefused. ``at`` is in seconds since 1970."""
    _require(len(token) <= LONGEST_TOKEN and _SHAPE.fullmatch(token) is not None, "not a compact JWS")
    try:
        header = jws.extract_compact(token.encode()).headers()
        key = keys.find(_checked_header(header, expected), at=at)
        claims = jwt.decode(token, key, algorithms=list(expected.algorithms)).claims
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise TokenRefused(f"The token does not verify: {error}") from error
    _require(isinstance(claims, dict), "not about anything")
    _check_parties(claims, expected)
    _check_times(claims, expected, at)
    if expected.nonce is not None:
        said = _text(claims, "nonce")
        _require(hmac.compare_digest(said, expected.nonce) and expected.nonce != "", "wrong nonce")
    return claims


def _checked_header(header: Mapping[str, Any], expected: Expectation) -> str:
    """The name of the key that is said to have signed."""
    _require(header.get("alg") in expected.algorithms, f"signed with {header.get('alg')!r}")
    _require("crit" not in header and "b64" not in header, "demanding what we do not know")
    _require(_type_of(header) in expected.types, f"of type {header.get('typ')!r}")
    kid = header.get("kid")
    _require(isinstance(kid, str) and kid != "", "names no key")
    return str(kid)


def _type_of(header: Mapping[str, Any]) -> str | None:
    """Empty when it says none; None when what it says is no type."""
    if "typ" not in header:
        return ""
    said = header["typ"]
    return said.lower().removeprefix("application/") or None if isinstance(said, str) else None


def _check_parties(claims: Mapping[str, Any], expected: Expectation) -> None:
    issuers = (expected.issuer, *expected.other_issuers)
    _require(claims.get("iss") in issuers, f"issued by {claims.get('iss')!r}")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    _require(expected.audience in audiences, f"meant for {audience!r}")
    party = claims.get("azp")
    alone = len(audiences) == 1 or expected.for_several
    _require(party == expected.audience or (party is None and alone), f"asked for by {party!r}")
    _require(not expected.has_subject or is_name(claims.get("sub")), "about nobody")


def is_name(value: object) -> bool:
    """What may name somebody or something: printable ASCII, at most 255 characters (OpenID Connect Core, section 2)."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()


def _check_times(claims: Mapping[str, Any], expected: Expectation, at: int) -> None:
    _require(at - expected.oldest <= _number(claims, "iat") <= at + LEEWAY, "issued long ago or in the future")
    if expected.has_end or "exp" in claims:
        _require(_number(claims, "exp") > at - LEEWAY, "expired")
    _require("nbf" not in claims or _number(claims, "nbf") <= at + LEEWAY, "not valid yet")


def check_access_token(claims: Mapping[str, Any], access_token: str, algorithm: str) -> None:
    """The ID token may bind the access token that came with it; when it does, they must belong together."""
    if "at_hash" not in claims:
        return
    half = _HASHES.get(algorithm[-3:], hashlib.sha512)(access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(half[: len(half) // 2]).rstrip(b"=").decode()
    _require(hmac.compare_digest(_text(claims, "at_hash"), wanted), "for another access token")


def algorithm_of(token: str) -> str:
    """The algorithm of a token that was verified already."""
    return str(jws.extract_compact(token.encode()).headers()["alg"])


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) and value.isascii() else ""


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    _require(isinstance(value, int | float) and not isinstance(value, bool), f"without {name}")
    _require(-FARTHEST < value < FARTHEST, f"without {name}")  # type: ignore[operator]  # a number, checked just above
    return float(value)  # type: ignore[arg-type]  # the same


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise TokenRefused(f"The token is {fault}.")
