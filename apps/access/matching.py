"""Distinct people for distinct needs: a bipartite matching, so that one person never fills two requirements."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

Who = TypeVar("Who", bound=Hashable)


def assign(slots: Sequence[Collection[Who]]) -> dict[int, Who]:
    """A largest assignment of candidates to slots, nobody twice. ``slots[i]`` holds those who may fill slot ``i``.

    Deterministic: candidates are tried in the order given. A slot without an entry could not be filled.
    """
    taken: dict[Who, int] = {}
    for slot in range(len(slots)):
        _place(slot, slots, taken, set())
    return {slot: who for who, slot in taken.items()}


def _place(slot: int, slots: Sequence[Collection[Who]], taken: dict[Who, int], seen: set[Who]) -> bool:
    """Find somebody for ``slot``, moving those already placed to another slot where they fit."""
    for who in slots[slot]:
        if who in seen:
            continue
        seen.add(who)
        if who not in taken or _place(taken[who], slots, taken, seen):
            taken[who] = slot
            return True
    return False
