"""Django's admin as operators meet it: rows to look at, and the break-glass door."""

from __future__ import annotations

from typing import Any, NoReturn

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from apps.identity import services
from apps.identity.models import User


class OperatorsSite(AdminSite):
    """Whoever may open it, ``User.is_staff`` says. Its sign-in form takes the password of a break-glass operator."""

    site_header = "Sallyport, underneath"
    site_title = "Sallyport"
    index_title = "Read only: the console and its API change things"
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As Django does it, and noted like every other way in, so that it can be ended like every other."""
        before = request.session.session_key or ""
        answer = super().login(request, extra_context)
        key = request.session.session_key or ""
        if request.method == "POST" and isinstance(request.user, User) and key not in {"", before}:
            at = timezone.now()
            services.note_sign_in(subject=request.user.subject, way="password", session_key=key, at=at, replaces=before)
        return answer

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> NoReturn:
        """Passwords are set by ``manage.py create_operator``, which records it."""
        raise Http404
