"""How we prove ourselves to a provider: by the secret it gave us, or by an assertion signed with a key of our own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from joserfc import jwt
from joserfc.jwk import RSAKey

from apps.identity.models import ClientAuth, ClientKey, Preset
from apps.identity.providers import outgoing
from apps.identity.vault import unseal

if TYPE_CHECKING:
    from apps.identity.models import Provider

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHM = "RS256"
"""What every provider takes that takes assertions at all: Auth0 knows RSA only."""
LONGEST_TOKEN = 8 * 1024
SECONDS = 120
"""How long an assertion is good. Auth0 takes five minutes at most."""


class NotAccepted(outgoing.Unreachable):
    """The provider answered and would not do it: usually a wrong client id, secret or key."""


def post_as_client(provider: Provider, url: str, form: Mapping[str, str], *, at: datetime) -> outgoing.Answer:
    """POST ``form`` to an endpoint of ``provider`` as its client (RFC 6749, section 2.3.1; RFC 7523, section 2.2).

    Raises Unreachable, and WrongSecretsKey when the secret or the key cannot be read.
    """
    sent = {name: value for name, value in form.items() if name != "client_secret"}
    sent["client_id"] = provider.client_id
    if provider.client_auth == ClientAuth.PRIVATE_KEY:
        sent |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(provider, at=at)}
        return outgoing.post_form(url, sent)
    secret = unseal(provider.client_secret_sealed).decode() if provider.client_secret_sealed else ""
    if provider.client_auth == ClientAuth.BASIC:
        return outgoing.post_form(url, sent, auth=(quote(provider.client_id, safe=""), quote(secret, safe="")))
    return outgoing.post_form(url, sent | {"client_secret": secret})


def assertion(provider: Provider, *, at: datetime) -> str:
    """A new one for each call (RFC 7523, section 3): it is good once and for two minutes."""
    key = find_signing_key(provider, at=at)
    if key is None:
        raise NotAccepted("There is no key to sign with: make one.")
    now = int(at.timestamp())
    claims = {
        "iss": provider.client_id,
        "sub": provider.client_id,
        "aud": audience_at(provider),
        "iat": now,
        "exp": now + SECONDS,
        "jti": secrets.token_urlsafe(24),
    }
    private = RSAKey.import_key(unseal(key.private_sealed))
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}, claims, private)


def audience_at(provider: Provider) -> str:
    """Its token endpoint, whichever endpoint is called (OpenID Connect Core, section 9). Auth0 wants its issuer."""
    if provider.preset == Preset.AUTH0:
        return provider.issuer
    return str(provider.endpoints.get("token_endpoint", ""))


def live_keys(provider: Provider, *, at: datetime) -> list[ClientKey]:
    """Those that are published, the newest first."""
    keys = ClientKey.objects.filter(provider_id=provider.pk).order_by("-created_at", "-pk")
    return [key for key in keys if key.ends_at is None or key.ends_at > at]


def find_signing_key(provider: Provider, *, at: datetime) -> ClientKey | None:
    """The newest whose turn it is; when the others were taken away, the one there is."""
    keys = live_keys(provider, at=at)
    return next((key for key in keys if key.signs_from <= at), keys[-1] if keys else None)


def error_of(answer: outgoing.Answer) -> str:
    """The code in a refusal of RFC 6749, section 5.2, and nothing else of what was said."""
    try:
        code = answer.json().get("error")
    except outgoing.Unreachable:
        return ""
    return code[:60] if isinstance(code, str) and code.isascii() and code.isprintable() else ""


def refresh_token_in(answer: Mapping[str, Any]) -> str:
    """Empty when there is none: then the one that was used stays good."""
    found = answer.get("refresh_token")
    fits = isinstance(found, str) and 0 < len(found) <= LONGEST_TOKEN and found.isascii() and found.isprintable()
    return found if fits and isinstance(found, str) else ""
