"""Signing out at the provider too, and being told by it that somebody signed out there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from apps.identity.providers.addresses import signed_out_address
from apps.identity.providers.claims import OTHER_SPELLINGS
from apps.identity.providers.keys import keys_at
from apps.identity.verification import Expectation, TokenRefused, is_name, verify

if TYPE_CHECKING:
    from apps.identity.models import Provider

BACKCHANNEL = "http://schemas.openid.net/event/backchannel-logout"
TYPES = frozenset({"", "jwt", "logout+jwt"})
REMEMBERED = timedelta(minutes=15)
"""Longer than any token is believed, whatever end it says: ``verification.OLDEST`` and the leeway."""


def end_session_address(provider: Provider, *, id_token: str, state: str) -> str:
    """Where a browser signs out there (OpenID Connect RP-Initiated Logout 1.0); empty if it has no such place."""
    endpoint = str(provider.endpoints.get("end_session_endpoint") or "")
    if not endpoint:
        return ""
    query = {
        "id_token_hint": id_token,
        "client_id": provider.client_id,
        "post_logout_redirect_uri": signed_out_address(),
        "state": state,
    }
    joint = "&" if urlsplit(endpoint).query else "?"
    return f"{endpoint}{joint}{urlencode({name: value for name, value in query.items() if value})}"


@dataclass(frozen=True, slots=True)
class Leaving:
    """Whose sessions end: those named ``sid``, or all of ``sub``. ``jti`` is refused a second time."""

    sub: str
    sid: str
    jti: str
    good_until: datetime


def read_logout_token(token: str, provider: Provider, *, at: datetime) -> Leaving:
    """OpenID Connect Back-Channel Logout 1.0, section 2.6; raises TokenRefused.

    An ID token cannot pass for one: it has no such event, and what has a nonce is refused.
    """
    expected = Expectation(
        issuer=provider.issuer,
        other_issuers=OTHER_SPELLINGS.get(provider.issuer, ()),
        audience=provider.client_id,
        algorithms=provider.algorithms,
        types=TYPES,
        has_subject=False,
        has_end=False,
    )
    keys = keys_at(provider.endpoints.get("jwks_uri", ""))
    claims = verify(token, expected=expected, keys=keys, at=int(at.timestamp()))
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(BACKCHANNEL), dict):
        raise TokenRefused("The token tells of no sign-out.")
    if "nonce" in claims:
        raise TokenRefused("The token has a nonce, as only ID tokens do.")
    sub, sid, jti = (_name(claims, name) for name in ("sub", "sid", "jti"))
    if not jti:
        raise TokenRefused("The token has no jti.")
    if not sub and not sid:
        raise TokenRefused("The token names neither a person nor a session.")
    return Leaving(sub, sid, jti, at + REMEMBERED)


def _name(claims: dict[str, Any], name: str) -> str:
    if name in claims and not is_name(claims[name]):
        raise TokenRefused(f"The token's {name} names nothing.")
    return str(claims.get(name, ""))
