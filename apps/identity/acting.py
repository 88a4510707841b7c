"""On whose behalf an API call acts."""

from __future__ import annotations

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from apps.identity.middleware import subject_of
from apps.identity.models import Subject


def acting(request: Request) -> Subject:
    """The authenticated subject, from a session or an API token; raises NotAuthenticated for an account without one."""
    subject = subject_of(request.user)
    if subject is None:
        raise NotAuthenticated("Sign in, or send an API token as `Authorization: Bearer`.")
    return subject
