"""The seven places."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Place:
    """``first`` places are in the bottom bar of a phone; the others are behind "More"."""

    name: str
    label: str
    url: str
    first: bool
    here: bool


_PLACES = (
    ("home", "Home", True),
    ("catalogue", "Catalogue", True),
    ("requests", "Requests", True),
    ("live", "Live", True),
    ("rollout", "Rollout", False),
    ("audit", "Audit", False),
    ("settings", "Settings", False),
)

_UNDER = {"requests": "/firewall/"}
"""What else belongs to a place."""


def places(path: str) -> list[Place]:
    """``path`` is the page shown."""
    found = []
    for name, label, first in _PLACES:
        url = reverse(name)
        here = path == url or (url != "/" and path.startswith((url, _UNDER.get(name, url))))
        found.append(Place(name, label, url, first, here))
    return found
