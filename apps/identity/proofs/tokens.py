"""Tokens signed by somebody else, taken as proofs."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from apps.identity.proofs.outcome import ProofRefused, require
from apps.identity.verification import LONGEST_TOKEN, Expectation, KeySource, TokenRefused, verify

log = logging.getLogger(__name__)

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def unverified(token: str) -> dict[str, Any]:
    """What it claims, to know whom to ask for the key. Believed by nobody; raises ProofRefused for no token at all."""
    require(len(token) <= LONGEST_TOKEN and _SHAPE.fullmatch(token) is not None, "This is not a compact JWS.")
    part = token.split(".")[1]
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode())
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ProofRefused("The token's claims are not JSON.") from error
    require(isinstance(found, dict), "The token's claims are not a JSON object.")
    return dict(found)


def verified(token: str, *, expected: Expectation, keys: KeySource, at: int, refusal: str) -> dict[str, Any]:
    """The claims, or a ProofRefused that says ``refusal`` to the sender; the log says why."""
    try:
        return verify(token, expected=expected, keys=keys, at=at)
    except TokenRefused as error:
        log.warning("A token of %s proves nothing: %s", expected.issuer, error)
        raise ProofRefused(refusal) from error


def moment(claims: Mapping[str, object], name: str) -> int:
    """A time among claims that were verified."""
    value = claims.get(name)
    if not isinstance(value, int | float):
        raise ProofRefused(f"The token is without {name}.")
    return int(value)
