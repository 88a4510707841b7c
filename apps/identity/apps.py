from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from apps.identity.checks import check_aws, check_oidc


class IdentityConfig(AppConfig):
    name = "apps.identity"
    label = "identity"

    def ready(self) -> None:
        register(check_oidc, Tags.security)
        register(check_aws, Tags.security)
