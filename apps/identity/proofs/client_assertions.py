"""Clients that sign their own assertion (RFC 7523, private_key_jwt): we hold public keys, never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from apps.identity.proofs import bindings, replay, tokens
from apps.identity.proofs.outcome import ProofRefused, Proven, require
from apps.identity.verification import PLAIN_TYPES, Expectation, TokenRefused

LONGEST = 300
ALGORITHMS = ("ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA")
UNKNOWN = "The client assertion does not verify for any client here."


class StoredKeys:
    """Public keys that were given to us when the client, or the issuer, was made known."""

    def __init__(self, jwks: Mapping[str, object]) -> None:
        self._jwks = jwks

    def find(self, kid: str, *, at: int) -> Key:
        try:
            keys = KeySet.import_key_set(self._jwks).keys  # type: ignore[arg-type]  # checked when it was stored
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenRefused("The keys cannot be read.") from error
        found = next((key for key in keys if key.kid == kid), None)
        if found is None:
            raise TokenRefused(f"No key {kid!r} was given.")
        return found


def prove(assertion: str, *, client_id: str, at: datetime) -> Proven:
    """The workload or agent that signed; raises ProofRefused. ``client_id`` is what the form says, when it does."""
    said = tokens.unverified(assertion)
    name = said.get("iss")
    require(isinstance(name, str) and 0 < len(name) <= 64 and name.isascii() and name.isprintable(), UNKNOWN)
    require(client_id in {"", name}, "client_id is not the issuer of the assertion.")
    binding = bindings.find_key(str(name))
    if binding is None:
        raise ProofRefused(UNKNOWN)
    claims = _verified(assertion, str(name), said.get("aud"), StoredKeys(binding.jwks), int(at.timestamp()))
    require(claims["sub"] == name, "iss and sub of the assertion must both be the client's id.")
    until = tokens.moment(claims, "exp")
    require(until <= int(at.timestamp()) + LONGEST, "The assertion must end within five minutes.")
    jti = claims.get("jti")
    require(isinstance(jti, str) and 0 < len(jti) <= 255, "The assertion needs a jti.")
    replay.spend(
        replay.digest_of("client-assertion", str(name), str(jti)),
        expires_at=datetime.fromtimestamp(until, UTC) + timedelta(minutes=2),
    )
    bindings.note_use(binding, at=at)
    return Proven(binding.subject.key, f"key:{name}")


def _verified(assertion: str, name: str, audience: object, keys: StoredKeys, at: int) -> dict[str, object]:
    """RFC 7523 allows the token endpoint, newer profiles only the issuer; both name us and nobody else."""
    expected = Expectation(
        issuer=name,
        audience=settings.SALLYPORT_URL,
        algorithms=ALGORITHMS,
        types=PLAIN_TYPES | {"client-authentication+jwt"},
    )
    endpoint = f"{settings.SALLYPORT_URL}/oauth/token"
    if audience in (endpoint, [endpoint]):
        expected = replace(expected, audience=endpoint)
    return tokens.verified(assertion, expected=expected, keys=keys, at=at, refusal=UNKNOWN)
