"""What the edge makes of a browser's call: a session in a cookie. The reference for its JavaScript.

A browser sends a cookie whoever made it send it, so a session is worth less than a token in a header: it is good in one
browser and at one host only, and a call that may change something must come from a page of that very host.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.tokens import bearer

OWN_PATH = "/.sallyport/"
"""Below it the edge answers itself, at every host. No base path of a service can begin like that."""

SIGN_IN_SECONDS = 600
"""How long somebody may take to sign in."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_IN_VAIN = {Reason.DUPLICATE_TOKEN, Reason.TOKEN_NOT_YET_VALID, Reason.TOKEN_REVOKED}
SIGNS_IN = frozenset(reason for reason, text in TEXTS.items() if text.status == 401) - _IN_VAIN
"""For these a browser is sent to sign in, and comes back with a session that mends it. Of the others it could come back
with the same again, at once and for ever."""

_SESSION = re.compile(r"([A-Za-z0-9_-]{43})\.(.{1,3500})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CookieNames:
    session: str
    sign_in: str


def cookie_names(edge_url: str) -> CookieNames:
    """With TLS a browser keeps these from everybody but the host itself, which it does not do without."""
    prefix = "__Host-" if edge_url.startswith("https://") else ""
    return CookieNames(f"{prefix}sallyport-session", f"{prefix}sallyport-sign-in")


@dataclass(frozen=True, slots=True)
class Shown:
    """The token of a call; ``secret`` is the browser's, and None where the token came in a header."""

    token: str = ""
    secret: str | None = None
    fault: Reason | None = None


def shown(authorization: Sequence[str], cookies: Sequence[str], name: str) -> Shown:
    """What a call shows of who calls: an Authorization header, whatever it says, or else the cookie ``name``."""
    if authorization:
        token, fault = bearer(authorization)
        return Shown(token, None, fault)
    held = cookie_values(cookies, name)
    if len(held) != 1:
        return Shown(fault=Reason.DUPLICATE_TOKEN if held else Reason.NO_TOKEN)
    found = _SESSION.fullmatch(held[0])
    return Shown(found[2], found[1]) if found else Shown(fault=Reason.MALFORMED_TOKEN)


def cookie_values(cookies: Sequence[str], name: str) -> list[str]:
    """Every value under exactly this name in all Cookie headers; quotes mean nothing (RFC 6265, section 4.2)."""
    pairs = [part.strip(" \t").partition("=") for header in cookies for part in header.split(";")]
    return [value.strip(" \t") for key, equals, value in pairs if equals and key.strip(" \t") == name]


def challenge(secret: str) -> str:
    """What others may know of a browser's secret."""
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode()


def origin_of(edge_url: str, host: str) -> str:
    """The origin of pages at ``host``, a Host header, as browsers write it."""
    scheme = edge_url.partition(":")[0]
    return f"{scheme}://{host.lower().removesuffix(':443' if scheme == 'https' else ':80')}"


@dataclass(frozen=True, slots=True)
class Came:
    """Where a call came from, in the browser's words: the values of its Sec-Fetch-Site and Origin headers."""

    site: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()


def comes_from(origin: str, came: Came) -> bool:
    """Whether a page of ``origin`` made the call. Not even a sibling host may; silence proves nothing.

    A page may hide its origin ("null") from itself; then what the browser says of the site is enough.
    """
    if not came.site:
        return came.origin == (origin,)
    return came.site == ("same-origin",) and came.origin in {(), ("null",), (origin,)}


def needs_proof(method: str) -> bool:
    """Whether a call under a cookie must show that a page of the same site made it."""
    return method not in SAFE_METHODS
