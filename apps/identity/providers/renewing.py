"""Asking a provider whether somebody who is signed in is still good: one refresh token for the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from joserfc import jws
from joserfc.errors import JoseError

from apps.identity.providers.backend import ProviderBackend
from apps.identity.providers.claims import Proved
from apps.identity.providers.client_auth import error_of, post_as_client
from apps.identity.providers.outgoing import Unreachable
from apps.identity.verification import TokenRefused

if TYPE_CHECKING:
    from apps.identity.models import Provider

log = logging.getLogger(__name__)

BUSY = 429


class NotGood(Exception):
    """The provider does not take the refresh token: revoked, used twice, too old, or its person is gone."""


def renew(provider: Provider, refresh_token: str, *, at: datetime) -> dict[str, Any]:
    """What the token endpoint answers (RFC 6749, section 6).

    Raises NotGood for ``invalid_grant`` alone. Whatever else goes wrong says nothing about the person: Unreachable.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    answer = post_as_client(provider, str(provider.endpoints.get("token_endpoint", "")), form, at=at)
    if answer.status == 200:
        return answer.json()
    if 400 <= answer.status < 500 and error_of(answer) == "invalid_grant":
        raise NotGood
    raise Unreachable(f"the token endpoint answers with {answer.status} {error_of(answer)}".rstrip())


def check(provider: Provider, answer: Mapping[str, Any], *, first: str, at: datetime) -> Proved | None:
    """What a new ID token says, held against the ``first`` one (OpenID Connect Core, section 12.2); None without one.

    Raises TokenRefused, ForeignAccount or Unreachable.
    """
    token = answer.get("id_token")
    if not isinstance(token, str) or not token:
        return None
    backend = ProviderBackend(provider, at=at)
    claims = backend.verify_again(token)
    _require_same(claims, claims_of(first))
    return backend.get_or_create_user(str(answer.get("access_token") or ""), token, claims)


def claims_of(token: str) -> dict[str, Any]:
    """Of a token that was verified when it came and that only we have had since."""
    try:
        found = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError) as error:
        raise TokenRefused("The first ID token cannot be read.") from error
    return found if isinstance(found, dict) else {}


def _require_same(claims: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """A nonce and the time of the sign-in may be left out, and may not be others."""
    for name in ("iss", "sub"):
        if claims.get(name) != first.get(name):
            raise TokenRefused(f"The new token's {name} is another one.")
    if not _listed(first.get("aud")) <= _listed(claims.get("aud")):
        raise TokenRefused("The new token is meant for others.")
    for name in ("nonce", "auth_time"):
        if name in claims and name in first and claims[name] != first[name]:
            raise TokenRefused(f"The new token's {name} is another one.")


def _listed(audience: object) -> set[str]:
    return {str(one) for one in audience} if isinstance(audience, list) else {str(audience)}


def revoke(provider: Provider, refresh_token: str, *, at: datetime) -> None:
    """Tell the provider that a token is not needed any more (RFC 7009), where it wants to know.

    Raises Unreachable when it is worth another try. A refusal is only logged: the token ends by itself.
    """
    endpoint = str(provider.endpoints.get("revocation_endpoint") or "")
    if not endpoint:
        return
    form = {"token": refresh_token, "token_type_hint": "refresh_token"}
    answer = post_as_client(provider, endpoint, form, at=at)
    if answer.status >= 500 or answer.status == BUSY:
        raise Unreachable(f"the revocation endpoint answers with {answer.status}")
    if answer.status != 200:
        log.warning("%s does not revoke: %s %s", provider.slug, answer.status, error_of(answer))
