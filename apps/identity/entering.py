"""The moment somebody is let in: a session with a new key, and a note of where it came from."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest

from apps.identity import services
from apps.identity.errors import Suspended
from apps.identity.models import Subject
from apps.identity.providers.claims import Proved

ASKS_AGAIN = "asks_again"
"""In a session about which its provider is asked again: of such a one it is noted that it is used."""

BACKEND = "django.contrib.auth.backends.ModelBackend"


def enter(request: HttpRequest, subject: Subject, *, way: str, at: datetime, proved: Proved | None = None) -> None:
    """Sign ``subject`` in. The key changes even when it is the same person again: the old one proved less.

    The session ends at a fixed moment, whatever is written into it until then.
    """
    if not subject.is_active:
        raise Suspended
    before = request.session.session_key or ""
    login(request, services.ensure_user(subject), backend=BACKEND)
    if request.session.session_key == before:
        request.session.cycle_key()
    request.session.set_expiry(at + timedelta(seconds=settings.SESSION_COOKIE_AGE))
    request.session[ASKS_AGAIN] = proved is not None and proved.refresh_token != ""
    if not request.session.session_key:
        request.session.create()
    key = request.session.session_key or ""
    services.note_sign_in(subject=subject, way=way, session_key=key, at=at, proved=proved, replaces=before)
