"""Distinct people for distinct needs."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.access.matching import assign


def test_one_person_fills_one_slot() -> None:
    assert assign([["ben"], ["ben"]]) == {0: "ben"}


def test_whoever_fits_both_moves_over_for_whoever_fits_one() -> None:
    assert assign([["ben", "cyd"], ["ben"]]) == {0: "cyd", 1: "ben"}


def test_nobody_for_nothing() -> None:
    assert assign([]) == {}
    assert assign([[], ["ben"]]) == {1: "ben"}


PEOPLE = "abcde"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PEOPLE), unique=True, max_size=4), max_size=5))
def test_it_is_a_largest_assignment_of_distinct_candidates(slots: list[list[str]]) -> None:
    found = assign(slots)
    assert len(set(found.values())) == len(found)
    assert all(who in slots[slot] for slot, who in found.items())
    everybody = [*PEOPLE, *[None] * len(slots)]
    best = max(
        sum(who in slots[slot] for slot, who in enumerate(order)) for order in set(permutations(everybody, len(slots)))
    )
    assert len(found) == best
