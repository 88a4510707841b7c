from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from apps.identity.checks import check_aws


class IdentityConfig(AppConfig):
    name = "apps.identity"
    label = "identity"

    def ready(self) -> None:
        register(check_aws, Tags.security)
