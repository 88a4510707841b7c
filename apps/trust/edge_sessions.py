"""Sessions of browsers at the edge: whoever is signed in here gets one there, at a host that the catalogue knows.

The session goes to the edge in an address, which others may read. So it opens nothing without the secret of the browser
that asked for it; only that secret's hash, the challenge, ever comes here. What is checked at the edge is told in
``apps.compiler.sessions``.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings

from apps.audit.errors import NotFound, Refusal
from apps.catalog import selectors as catalog
from apps.compiler.sessions import OWN_PATH
from apps.compiler.tokens import EDGE_SESSION_TYPE
from apps.identity.proofs import limits
from apps.trust import jose, selectors, services
from apps.trust.models import Purpose

CLIENT_ID = "browser"
CALLBACK = f"{OWN_PATH}callback"

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STATE = re.compile(r"[A-Za-z0-9_-]{0,2000}")


class UnknownEdgeHost(NotFound):
    code = "unknown_edge_host"
    default_message = "No service is published at that address."


class BadEdgeSignIn(Refusal):
    code = "bad_edge_sign_in"
    status = 400
    default_message = "No edge of ours sent you here like that. Start again from the page you wanted."


class TooManyTokens(Refusal):
    code = "too_many_tokens"
    status = 429


@dataclass(frozen=True, slots=True)
class Asked:
    """``challenge`` is the hash of the browser's secret; ``state`` is the edge's own, and goes back as it came."""

    host: str
    challenge: str
    state: str


def read(given: Mapping[str, str]) -> Asked:
    """Raises BadEdgeSignIn, or UnknownEdgeHost unless some living service is published at exactly this host."""
    host, challenge, state = (given.get(name, "") for name in ("host", "challenge", "state"))
    if not _CHALLENGE.fullmatch(challenge) or not _STATE.fullmatch(state):
        raise BadEdgeSignIn
    if host not in {address.host for address in catalog.list_edge_addresses()}:
        raise UnknownEdgeHost
    return Asked(host, challenge, state)


def send_back(asked: Asked, *, subject: str, at: datetime) -> str:
    """The address at the edge that begins the session of an active subject. Raises TooManyTokens."""
    try:
        limits.require_within(subject, tokens_per_minute=settings.SALLYPORT_TOKENS_PER_MINUTE, at=at)
    except limits.LimitReached as reached:
        raise TooManyTokens(str(reached)) from reached
    token = _signed(asked, subject, int(at.timestamp()))
    services.count_token(subject=subject, client_id=CLIENT_ID, at=at)
    there = settings.SALLYPORT_EDGE_URL.format(host=asked.host)
    return f"{there}{CALLBACK}?{urlencode({'token': token, 'state': asked.state})}"


def _signed(asked: Asked, subject: str, issued_at: int) -> str:
    """Lives as long as any edge token, so that a denial outlives it too."""
    claims = {
        "iss": settings.SALLYPORT_URL,
        "aud": asked.host,
        "sub": subject,
        "client_id": CLIENT_ID,
        "iat": issued_at,
        "exp": issued_at + settings.SALLYPORT_EDGE_TOKEN_SECONDS,
        "jti": secrets.token_hex(16),
        "cnf": {"s256": asked.challenge},
    }
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return jose.sign(payload, key=selectors.active_key(Purpose.EDGE_TOKEN), typ=EDGE_SESSION_TYPE)
