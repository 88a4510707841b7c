from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt

from apps.identity import verification
from apps.identity.verification import Expectation, ProviderKeys, TokenRefused, check_access_token
from tests.identity.providers.provider import CLIENT_ID, Provider, ec_key, half_hash, rsa_key, running_provider

NONCE, NOW = "the-nonce", 1_772_442_000


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        started.nonce, started.at = NONCE, NOW
        yield started


def verify(provider: Provider, token: str | None = None, **changes: Any) -> dict[str, Any]:
    expected: dict[str, Any] = {
        "issuer": provider.issuer,
        "audience": CLIENT_ID,
        "algorithms": ["RS256"],
        "nonce": NONCE,
    } | changes
    return verification.verify(
        provider.id_token() if token is None else token,
        expected=Expectation(**expected),
        keys=ProviderKeys(f"{provider.issuer}/keys", timeout=2),
        at=NOW,
    )


def test_an_honest_token_is_believed(provider: Provider) -> None:
    assert verify(provider)["sub"] == "00u1"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "another"}, "meant for 'another'"),
        ({"aud": ["another", "third"]}, "meant for"),
        ({"aud": None}, "meant for None"),
        ({"aud": [CLIENT_ID, "another"]}, "asked for by None"),
        ({"azp": "another"}, "asked for by 'another'"),
        ({"iss": "http://elsewhere.test"}, "issued by 'http://elsewhere.test'"),
        ({"iss": None}, "issued by None"),
        ({"exp": None}, "without exp"),
        ({"exp": "9999999999"}, "without exp"),
        ({"exp": True}, "without exp"),
        ({"exp": NOW - 61}, "expired"),
        ({"iat": None}, "without iat"),
        ({"iat": NOW + 200}, "in the future"),
        ({"iat": NOW - 4000}, "long ago"),
        ({"nbf": NOW + 200}, "not valid yet"),
        ({"nonce": None}, "wrong nonce"),
        ({"nonce": "other"}, "wrong nonce"),
        ({"nonce": "ünicode"}, "wrong nonce"),
        ({"sub": None}, "about nobody"),
        ({"sub": ""}, "about nobody"),
        ({"sub": 7}, "about nobody"),
        ({"sub": "x" * 256}, "about nobody"),
    ],
)
def test_a_token_that_is_wrong_in_one_thing_is_refused(provider: Provider, claims: dict[str, Any], why: str) -> None:
    provider.claims = claims
    with pytest.raises(TokenRefused, match=why):
        verify(provider)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
        {"azp": CLIENT_ID},
        {"exp": NOW - 20},
        {"iat": NOW + 30},
        {"nbf": NOW + 30},
    ],
)
def test_what_the_specification_allows_is_allowed(provider: Provider, claims: dict[str, Any]) -> None:
    provider.claims = claims
    assert verify(provider)["sub"] == "00u1"


def test_without_an_expected_nonce_nothing_is_believed(provider: Provider) -> None:
    provider.claims = {"nonce": ""}
    with pytest.raises(TokenRefused, match="nonce"):
        verify(provider, nonce="")


def test_the_token_does_not_choose_how_it_is_checked(provider: Provider) -> None:
    good = provider.id_token()
    claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    forged = [
        _signed_by_hand({"alg": "HS256", "kid": "k1"}, claims, provider.key.as_pem(private=False)),
        _signed_by_hand({"alg": "none", "kid": "k1"}, claims, None),
        jwt.encode({"alg": "ES256", "kid": "k1"}, claims, ec_key("k1")),
        jwt.encode({"alg": "RS256", "kid": "k1"}, claims, rsa_key("k1")),
        jwt.encode({"alg": "RS256", "kid": "k2"}, claims, rsa_key("k2")),
        jwt.encode({"alg": "RS256"}, claims, provider.key),
        good[:-8] + "AAAAAAAA",
        good.rsplit(".", 1)[0] + ".",
        "",
        "a.b.c",
        "a" * 5000,
    ]
    for token in forged:
        with pytest.raises(TokenRefused):
            verify(provider, token)
    assert verify(provider, good)


def _signed_by_hand(header: dict[str, str], claims: dict[str, Any], secret: bytes | None) -> str:
    """What no library would make: signed with a public key as if it were a secret, or not at all."""
    body = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.digest(secret, body.encode(), "sha256") if secret else b""
    return f"{body}.{_encoded(signature)}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def test_keys_are_fetched_once_and_again_when_they_are_old(provider: Provider) -> None:
    keys = ProviderKeys(f"{provider.issuer}/keys", timeout=2)
    provider.cache_control = "public, max-age=120"
    for at in (1000, 1001, 1119):
        assert keys.find("k1", at=at).kid == "k1"
    assert provider.count("/keys") == 1
    keys.find("k1", at=1120)
    assert provider.count("/keys") == 2


def test_a_rotated_key_is_found_and_an_invented_one_does_not_make_us_fetch_all_the_time(provider: Provider) -> None:
    keys = ProviderKeys(f"{provider.issuer}/keys", timeout=2)
    keys.find("k1", at=1000)
    provider.published = [provider.key, rsa_key("k2")]
    for at in range(1000, 1030):
        with pytest.raises(TokenRefused):
            keys.find("k2", at=at)
    assert provider.count("/keys") == 1
    assert keys.find("k2", at=1030).kid == "k2"


def test_known_keys_outlive_the_provider_for_a_day(provider: Provider) -> None:
    keys = ProviderKeys(f"{provider.issuer}/keys", timeout=2)
    keys.find("k1", at=1000)
    provider.broken = {"/keys"}
    assert keys.find("k1", at=1000 + 20 * 3600).kid == "k1"
    with pytest.raises(TokenRefused, match="cannot be read"):
        keys.find("k1", at=1000 + 24 * 3600 + 40)


def test_the_access_token_must_be_the_one_the_id_token_came_with() -> None:
    check_access_token({"at_hash": half_hash("mine")}, "mine", "RS256")
    check_access_token({}, "whatever", "RS256")
    for wrong in (half_hash("other"), "", 7):
        with pytest.raises(TokenRefused, match="another access token"):
            check_access_token({"at_hash": wrong}, "mine", "RS256")
