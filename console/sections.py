"""The sections of the settings, in groups: few enough to stand in one line on a phone."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

_GROUPS = (
    ("Yours", (("tokens", "API tokens"),)),
    (
        "Who",
        (
            ("people", "People"),
            ("teams", "Teams"),
            ("workloads", "Workloads"),
            ("agents", "Agents"),
            ("parties", "Outside parties"),
        ),
    ),
    (
        "Trust",
        (
            ("providers", "Providers"),
            ("directories", "Directories"),
            ("signals", "Signals"),
            ("issuers", "Issuers"),
            ("aws", "AWS"),
        ),
    ),
    ("Policy", (("rules", "Rules"), ("guardrails", "Guardrails"), ("hosts", "Guarded hosts"))),
    ("Upkeep", (("upkeep", "Findings"), ("clean_ups", "Clean-ups"), ("standing", "Standing access"))),
    ("System", (("outbox", "Outbox"), ("sources", "Log shippers"))),
)


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


def groups(tab: str) -> list[Group]:
    """``tab`` is the name of the section shown, which is that of its address."""
    return [_group(label, names, tab) for label, names in _GROUPS]


def _group(label: str, names: tuple[tuple[str, str], ...], tab: str) -> Group:
    sections = tuple(Section(said, reverse(name), name == tab) for name, said in names)
    return Group(label, sections[0].url, any(one.here for one in sections), sections)
