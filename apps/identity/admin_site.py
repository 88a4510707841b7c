"""Django's admin, for operators who need to look underneath. It shows rows and changes none: services change things."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class OperatorsAdminConfig(AdminConfig):
    default_site = "apps.identity.operators_site.OperatorsSite"
