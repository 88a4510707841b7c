"""ES256 keys and tokens, without the database."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey

from apps.compiler.surroundings import SigningKey, VerifyKey

ALGORITHM = "ES256"
_PUBLIC = ("kty", "crv", "x", "y")


def new_jwk() -> dict[str, str]:
    """A fresh P-256 key: kty, crv, x, y and the private d, nothing else."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    point = numbers.public_numbers
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": _encode(point.x),
        "y": _encode(point.y),
        "d": _encode(numbers.private_value),
    }


def public_half(jwk: Mapping[str, str]) -> dict[str, str]:
    return {name: jwk[name] for name in _PUBLIC}


def verify_key(kid: str, jwk: Mapping[str, str]) -> VerifyKey:
    point = ec.EllipticCurvePublicNumbers(_decode(jwk["x"]), _decode(jwk["y"]), ec.SECP256R1()).public_key()
    pem = point.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return VerifyKey(kid=kid, jwk=public_half(jwk), spki_pem=pem.decode())


def published(kid: str, jwk: Mapping[str, str]) -> dict[str, str]:
    """The key as it stands in a JWK set."""
    return {**public_half(jwk), "kid": kid, "use": "sig", "alg": ALGORITHM}


def sign(payload: bytes, *, key: SigningKey, typ: str) -> str:
    """A compact JWS over the payload."""
    header = {"alg": ALGORITHM, "typ": typ, "kid": key.kid}
    return jws.serialize_compact(header, payload, ECKey.import_key(dict(key.jwk)), algorithms=[ALGORITHM])


def sign_the_same(payload: bytes, *, key: SigningKey, typ: str) -> str:
    """As ``sign``, by RFC 6979: equal payloads give equal text, for what is compared byte by byte."""
    header = json.dumps({"alg": ALGORITHM, "typ": typ, "kid": key.kid}, separators=(",", ":")).encode()
    signed = f"{_base64url(header)}.{_base64url(payload)}"
    numbers = ec.derive_private_key(_decode(key.jwk["d"]), ec.SECP256R1())
    found = numbers.sign(signed.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    halves = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(found))
    return f"{signed}.{_base64url(halves)}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _encode(number: int) -> str:
    return _base64url(number.to_bytes(32, "big"))


def _decode(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
