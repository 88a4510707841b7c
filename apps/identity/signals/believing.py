"""The keys of those who sign what they tell us, kept between calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from apps.identity.verification import Expectation, ProviderKeys, TokenRefused, verify

TIMEOUT = 5.0


@lru_cache(maxsize=64)
def keys_at(jwks_uri: str) -> ProviderKeys:
    return ProviderKeys(jwks_uri, timeout=TIMEOUT)


def believe(token: str, *, expected: Expectation, jwks_uri: str, at: datetime) -> Mapping[str, object]:
    """The claims of a token that holds; raises TokenRefused."""
    if not jwks_uri:
        raise TokenRefused("Nobody told us where its keys are.")
    return verify(token, expected=expected, keys=keys_at(jwks_uri), at=int(at.timestamp()))
