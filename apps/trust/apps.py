from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from apps.trust.checks import check_edge_url


class TrustConfig(AppConfig):
    name = "apps.trust"
    label = "trust"

    def ready(self) -> None:
        register(check_edge_url, Tags.security)
