"""Many boxes, asked which of them meet a box, hold all of it, or lie inside it: each answer is a set of bits.

Every interval is kept by its ends in order, with the set of all that start (or end) before every sixteenth of them; an
answer takes a few operations on sets, whatever was asked. Time and memory: about n*n/128 bytes in all, 3 MB for 10,000
boxes, and a few microseconds an operation.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import TypeVar

from apps.firewall.rulebase.region import Box, spans_of

KeyT = TypeVar("KeyT")

STEP = 16
MOST_NAMES = 6
FEW = 64


class _Ends:
    """One end of every box's interval: which are at or below a value."""

    def __init__(self, values: Sequence[int]) -> None:
        order = sorted(range(len(values)), key=values.__getitem__)
        self._values = [values[at] for at in order]
        self._bits = [1 << at for at in order]
        self._marks = [0]
        total = 0
        for count, bit in enumerate(self._bits, 1):
            total |= bit
            if count % STEP == 0:
                self._marks.append(total)
        self._kept: dict[int, int] = {}

    def at_most(self, value: int) -> int:
        return self._first(bisect_right(self._values, value))

    def below(self, value: int) -> int:
        return self._first(bisect_left(self._values, value))

    def _first(self, count: int) -> int:
        found = self._kept.get(count)
        if found is None:
            mark = count // STEP
            found = self._marks[mark]
            for bit in self._bits[mark * STEP : count]:
                found |= bit
        return found

    def keep(self, values: Iterable[int]) -> None:
        """Remembers the few answers that are asked for all the time."""
        for value in values:
            for count in (bisect_left(self._values, value), bisect_right(self._values, value)):
                self._kept[count] = self._first(count)


class _Masks:
    """A set of bits of every box, few different ones among them."""

    def __init__(self, masks: Sequence[int]) -> None:
        self._by_mask = dict(_grouped(masks))

    def meeting(self, mask: int) -> int:
        return _union(members for one, members in self._by_mask.items() if one & mask)

    def holding(self, mask: int) -> int:
        return _union(members for one, members in self._by_mask.items() if one & mask == mask)

    def inside(self, mask: int) -> int:
        return _union(members for one, members in self._by_mask.items() if one & mask == one)


class Index:
    """Boxes are known by their place in ``boxes``; bit ``n`` of an answer is the box at place ``n``."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self.everything = (1 << len(boxes)) - 1
        self._kinds = _Masks([box.kinds for box in boxes])
        self._protocols = _Masks([box.protocols for box in boxes])
        spans = [spans_of(box) for box in boxes]
        self._ends = [(_Ends([one[at][0] for one in spans]), _Ends([one[at][1] for one in spans])) for at in range(3)]
        for lows, highs in self._ends:
            lows.keep((0, 65535, 2**32 - 1, 2**128 - 1))
            highs.keep((0, 65535, 2**32 - 1, 2**128 - 1))
        self._by_names = dict(_grouped([box.names for box in boxes]))

    def meeting(self, box: Box) -> int:
        """Those that share an address, a port and so on with it, whatever names they ask for."""
        found = self._kinds.meeting(box.kinds) & self._protocols.meeting(box.protocols)
        for (lows, highs), (low, high) in zip(self._ends, spans_of(box), strict=True):
            if not found:
                break
            found &= lows.at_most(high) & ~highs.below(low)
        return found

    def holding(self, box: Box) -> int:
        """Those that hold all of it, names left out of account."""
        found = self._kinds.holding(box.kinds) & self._protocols.holding(box.protocols)
        for (lows, highs), (low, high) in zip(self._ends, spans_of(box), strict=True):
            if not found:
                break
            found &= lows.at_most(low) & ~highs.below(high)
        return found

    def inside(self, box: Box) -> int:
        """Those that lie inside it, names left out of account."""
        found = self._kinds.inside(box.kinds) & self._protocols.inside(box.protocols)
        for (lows, highs), (low, high) in zip(self._ends, spans_of(box), strict=True):
            if not found:
                break
            found &= highs.at_most(high) & ~lows.below(low)
        return found

    def within_names(self, names: frozenset[str]) -> int:
        """Those that ask for none but these names."""
        if len(names) <= MOST_NAMES:
            subsets = (frozenset(some) for count in range(len(names) + 1) for some in combinations(names, count))
            return _union(self._by_names[some] for some in subsets if some in self._by_names)
        return _union(members for some, members in self._by_names.items() if some <= names)


def _grouped(keys: Sequence[KeyT]) -> Iterator[tuple[KeyT, int]]:
    found: dict[KeyT, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        found[key].append(at)
    for key, held in found.items():
        yield key, bits(held)


def bits(places: Iterable[int]) -> int:
    """The set of these places, made in one go."""
    held = list(places)
    if not held:
        return 0
    raw = bytearray((max(held) >> 3) + 1)
    for at in held:
        raw[at >> 3] |= 1 << (at & 7)
    return int.from_bytes(raw, "little")


def places(members: int) -> Iterator[int]:
    """The places in a set, in order."""
    if members.bit_count() <= FEW:
        while members:
            low = members & -members
            yield low.bit_length() - 1
            members ^= low
        return
    for byte, value in enumerate(members.to_bytes((members.bit_length() + 7) // 8, "little")):
        while value:
            low = value & -value
            yield byte * 8 + low.bit_length() - 1
            value ^= low


def _union(sets: Iterable[int]) -> int:
    found = 0
    for one in sets:
        found |= one
    return found
