"""Every request knows which subject is behind it."""

from __future__ import annotations

from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from apps.identity.entering import ASKS_AGAIN
from apps.identity.models import Subject, User
from apps.identity.nearby import read_once
from apps.identity.services import note_use

USE_NOTED_EVERY = 60


class SubjectMiddleware(MiddlewareMixin):
    """Sets ``request.subject``: the signed-in, active subject, or None.

    A suspended subject is nobody from the next request on; API tokens set theirs when the API
    authenticates them.
    """

    def process_request(self, request: HttpRequest) -> None:
        subject = subject_of(request.user)
        request.subject = subject  # type: ignore[attr-defined]  # this is where it is added
        if subject is not None:
            read_once(subject, getattr(request.user, "held_roles", None))
            _note_use(request)


def _note_use(request: HttpRequest) -> None:
    """Once a minute, and of sessions about which a provider is asked again. The process remembers what it has noted."""
    key = request.session.session_key
    if key and request.session.get(ASKS_AGAIN) and cache.add(f"session-used:{key}", True, USE_NOTED_EVERY):
        note_use(session_key=key, at=timezone.now())


def subject_of(user: object) -> Subject | None:
    return user.subject if isinstance(user, User) and user.is_active else None
