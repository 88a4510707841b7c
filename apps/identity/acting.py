"""On whose behalf an API call acts, whether it may, and what it says."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from apps.identity import selectors
from apps.identity.freshness import Freshness, freshness_of
from apps.identity.middleware import subject_of
from apps.identity.models import Subject
from apps.identity.pages import RoleNeeded, one_of


def acting(request: Request) -> Subject:
    """The authenticated subject, from a session or an API token; raises NotAuthenticated for an account without one."""
    subject = subject_of(request.user)
    if subject is None:
        raise NotAuthenticated("Sign in, or send an API token as `Authorization: Bearer`.")
    return subject


def acting_as(request: Request, *roles: str) -> Subject:
    """Like ``acting``, of somebody who holds one of ``roles``; raises RoleNeeded."""
    subject = acting(request)
    if not selectors.has_role(subject, *roles):
        raise RoleNeeded(f"This is for people with the role {one_of(roles)}.")
    return subject


def freshness_of_call(request: Request) -> Freshness | None:
    """Of the session a call came by; None for an API token, which is no fresh sign-in."""
    return None if request.auth is not None else freshness_of(request._request)


def given(schema: type[Serializer[Any]], data: Any) -> dict[str, Any]:
    """What was sent, as ``schema`` reads it; raises ValidationError."""
    sent = schema(data=data)
    sent.is_valid(raise_exception=True)
    return dict(sent.validated_data)


def page_of(rows: QuerySet[Any], *, by: str, limit: int) -> dict[str, Any]:
    """The first ``limit`` of ``rows`` (in order of ``by``), and where the next page begins; None at the end."""
    found = list(rows[: limit + 1])
    after = getattr(found[limit - 1], by) if len(found) > limit else None
    return {"results": found[:limit], "after": after}
