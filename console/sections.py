"""The sections of the settings, in groups: few enough to stand in one line on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse

from apps.identity import selectors
from apps.identity.views import aws
from apps.rollout.policies import KEEPERS
from console.pages import outbox, signals

if TYPE_CHECKING:
    from apps.identity.models import Role, Subject

Roles = Sequence[str]

EVERYBODY: Roles = ()
ADMINISTRATORS: Roles = ("administrator",)

GROUPS: tuple[tuple[str, tuple[tuple[str, str, Roles], ...]], ...] = (
    ("Yours", (("tokens", "API tokens", EVERYBODY),)),
    (
        "Who",
        (
            ("people", "People", EVERYBODY),
            ("teams", "Teams", EVERYBODY),
            ("workloads", "Workloads", EVERYBODY),
            ("agents", "Agents", EVERYBODY),
            ("parties", "Outside parties", EVERYBODY),
        ),
    ),
    (
        "Trust",
        (
            ("providers", "Providers", ADMINISTRATORS),
            ("directories", "Directories", ADMINISTRATORS),
            ("signals", "Signals", signals.READERS),
            ("issuers", "Issuers", EVERYBODY),
            ("aws", "AWS", aws.WATCHERS),
        ),
    ),
    (
        "Policy",
        (("rules", "Rules", EVERYBODY), ("guardrails", "Guardrails", EVERYBODY), ("hosts", "Guarded hosts", EVERYBODY)),
    ),
    (
        "Upkeep",
        (
            ("upkeep", "Findings", EVERYBODY),
            ("clean_ups", "Clean-ups", EVERYBODY),
            ("standing", "Standing access", EVERYBODY),
        ),
    ),
    (
        "System",
        (
            ("outbox", "Outbox", outbox.KEEPERS),
            ("sources", "Log shippers", KEEPERS),
            ("gallery", "Components", outbox.KEEPERS),
        ),
    ),
)
"""Per section its address's name, its label, and who is let in there: nobody is shown a way to be turned away."""


@dataclass(frozen=True, slots=True)
class Section:
    """One page of the settings. ``here`` says that it is shown."""

    label: str
    url: str
    here: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Sections that belong together. It leads to its first one."""

    label: str
    url: str
    here: bool
    sections: tuple[Section, ...]


def groups(tab: str, viewer: Subject) -> list[Group]:
    """What ``viewer`` may open. ``tab`` is the name of the section shown, which is that of its address."""
    roles = selectors.roles_of(viewer)
    found = (_group(label, named, tab, roles) for label, named in GROUPS)
    return [group for group in found if group is not None]


def _group(label: str, named: tuple[tuple[str, str, Roles], ...], tab: str, roles: frozenset[Role]) -> Group | None:
    sections = tuple(
        Section(said, reverse(name), name == tab)
        for name, said, needed in named
        if not needed or not roles.isdisjoint(needed)
    )
    return Group(label, sections[0].url, any(one.here for one in sections), sections) if sections else None
