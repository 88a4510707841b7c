"""Configuration that would only fail when somebody signs in fails at start instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

NEEDED = {
    "OIDC_OP_ISSUER": "SALLYPORT_OIDC_ISSUER",
    "OIDC_RP_CLIENT_SECRET": "SALLYPORT_OIDC_CLIENT_SECRET",
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "SALLYPORT_OIDC_AUTHORIZATION_ENDPOINT",
    "OIDC_OP_TOKEN_ENDPOINT": "SALLYPORT_OIDC_TOKEN_ENDPOINT",
    "OIDC_OP_JWKS_ENDPOINT": "SALLYPORT_OIDC_JWKS_ENDPOINT",
}
SAFE_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}


def check_oidc(app_configs: Sequence[Any] | None = None, **_: object) -> list[CheckMessage]:
    """Single sign-on is off without a client id; with one, everything it needs must be there."""
    if not settings.OIDC_RP_CLIENT_ID:
        return []
    found: list[CheckMessage] = [
        Error(f"{variable} is needed because SALLYPORT_OIDC_CLIENT_ID is set.", id="identity.E001")
        for setting, variable in NEEDED.items()
        if not getattr(settings, setting)
    ]
    if not settings.OIDC_ALGORITHMS or set(settings.OIDC_ALGORITHMS) - SAFE_ALGORITHMS:
        hint = f"Choose from {', '.join(sorted(SAFE_ALGORITHMS))}."
        found.append(Error("SALLYPORT_OIDC_ALGORITHMS holds none or an unsafe one.", hint=hint, id="identity.E002"))
    return found


REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def check_aws(app_configs: Sequence[Any] | None = None, **_: object) -> list[CheckMessage]:
    """What AWS says of a signature decides who somebody is: nobody on the way may say it instead."""
    found: list[CheckMessage] = []
    address = settings.SALLYPORT_AWS_STS_URL
    if address and not address.startswith("https://") and not settings.SALLYPORT_PLAIN_HTTP:
        found.append(Error("SALLYPORT_AWS_STS_URL must begin with https://.", id="identity.E010"))
    strange = [region for region in settings.SALLYPORT_AWS_REGIONS if not REGION.fullmatch(region)]
    if strange:
        hint = "They are like eu-central-1, with commas between them."
        found.append(Error(f"SALLYPORT_AWS_REGIONS holds {', '.join(strange)}.", hint=hint, id="identity.E011"))
    if settings.SALLYPORT_TOKENS_PER_MINUTE < 1:
        found.append(Error("SALLYPORT_TOKENS_PER_MINUTE must be 1 or more.", id="identity.E012"))
    return found
