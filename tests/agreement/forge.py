"""Makes good and bad tokens, and says what a door may know about each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from apps.compiler.surroundings import SigningKey, VerifyKey
from apps.compiler.tokens import Presented, take_apart
from tests.agreement.strategies import TokenFault

Claims = dict[str, object]


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_json(value: object) -> str:
    return encode(json.dumps(value).encode())


@dataclass(frozen=True)
class KeyPair:
    """A P-256 key whose private value is given, so that golden files can hold it."""

    kid: str
    private: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, kid: str, value: int) -> KeyPair:
        return cls(kid, ec.derive_private_key(value, ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.private.private_numbers()
        public = numbers.public_numbers
        values = {"x": public.x, "y": public.y, "d": numbers.private_value}
        return {"kty": "EC", "crv": "P-256"} | {name: encode(value.to_bytes(32)) for name, value in values.items()}

    @property
    def signing(self) -> SigningKey:
        return SigningKey(self.kid, self.jwk)

    @property
    def verifying(self) -> VerifyKey:
        public = {name: value for name, value in self.jwk.items() if name != "d"}
        pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return VerifyKey(self.kid, public, pem.decode())

    def der(self, text: str) -> bytes:
        return self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256()))

    def raw(self, text: str) -> bytes:
        r, s = decode_dss_signature(self.der(text))
        return r.to_bytes(32) + s.to_bytes(32)

    def jwt(self, header: Claims, claims: Claims) -> str:
        text = f"{encode_json(header)}.{encode_json(claims)}"
        return f"{text}.{encode(self.raw(text))}"


@dataclass(frozen=True)
class Forged:
    """The header values that carry a token, and the token as the reference should see it (None: there is not one)."""

    values: tuple[str, ...]
    presented: Presented | None


_CLAIM_FAULTS: dict[TokenFault, Callable[[Claims, int], Claims]] = {
    TokenFault.NO_SUBJECT: lambda claims, at: _without(claims, "sub"),
    TokenFault.EMPTY_SUBJECT: lambda claims, at: claims | {"sub": ""},
    TokenFault.SUBJECT_NOT_TEXT: lambda claims, at: claims | {"sub": ["person:ada"]},
    TokenFault.ACTOR_WITHOUT_A_NAME: lambda claims, at: claims | {"act": {"sub": ""}},
    TokenFault.ACTOR_NOT_AN_OBJECT: lambda claims, at: claims | {"act": ["agent:bot"]},
    TokenFault.ACTOR_IS_NULL: lambda claims, at: claims | {"act": None},
    TokenFault.NO_EXPIRY: lambda claims, at: _without(claims, "exp"),
    TokenFault.EXPIRY_IS_TEXT: lambda claims, at: claims | {"exp": str(at + 300)},
    TokenFault.NO_ISSUED_AT: lambda claims, at: _without(claims, "iat"),
    TokenFault.NO_AUDIENCE: lambda claims, at: _without(claims, "aud"),
    TokenFault.WRONG_ISSUER: lambda claims, at: claims | {"iss": f"{claims['iss']}/"},
    TokenFault.FROM_THE_FUTURE: lambda claims, at: claims | {"iat": at + 6},
    TokenFault.NOT_BEFORE_LATER: lambda claims, at: claims | {"nbf": at + 6},
    TokenFault.JUST_NOT_TOO_EARLY: lambda claims, at: claims | {"iat": at + 5, "nbf": at + 5},
    TokenFault.EXPIRED: lambda claims, at: claims | {"exp": at - 100},
    TokenFault.JUST_EXPIRED: lambda claims, at: claims | {"exp": at - 5},
    TokenFault.JUST_NOT_EXPIRED: lambda claims, at: claims | {"exp": at - 4},
    TokenFault.WRONG_AUDIENCE: lambda claims, at: claims | {"aud": f"{claims['aud']}x"},
    TokenFault.AUDIENCE_LIST: lambda claims, at: claims | {"aud": ["other", claims["aud"]]},
}

_HEADER_FAULTS: dict[TokenFault, Callable[[Claims], Claims]] = {
    TokenFault.OTHER_TYPE: lambda header: header | {"typ": "JWT"},
    TokenFault.NO_TYPE: lambda header: _without(header, "typ"),
    TokenFault.ALG_NONE: lambda header: header | {"alg": "none"},
    TokenFault.ALG_HS256: lambda header: header | {"alg": "HS256"},
    TokenFault.UNKNOWN_KID: lambda header: header | {"kid": "constructor"},
    TokenFault.NO_KID: lambda header: _without(header, "kid"),
}


def _without(claims: Claims, name: str) -> Claims:
    return {key: value for key, value in claims.items() if key != name}


def acted(claims: Claims, actor: str | None) -> Claims:
    """With whoever acts for the subject, and somebody before it who does not count."""
    return claims if actor is None else claims | {"act": {"sub": actor, "act": {"sub": "agent:earlier"}}}


@dataclass(frozen=True)
class Forge:
    """Signs tokens of one type with ``key``; ``stranger`` is a key that no door knows."""

    key: KeyPair
    stranger: KeyPair
    type: str

    def make(self, claims: Mapping[str, object], fault: TokenFault, at: int) -> Forged:
        """Values for an Authorization header; strip ``Bearer`` for a header that carries the bare token."""
        if fault is TokenFault.ABSENT:
            return Forged((), None)
        token = self._token(dict(claims), fault, at)
        scheme = "Basic" if fault is TokenFault.OTHER_SCHEME else "Bearer"
        copies = 2 if fault is TokenFault.DUPLICATE else 1
        return Forged((f"{scheme} {token}",) * copies, self._presented(token, fault))

    def _presented(self, token: str, fault: TokenFault) -> Presented | None:
        header, claims = take_apart(token)
        spoiled = {TokenFault.OTHER_KEY, TokenFault.TAMPERED, TokenFault.EMPTY_SIGNATURE, TokenFault.DER_SIGNATURE}
        known = header is not None and header.get("kid") == self.key.kid
        return Presented(header, claims, key_known=known, signature_ok=fault not in spoiled)

    def _token(self, claims: Claims, fault: TokenFault, at: int) -> str:
        header: Claims = {"alg": "ES256", "typ": self.type, "kid": self.key.kid}
        if fault in _CLAIM_FAULTS:
            return self.key.jwt(header, _CLAIM_FAULTS[fault](claims, at))
        if fault in _HEADER_FAULTS:
            return self.key.jwt(_HEADER_FAULTS[fault](header), claims)
        return self._broken(header, claims, fault)

    def _broken(self, header: Claims, claims: Claims, fault: TokenFault) -> str:
        token = self.key.jwt(header, claims)
        text, _, _ = token.rpartition(".")
        changed = encode_json(claims | {"sub": "person:ben", "jti": "other"})
        broken = {
            TokenFault.GARBAGE: "not-a-token",
            TokenFault.TWO_PARTS: text,
            TokenFault.EMPTY_SIGNATURE: f"{text}.",
            TokenFault.HEADER_NOT_AN_OBJECT: f"{encode_json(['ES256'])}.{encode_json(claims)}.AAAA",
            TokenFault.OTHER_KEY: self.stranger.jwt(header, claims),
            TokenFault.TAMPERED: f"{token.split('.')[0]}.{changed}.{token.rpartition('.')[2]}",
            TokenFault.DER_SIGNATURE: f"{text}.{encode(self.key.der(text))}",
        }
        return broken.get(fault, token)
