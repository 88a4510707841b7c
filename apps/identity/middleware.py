"""Every request knows which subject is behind it."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from apps.identity.models import Subject, User
from apps.identity.nearby import read_once


class SubjectMiddleware(MiddlewareMixin):
    """Sets ``request.subject``: the signed-in, active subject, or None.

    A suspended subject is nobody from the next request on; API tokens set theirs when the API
    authenticates them.
    """

    def process_request(self, request: HttpRequest) -> None:
        request.subject = subject_of(request.user)  # type: ignore[attr-defined]  # this is where it is added
        if request.subject is not None:  # type: ignore[attr-defined]  # added above
            read_once(request.subject)  # type: ignore[attr-defined]  # added above


def subject_of(user: object) -> Subject | None:
    return user.subject if isinstance(user, User) and user.is_active else None
