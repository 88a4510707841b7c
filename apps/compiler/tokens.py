"""What every door checks of a token, in one order, apart from the cryptography itself.

The doors verify signatures with their own libraries; this is the reference for everything around that: which fault is
named first, what counts as missing, how much a clock may be off. Pure: the caller says whether key and signature hold.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.compiler.reasons import Reason

LEEWAY_SECONDS = 5
"""How far the clocks of issuer and door may differ."""

ALGORITHM = "ES256"
CONTEXT_TOKEN_SECONDS = 60
EDGE_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
EDGE_SESSION_TYPE = "edge-session+jwt"
CONTEXT_TOKEN_TYPE = "txntoken+jwt"  # noqa: S105 - a media type

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a door demands of the tokens it takes.

    ``context`` tokens must also name the service they open, ``session`` tokens the secret of the browser they are for.
    """

    type: str
    issuer: str
    audience: str

    @property
    def context(self) -> bool:
        return self.type == CONTEXT_TOKEN_TYPE

    @property
    def session(self) -> bool:
        return self.type == EDGE_SESSION_TYPE


@dataclass(frozen=True, slots=True)
class Presented:
    """A token taken apart (None: it cannot be), and what the door's cryptography says of it.

    ``holder_ok``: whoever showed it knows the secret it is bound to, where it is bound to one.
    """

    header: Json | None
    claims: Json | None
    key_known: bool = True
    signature_ok: bool = True
    holder_ok: bool = True


def bearer(values: Sequence[str]) -> tuple[str, Reason | None]:
    """The token among the values of all Authorization headers of a call, or why there is none."""
    if len(values) > 1:
        return "", Reason.DUPLICATE_TOKEN
    found = _BEARER.fullmatch(values[0]) if values else None
    return (found[1], None) if found else ("", Reason.NO_TOKEN)


def take_apart(token: str) -> tuple[Json | None, Json | None]:
    """Header and claims of a compact JWS, unverified; None for what is not a JSON object."""
    if not _COMPACT.fullmatch(token):
        return None, None
    header, claims, _ = token.split(".")
    return _json_object(header), _json_object(claims)


def _json_object(text: str) -> Json | None:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found = json.loads(raw.decode(errors="replace"), parse_constant=_not_json)
    except (binascii.Error, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _not_json(name: str) -> object:
    raise ValueError(name)


def check(token: Presented, expected: Expected, at: float) -> Reason | None:
    """The first fault of a token, or None when it is good at ``at``."""
    if token.header is None or token.claims is None:
        return Reason.MALFORMED_TOKEN
    if token.header.get("typ") != expected.type:
        return Reason.BAD_TYPE
    if token.header.get("alg") != ALGORITHM:
        return Reason.BAD_ALGORITHM
    if not token.key_known:
        return Reason.UNKNOWN_KEY
    if not token.signature_ok:
        return Reason.BAD_SIGNATURE
    fault = _check_claims(token.claims, expected, at)
    return Reason.OTHER_BROWSER if fault is None and not token.holder_ok else fault


def _check_claims(claims: Json, expected: Expected, at: float) -> Reason | None:
    if not _complete(claims, expected):
        return Reason.MISSING_CLAIM
    if claims["iss"] != expected.issuer:
        return Reason.WRONG_ISSUER
    if max(_number(claims, "iat"), _number(claims, "nbf")) > at + LEEWAY_SECONDS:
        return Reason.TOKEN_NOT_YET_VALID
    if _number(claims, "exp") + LEEWAY_SECONDS <= at:
        return Reason.EXPIRED_TOKEN
    audience = claims["aud"]
    named = audience if isinstance(audience, list) else [audience]
    return None if expected.audience in named else Reason.WRONG_AUDIENCE


def _complete(claims: Json, expected: Expected) -> bool:
    """Issuer, audience, subject and both times are there and of their kind; ``nbf`` and ``act`` may be left out,
    not misspelt.
    """
    texts = all(_is_text(claims.get(name)) for name in ("iss", "sub"))
    times = all(_is_number(claims.get(name)) for name in ("iat", "exp")) and _is_number(claims.get("nbf", 0))
    audience = _is_text(claims.get("aud")) or isinstance(claims.get("aud"), list)
    acted = "act" not in claims or actor(claims) is not None
    bound = (not expected.context or _is_text(_service(claims))) and (not expected.session or _is_text(holder(claims)))
    return texts and times and audience and acted and bound


def actor(claims: Json) -> str | None:
    """Who acts for the subject (RFC 8693, section 4.1), or None. Of a chain only the outermost counts."""
    act = claims.get("act")
    name = act.get("sub") if isinstance(act, dict) else None
    return name if isinstance(name, str) and name else None


def holder(claims: Json) -> object:
    """The hash of the secret that whoever shows the token must know (RFC 7800)."""
    confirmed = claims.get("cnf")
    return confirmed.get("s256") if isinstance(confirmed, dict) else None


def _service(claims: Json) -> object:
    context = claims.get("tctx")
    return context.get("svc") if isinstance(context, dict) else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(claims: Json, name: str) -> float:
    value = claims.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
