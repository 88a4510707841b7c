from __future__ import annotations

from django.apps import AppConfig


class FirewallConfig(AppConfig):
    name = "apps.firewall"
    label = "firewall"
