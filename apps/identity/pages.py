"""What the pages of every app may count on."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from apps.audit.errors import NotAllowed
from apps.identity import selectors
from apps.identity.models import Subject


class PageRequest(HttpRequest):
    """A request of somebody signed in: the console's middleware lets no other one reach a page."""

    subject: Subject
    htmx: HtmxDetails


class RoleNeeded(NotAllowed):
    code = "role_needed"


def require_role(request: PageRequest, *roles: str) -> None:
    """Raises RoleNeeded unless whoever is signed in holds one of ``roles``."""
    if not selectors.has_role(request.subject, *roles):
        raise RoleNeeded(f"This page is for people with the role {' or '.join(roles)}.")


PAGE_SIZE = 50


def asked_text(request: HttpRequest, name: str) -> str:
    """A filter from the address: trimmed, bounded, without the one character PostgreSQL refuses."""
    return request.GET.get(name, "").replace("\x00", "").strip()[:200]
