"""Secrets at rest: encrypted with the key the operator gives in SALLYPORT_SECRETS_KEY, or hashed to be compared."""

from __future__ import annotations

import hashlib

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


class WrongSecretsKey(RuntimeError):
    """The stored secret was encrypted with another SALLYPORT_SECRETS_KEY."""


def seal(plain: bytes) -> bytes:
    return Fernet(settings.SALLYPORT_SECRETS_KEY).encrypt(plain)


def unseal(sealed: bytes | memoryview) -> bytes:
    """Raises WrongSecretsKey rather than give out something else than was sealed."""
    try:
        return Fernet(settings.SALLYPORT_SECRETS_KEY).decrypt(bytes(sealed))
    except InvalidToken as error:
        raise WrongSecretsKey("A stored secret cannot be read: SALLYPORT_SECRETS_KEY is not the one it had.") from error


def hash_of(token: str) -> str:
    """Plain SHA-256 is enough: a token of ours is 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
