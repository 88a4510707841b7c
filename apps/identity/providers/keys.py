"""The public keys of every provider, kept by the process."""

from __future__ import annotations

from functools import lru_cache

from apps.identity.verification import ProviderKeys


@lru_cache(maxsize=256)
def keys_at(url: str) -> ProviderKeys:
    return ProviderKeys(url)
