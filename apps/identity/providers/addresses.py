"""This console's own addresses as a provider has to know them: of SALLYPORT_URL, never of whatever a browser called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import reverse

if TYPE_CHECKING:
    from apps.identity.models import Provider


def callback_address(provider: Provider) -> str:
    return _absolute("oidc_callback", provider.slug)


def signed_out_address() -> str:
    return _absolute("sign_in")


def addresses_of(slug: str) -> dict[str, str]:
    """What is pasted into the provider, by the names the guides use."""
    return {
        "callback": _absolute("oidc_callback", slug),
        "signed_out": signed_out_address(),
        "backchannel": _absolute("oidc_backchannel_logout", slug),
        "keys": _absolute("oidc_jwks", slug),
    }


def _absolute(name: str, *args: str) -> str:
    return settings.SALLYPORT_URL + reverse(name, args=args)
