"""Django's admin, for operators who need to look underneath. It shows rows and changes none: services change things."""

from __future__ import annotations

from typing import Any, NoReturn

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import Http404, HttpRequest


class OperatorsAdminConfig(AdminConfig):
    default_site = "apps.identity.admin_site.OperatorsSite"


class OperatorsSite(AdminSite):
    """Whoever may open it, ``User.is_staff`` says. Its sign-in form takes the password of a break-glass operator."""

    site_header = "Sallyport, underneath"
    site_title = "Sallyport"
    index_title = "Read only: the console and its API change things"
    enable_nav_sidebar = False

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> NoReturn:
        """Passwords are set by ``manage.py create_operator``, which records it."""
        raise Http404
