"""The site behind Django's admin, apart from its configuration, which is read before there are models."""

from __future__ import annotations

from typing import Any, NoReturn

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from apps.identity.middleware import subject_of
from apps.identity.services import remember_session
from apps.identity.views.sessions import saved_key


class OperatorsSite(AdminSite):
    """Whoever may open it, ``User.is_staff`` says. Its sign-in form takes the password of a break-glass operator."""

    site_header = "Sallyport, underneath"
    site_title = "Sallyport"
    index_title = "Read only: the console and its API change things"
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As Django does it, and the session is written down, so that it can be ended like any other."""
        answer = super().login(request, extra_context)
        subject = subject_of(getattr(request, "user", None))
        if request.method == "POST" and answer.status_code == 302 and subject is not None:
            at = timezone.now()  # noqa: TID251 - a view
            remember_session(subject=subject, session_key=saved_key(request), at=at)
        return answer

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> NoReturn:
        """Passwords are set by ``manage.py create_operator``, which records it."""
        raise Http404
