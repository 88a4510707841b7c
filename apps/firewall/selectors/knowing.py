"""Which of the names in a rule base mean something here."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from apps.catalog import selectors as catalog
from apps.firewall.rulebase.region import is_name
from apps.identity import selectors as identity


def known_names(ends: Iterable[str]) -> frozenset[str]:
    """Of these ends the ones that are a service (by slug, title or upstream name) or somebody (by key or name)."""
    names = {end for end in ends if is_name(end)}
    if not names:
        return frozenset()
    wanted = names | {name.lower() for name in names}
    services = catalog.list_living_services().filter(
        Q(slug__in=wanted) | Q(title__in=wanted) | Q(upstream_name__in=wanted)
    )
    subjects = identity.list_subjects().filter(Q(key__in=wanted) | Q(name__in=wanted))
    found: set[str] = set()
    for row in (*services.values_list("slug", "title", "upstream_name"), *subjects.values_list("key", "name")):
        found.update(value for value in row if value)
    return frozenset(name for name in names if name in found or name.lower() in found)
