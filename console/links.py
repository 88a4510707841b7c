"""Where a thing named in the record or in a message can be looked at."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse

_PAGES = {
    "access.request": "request",
    "access.grant": "grant",
    "catalog.service": "service",
    "identity.subject": "subject",
    "rollout.target": "target",
}


def link_of(target_type: str, target_id: str) -> str:
    """The address of its page; empty when it has none."""
    name = _PAGES.get(target_type)
    try:
        return reverse(name, args=[target_id]) if name and target_id else ""
    except NoReverseMatch:
        return ""
