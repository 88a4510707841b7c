"""The beginning of a way to a provider: the library makes state, nonce and PKCE verifier, we say what it is for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.http import HttpRequest
from mozilla_django_oidc.views import OIDCAuthenticationRequestView

from apps.identity.models import Provider
from apps.identity.providers import flows
from apps.identity.providers.addresses import callback_address
from apps.identity.providers.backend import library_settings
from apps.identity.providers.flows import Purpose

OFFLINE = "offline_access"
"""OpenID Connect Core, section 11."""


class _Away(OIDCAuthenticationRequestView):  # type: ignore[misc]  # the library has no types
    def __init__(self, provider: Provider, flow: flows.Flow) -> None:
        self.provider, self.flow = provider, flow
        self._settings = library_settings(provider)
        super().__init__()

    def get_settings(self, attr: str, *args: Any) -> Any:
        return self._settings.get(attr, *args)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        """What the flow wants proved (OpenID Connect Core, section 3.1.2.1), and our own callback."""
        params = {"redirect_uri": callback_address(self.provider), "scope": self._scopes()}
        if self.flow.max_age is not None:
            params["max_age"] = str(self.flow.max_age)
            if self.flow.purpose != Purpose.TRIAL:
                params["prompt"] = "login"
            if self.provider.endpoints.get("claims_parameter_supported") is True:
                params["claims"] = json.dumps({"id_token": {"auth_time": {"essential": True}}})
        if self.flow.acr:
            params["acr_values"] = self.flow.acr
        return params

    def _scopes(self) -> str:
        """A refresh token is asked for where one will be kept, or shown to be given."""
        wanted = self.provider.scopes.split()
        if self.provider.ask_again_minutes and self.flow.purpose != Purpose.LINK and OFFLINE not in wanted:
            wanted.append(OFFLINE)
        return " ".join(wanted)


def begin(request: HttpRequest, provider: Provider, flow: flows.Flow) -> str:
    """The address to send the browser to. What comes back is taken only by this session, once."""
    address = str(_Away(provider, flow).get(request).url)
    request.session.pop("oidc_login_next", None)  # the library's, one for all flows; each of ours has its own
    flows.note(request.session, parse_qs(urlsplit(address).query)["state"][0], flow)
    return address
