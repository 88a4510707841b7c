"""The seven places."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Place:
    """``first`` places are in the bottom bar of a phone; the others are behind "More"."""

    label: str
    url: str
    icon: str
    first: bool
    here: bool
    count: int = 0


_PLACES = (
    ("Home", "home", "home", True),
    ("Catalogue", "catalogue", "catalogue", True),
    ("Requests", "requests", "requests", True),
    ("Live", "live", "live", True),
    ("Rollout", "rollout", "rollout", False),
    ("Audit", "audit", "audit", False),
    ("Settings", "settings", "settings", False),
)


def places(path: str, waiting: int) -> list[Place]:
    """``path`` is the page shown, ``waiting`` how many requests wait for whoever looks."""
    found = []
    for label, name, icon, first in _PLACES:
        url = reverse(name)
        here = path == url or (url != "/" and path.startswith(url))
        found.append(Place(label, url, icon, first, here, waiting if name == "requests" else 0))
    return found
