"""A rule base as something that can be asked: what decides a packet, what covers a rule, what taking one out changes.

Every answer is exact for every packet and whatever the names stand for; when finding it would take more than the work
allowed, `Undecided` is raised and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from apps.firewall.lines import COUNTING, Action, Direction, Line
from apps.firewall.rulebase.index import Index, bits, places
from apps.firewall.rulebase.region import WAY_MASKS, Box, Packet, as_box, boxes_of, first_packet, meet, minus, size

MOST_PIECES = 2_000
MOST_WORK = 150_000
FEW_PIECES = 20
"""What one answer may take; what all together may; and what one may still take after that."""
MOST_BOXES = 30_000
FEW_HOLES = 24


class Semantics(StrEnum):
    """How the lines are asked: from the top until one speaks, or all of them, and any that allows is enough."""

    FIRST_MATCH = "first_match"
    ADDITIVE = "additive"


class Undecided(Exception):
    """The answer would take more work than is allowed, or depends on what was asked before."""


class TooManyBoxes(ValueError):
    """The lines speak of more ranges than are kept at once."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Lines that were written as one, at one place in the order. ``first`` up to ``last`` are its boxes."""

    place: int
    number: int
    action: Action
    lines: tuple[Line, ...]
    first: int
    last: int

    @property
    def own(self) -> int:
        """Its boxes, as a set."""
        return (1 << self.last) - (1 << self.first)

    @property
    def counts(self) -> bool:
        """Being asked has an effect of its own, which nobody here follows."""
        return any(COUNTING in condition for line in self.lines for condition in line.conditions)

    @property
    def before(self) -> int:
        """Every box asked earlier."""
        return (1 << self.first) - 1


class Base:
    """``lines`` in the order in which they are asked; those of one number that stand together are one rule."""

    def __init__(
        self,
        lines: Sequence[Line],
        semantics: Semantics = Semantics.FIRST_MATCH,
        defaults: Iterable[tuple[Direction, Action]] = (),
    ) -> None:
        self.semantics = semantics
        self.rules: list[Rule] = []
        self.boxes: list[Box] = []
        self._owner: list[Rule] = []
        for (number, action), group in groupby(lines, key=lambda line: (line.number, line.action)):
            self._add(number, action, tuple(group))
        self.index = Index(self.boxes)
        self.allowing = bits(at for at, rule in enumerate(self._owner) if rule.action is Action.ALLOW)
        self.everything = self.index.everything
        self._allowed_ways = 0
        if semantics is Semantics.FIRST_MATCH:
            for way, action in defaults:
                self._allowed_ways |= WAY_MASKS.get(way, 0) if action is Action.ALLOW else 0
        self._work = 0

    def _add(self, number: int, action: Action, lines: tuple[Line, ...]) -> None:
        first = len(self.boxes)
        self.boxes.extend(dict.fromkeys(box for line in lines for box in boxes_of(line)))
        if len(self.boxes) > MOST_BOXES:
            raise TooManyBoxes(f"The lines speak of more than {MOST_BOXES} ranges.")
        rule = Rule(len(self.rules), number, action, lines, first, len(self.boxes))
        self.rules.append(rule)
        self._owner.extend([rule] * (rule.last - rule.first))

    def boxes_of(self, rule: Rule) -> list[Box]:
        return self.boxes[rule.first : rule.last]

    def rules_of(self, members: int) -> list[Rule]:
        """The rules these boxes are of, in order."""
        return list({self._owner[at].place: self._owner[at] for at in places(members)}.values())

    def default(self, packet: Packet) -> Action:
        return Action.ALLOW if packet.kind & self._allowed_ways else Action.DENY

    def decide(self, packet: Packet, kept: int) -> Action:
        """What the boxes in ``kept`` make of a packet."""
        found = self.index.meeting(as_box(packet)) & self.index.within_names(packet.names) & kept
        if self.semantics is Semantics.ADDITIVE:
            return Action.ALLOW if found & self.allowing else Action.DENY
        return self._owner[(found & -found).bit_length() - 1].action if found else self.default(packet)

    def uncovered(self, box: Box, among: int) -> Packet | None:
        """A packet of the box that none of ``among`` holds; None when they hold it all. Raises Undecided."""
        among &= self.index.within_names(box.names)
        waiting, pieces = [box], 0
        while waiting:
            piece = waiting.pop()
            found = self.index.meeting(piece) & among
            if not found:
                return first_packet(piece)
            if self.index.holding(piece) & found:
                continue
            pieces += 1
            self._spend(pieces)
            waiting.extend(minus(piece, self._widest(piece, found)))
        return None

    def _spend(self, steps: int) -> None:
        self._work += 1
        if steps > (MOST_PIECES if self._work <= MOST_WORK else FEW_PIECES):
            raise Undecided

    def _widest(self, piece: Box, found: int) -> Box:
        """The hole that takes most out of the piece, of the first few."""
        best, most = None, 0
        for count, at in enumerate(places(found)):
            if count >= FEW_HOLES:
                break
            common = meet(piece, self.boxes[at])
            if common is not None and size(common) > most:
                best, most = self.boxes[at], size(common)
        assert best is not None  # noqa: S101 each of them meets the piece
        return best

    def deciders(self, boxes: Iterable[Box], among: int, most: int = 200) -> list[Rule]:
        """The rules among these that decide some packet of the boxes, in order; some when there are very many."""
        used: set[int] = set()
        waiting, pieces = list(boxes), 0
        most = most if self._work <= MOST_WORK else FEW_PIECES
        while waiting and pieces < most:
            piece = waiting.pop()
            pieces += 1
            self._work += 1
            found = self.index.meeting(piece) & among & self.index.within_names(piece.names)
            if found:
                at = (found & -found).bit_length() - 1
                used.add(at)
                waiting.extend(minus(piece, self.boxes[at]))
        return self.rules_of(bits(used))

    def is_dead(self, rule: Rule, among: int) -> bool:
        """Whether those of ``among`` that are asked earlier leave nothing to it. Raises Undecided."""
        return all(self.uncovered(box, among & rule.before) is None for box in self.boxes_of(rule))

    def covers(self, wide: Rule, narrow: Rule) -> bool:
        return all(self.uncovered(box, wide.own) is None for box in self.boxes_of(narrow))

    def change(self, rule: Rule, kept: int) -> Packet | None:
        """A packet this rule decides, and which ``kept`` would decide otherwise; None when there is none.

        The rule itself is not among ``kept``. Raises Undecided.
        """
        kept &= ~rule.own
        if self.semantics is Semantics.ADDITIVE:
            allowing = kept & self.allowing
            boxes = self.boxes_of(rule) if rule.action is Action.ALLOW else []
            return next((packet for box in boxes if (packet := self.uncovered(box, allowing)) is not None), None)
        return next((packet for box in self.boxes_of(rule) for packet in self._changed(rule, box, kept)), None)

    def _changed(self, rule: Rule, box: Box, kept: int) -> Iterator[Packet]:
        reached = self.uncovered(box, rule.before)
        if reached is None:
            return
        if rule.counts:
            raise Undecided
        later = kept & ~rule.before
        if self.decide(reached, later) is not rule.action:
            yield reached
            return
        opposed = self.everything & ~self.allowing if rule.action is Action.ALLOW else self.allowing
        for count, other in enumerate(places(self.index.meeting(box) & opposed & later)):
            self._spend(count)
            common = meet(box, self.boxes[other])
            found = self.uncovered(common, rule.before | (later & ((1 << other) - 1))) if common else None
            if found is not None:
                yield found
                return
        yield from self._left_to_default(rule, box, later)

    def _left_to_default(self, rule: Rule, box: Box, later: int) -> Iterator[Packet]:
        others = ~self._allowed_ways if rule.action is Action.ALLOW else self._allowed_ways
        if box.kinds & others:
            found = self.uncovered(box._replace(kinds=box.kinds & others), rule.before | later)
            if found is not None:
                yield found


def numbered(rules: Iterable[Rule], numbers: Collection[int]) -> int:
    """The boxes of the rules of these numbers."""
    found = 0
    for rule in rules:
        if rule.number in numbers:
            found |= rule.own
    return found
