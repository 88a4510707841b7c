"""The library's walk through the code flow, fed from a provider's row. Every check and every call is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from apps.identity.providers import outgoing
from apps.identity.providers.addresses import callback_address
from apps.identity.providers.claims import OTHER_SPELLINGS, Proved, read
from apps.identity.providers.client_auth import NotAccepted, error_of, post_as_client, refresh_token_in
from apps.identity.providers.keys import keys_at
from apps.identity.verification import Expectation, TokenRefused, algorithm_of, check_access_token, verify

if TYPE_CHECKING:
    from apps.identity.models import Provider


def library_settings(provider: Provider) -> dict[str, Any]:
    """What the library would read from Django's settings. ``OIDC_RP_SIGN_ALGO`` only satisfies its constructor, and
    the name of the callback only its ``reverse``: both are replaced by the row's own before they count.
    """
    return {
        "OIDC_OP_AUTHORIZATION_ENDPOINT": provider.endpoints.get("authorization_endpoint", ""),
        "OIDC_OP_TOKEN_ENDPOINT": provider.endpoints.get("token_endpoint", ""),
        "OIDC_OP_USER_ENDPOINT": provider.endpoints.get("userinfo_endpoint", ""),
        "OIDC_OP_JWKS_ENDPOINT": provider.endpoints.get("jwks_uri", ""),
        "OIDC_RP_CLIENT_ID": provider.client_id,
        "OIDC_RP_CLIENT_SECRET": "",
        "OIDC_RP_SIGN_ALGO": "RS256",
        "OIDC_RP_SCOPES": provider.scopes,
        "OIDC_USE_NONCE": True,
        "OIDC_USE_PKCE": True,
        "OIDC_AUTHENTICATION_CALLBACK_URL": "sign_in",
    }


class ProviderBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Exchanges one code and gives what was proved. It knows no users: who that is, services decide."""

    def __init__(self, provider: Provider, *, at: datetime) -> None:
        self.provider, self.at = provider, at
        self._settings = library_settings(provider)
        self._refresh_token = ""
        super().__init__()

    def get_settings(self, attr: str, *args: Any) -> Any:
        return self._settings.get(attr, *args)

    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        """RFC 6749, section 4.1.3. A refresh token that comes along is handed on with what was proved."""
        form = {**payload, "redirect_uri": callback_address(self.provider)}
        answer = post_as_client(self.provider, self.OIDC_OP_TOKEN_ENDPOINT, form, at=self.at)
        if answer.status != 200:
            said = error_of(answer)
            raise NotAccepted(f"the token endpoint answers with {answer.status}{f' ({said})' if said else ''}")
        found = answer.json()
        self._refresh_token = refresh_token_in(found)
        return found

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        return self._verify(token, self._expected(kwargs.get("nonce") or ""))

    def verify_again(self, token: str) -> dict[str, Any]:
        """A token that came for a refresh token: no browser was sent with a nonce for it."""
        return self._verify(token, replace(self._expected(""), nonce=None))

    def _expected(self, nonce: str) -> Expectation:
        return Expectation(
            issuer=self.provider.issuer,
            other_issuers=OTHER_SPELLINGS.get(self.provider.issuer, ()),
            audience=self.provider.client_id,
            algorithms=self.provider.algorithms,
            nonce=nonce,
        )

    def _verify(self, token: str, expected: Expectation) -> dict[str, Any]:
        token = token if isinstance(token, str) else ""
        keys = keys_at(self.provider.endpoints.get("jwks_uri", ""))
        return verify(token, expected=expected, keys=keys, at=int(self.at.timestamp()))

    def store_tokens(self, access_token: str, id_token: str) -> None:
        """The session keeps none; the ID token is sealed beside it, as the hint for signing out."""

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> Proved:
        check_access_token(payload, access_token if isinstance(access_token, str) else "", algorithm_of(id_token))
        more = self.get_userinfo(access_token, id_token, payload)
        proved = read(self.provider, signed=payload, more=more, id_token=id_token, at=self.at)
        return replace(proved, refresh_token=self._refresh_token)

    def get_userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """It must speak of the same subject (OpenID Connect Core, section 5.3.2), or it was given another token."""
        if not self.OIDC_OP_USER_ENDPOINT or not access_token:
            return {}
        found = outgoing.get_json(self.OIDC_OP_USER_ENDPOINT, headers={"Authorization": f"Bearer {access_token}"})
        if found.get("sub") != payload["sub"]:
            raise TokenRefused("The userinfo endpoint speaks of somebody else.")
        return found
