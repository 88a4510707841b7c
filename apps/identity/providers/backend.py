"""The library's walk through the code flow, fed from a provider's row. Every check and every call is ours."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from apps.identity.models import ClientAuth
from apps.identity.providers import outgoing
from apps.identity.providers.addresses import callback_address
from apps.identity.providers.claims import OTHER_SPELLINGS, Proved, read
from apps.identity.providers.keys import keys_at
from apps.identity.vault import unseal
from apps.identity.verification import Expectation, TokenRefused, algorithm_of, check_access_token, verify

if TYPE_CHECKING:
    from apps.identity.models import Provider


class NotAccepted(outgoing.Unreachable):
    """The provider answered and would not exchange the code: usually a wrong client id or secret."""


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
        super().__init__()

    def get_settings(self, attr: str, *args: Any) -> Any:
        return self._settings.get(attr, *args)

    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        """RFC 6749, section 4.1.3; the client proves itself as its section 2.3.1 says."""
        form = {**payload, "redirect_uri": callback_address(self.provider)}
        secret = unseal(self.provider.client_secret_sealed).decode() if self.provider.client_secret_sealed else ""
        auth = None
        if self.provider.client_auth == ClientAuth.BASIC:
            form.pop("client_secret", None)
            auth = (quote(self.provider.client_id, safe=""), quote(secret, safe=""))
        else:
            form["client_secret"] = secret
        answer = outgoing.post_form(self.OIDC_OP_TOKEN_ENDPOINT, form, auth=auth)
        if answer.status != 200:
            raise NotAccepted(f"the token endpoint answers with {answer.status}{_error_of(answer)}")
        return answer.json()

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        expected = Expectation(
            issuer=self.provider.issuer,
            other_issuers=OTHER_SPELLINGS.get(self.provider.issuer, ()),
            audience=self.provider.client_id,
            algorithms=self.provider.algorithms,
            nonce=kwargs.get("nonce") or "",
        )
        token = token if isinstance(token, str) else ""
        keys = keys_at(self.provider.endpoints.get("jwks_uri", ""))
        return verify(token, expected=expected, keys=keys, at=int(self.at.timestamp()))

    def store_tokens(self, access_token: str, id_token: str) -> None:
        """The session keeps none; the ID token is sealed beside it, as the hint for signing out."""

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> Proved:
        check_access_token(payload, access_token if isinstance(access_token, str) else "", algorithm_of(id_token))
        more = self.get_userinfo(access_token, id_token, payload)
        return read(self.provider, signed=payload, more=more, id_token=id_token, at=self.at)

    def get_userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """It must speak of the same subject (OpenID Connect Core, section 5.3.2), or it was given another token."""
        if not self.OIDC_OP_USER_ENDPOINT or not access_token:
            return {}
        found = outgoing.get_json(self.OIDC_OP_USER_ENDPOINT, headers={"Authorization": f"Bearer {access_token}"})
        if found.get("sub") != payload["sub"]:
            raise TokenRefused("The userinfo endpoint speaks of somebody else.")
        return found


def _error_of(answer: outgoing.Answer) -> str:
    """The code in a refusal of RFC 6749, section 5.2, and nothing else of what was said."""
    try:
        code = answer.json().get("error")
    except outgoing.Unreachable:
        return ""
    return f" ({code[:60]})" if isinstance(code, str) and code.isascii() and code.isprintable() else ""
