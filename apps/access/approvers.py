"""Who may decide: the people a requirement names, and how far the answers given so far carry.

Suspended people never count: identity's lists hold active people only, and they are asked again at every decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from apps.access.matching import assign
from apps.access.models import SelectorKind
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject


class Selector(Protocol):
    """A requirement, stored or just resolved."""

    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Person:
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Progress:
    """``answered`` are those whose approval fills this requirement; ``waiting`` those who may still answer it."""

    count: int
    answered: tuple[Person, ...]
    waiting: tuple[Person, ...]

    @property
    def is_met(self) -> bool:
        return len(self.answered) >= self.count


def people_named(selectors: Sequence[Selector]) -> list[dict[str, Person]]:
    """The active people each requirement names, by key. One query for all of them."""
    roles = {one.value for one in selectors if one.kind == SelectorKind.ROLE}
    teams = {one.value for one in selectors if one.kind != SelectorKind.ROLE}
    found = identity.list_named(roles=roles, teams=teams)
    return [{who.key: Person(who.key, who.name) for who in found if _names(one, who)} for one in selectors]


def _names(selector: Selector, who: identity.Named) -> bool:
    if selector.kind == SelectorKind.ROLE:
        return who.role == selector.value
    return who.team == selector.value and (who.owns or selector.kind == SelectorKind.TEAM)


def barred(*parties: Subject) -> frozenset[str]:
    """The keys of those who may not decide: whoever asks, whom it is for, and the owners of agents among them."""
    owners = (one.owner for one in parties if one.owner is not None)
    return frozenset(one.key for one in (*parties, *owners))


def candidates(selectors: Sequence[Selector], excluded: Collection[str]) -> list[dict[str, Person]]:
    """Per requirement those who may decide it."""
    named = people_named(selectors)
    return [{key: who for key, who in people.items() if key not in excluded} for people in named]


def missing(selectors: Sequence[Selector], able: Sequence[Mapping[str, Person]]) -> list[Selector]:
    """The requirements that could not be met even if everybody able said yes, with nobody counted twice."""
    filled = _fill(selectors, able)
    return [selector for index, selector in enumerate(selectors) if len(filled[index]) < selector.count]


def progress(
    selectors: Sequence[Selector], able: Sequence[Mapping[str, Person]], approved: Collection[str]
) -> list[Progress]:
    """How far ``approved`` (keys, in the order of their answers) fills each requirement.

    Whoever fits several fills the one with the fewest people, so that those who wait are those who can help.
    """
    scarce_first = sorted(range(len(selectors)), key=lambda index: len(able[index]))
    said_yes = [{key: able[index][key] for key in approved if key in able[index]} for index in scarce_first]
    filled_in_order = _fill([selectors[index] for index in scarce_first], said_yes)
    filled = dict(zip(scarce_first, filled_in_order, strict=True))
    return [
        Progress(
            count=selector.count,
            answered=tuple(people[key] for key in filled[index]),
            waiting=tuple(who for key, who in people.items() if key not in approved),
        )
        for index, (selector, people) in enumerate(zip(selectors, able, strict=True))
    ]


def _fill(selectors: Sequence[Selector], able: Sequence[Mapping[str, Person]]) -> list[list[str]]:
    """Keys that fill each requirement in a largest assignment of distinct people."""
    owners = [index for index, selector in enumerate(selectors) for _ in range(selector.count)]
    assigned = assign([list(able[index]) for index in owners])
    filled: list[list[str]] = [[] for _ in selectors]
    for slot, key in sorted(assigned.items()):
        filled[owners[slot]].append(key)
    return filled
