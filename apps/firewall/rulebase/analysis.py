"""What is wrong with a rule base: lines that do nothing, that quarrel, that open too much, that nobody uses or knows.

Pure. What is said of lines covering one another is exact, for every packet and whatever the names stand for; what could
not be decided within the work allowed is listed, not guessed. 10,000 lines take seconds: each line is compared with
the few an index finds near it, never with all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

from apps.firewall.lines import Action, Direction, Line
from apps.firewall.rulebase.base import Base, Rule, Semantics, Undecided
from apps.firewall.rulebase.findings import (
    MOST_INVOLVED,
    Analysis,
    Code,
    Finding,
    acting,
    lines_words,
    past,
    sentence,
    verb,
)
from apps.firewall.rulebase.region import Box, is_name
from apps.firewall.rulebase.width import width_words

MOST_RIVALS = 100


def analyse(
    lines: Sequence[Line],
    *,
    semantics: Semantics = Semantics.FIRST_MATCH,
    defaults: Iterable[tuple[Direction, Action]] = (),
    known: Collection[str] | None = None,
    today: date | None = None,
) -> Analysis:
    """``known`` are the names somebody can explain; None when nobody was asked. ``today`` tells what has expired."""
    base = Base(lines, semantics, defaults)
    survey = _Survey(base)
    survey.run()
    found = [*survey.findings, *_single(base.rules, known, today)]
    order = {code: place for place, code in enumerate(Code)}
    found.sort(key=lambda finding: (finding.number, order[finding.code]))
    return Analysis(tuple(dict.fromkeys(found)), tuple(sorted(survey.undecided)), len(base.rules))


class _Survey:
    """The findings that come of comparing rules. ``kept`` are the boxes of rules not yet found superfluous."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.findings: list[Finding] = []
        self.undecided: set[int] = set()
        self.kept = base.everything
        self._places: dict[int, list[Rule]] = defaultdict(list)
        for rule in base.rules:
            self._places[rule.number].append(rule)
        self._alike: dict[tuple[frozenset[Box], Action], Rule] = {}

    def run(self) -> None:
        if self.base.semantics is Semantics.FIRST_MATCH:
            self._dead()
            self._quarrels()
        else:
            self._impossible()
        self._superfluous()

    def _note(self, code: Code, rule: Rule, involved: Iterable[Rule], said: str) -> None:
        numbers = tuple(dict.fromkeys(one.number for one in involved if one.number != rule.number))
        self.findings.append(Finding(code, rule.number, numbers[:MOST_INVOLVED], said))

    def _dead(self) -> None:
        """Rules to which nothing comes, first to last: each is held against those before it that something comes to."""
        dead: set[int] = set()
        for rule in self.base.rules:
            try:
                gone = self.base.is_dead(rule, self.kept)
            except Undecided:
                self.undecided.add(rule.number)
                continue
            if gone:
                dead.add(rule.place)
                self.kept &= ~rule.own
            else:
                self._alike.setdefault((frozenset(self.base.boxes_of(rule)), rule.action), rule)
        for rules in self._places.values():
            if all(rule.place in dead for rule in rules):
                self._explain_dead(rules[0])

    def _impossible(self) -> None:
        for rules in self._places.values():
            if all(rule.first == rule.last for rule in rules):
                self._explain_dead(rules[0])

    def _explain_dead(self, rule: Rule) -> None:
        boxes = self.base.boxes_of(rule)
        if not boxes:
            self._note(Code.SHADOWED, rule, (), "Its two ends are of different families of addresses: nothing is both.")
            return
        twin = self._alike.get((frozenset(boxes), rule.action))
        if twin is not None and twin.place < rule.place:
            self._note(Code.DUPLICATE, rule, (twin,), f"Line {twin.number} says exactly the same.")
            return
        rival = self._alike.get((frozenset(boxes), opposite(rule.action)))
        if rival is not None and rival.place < rule.place:
            said = f"Line {rival.number} says the opposite of exactly the same traffic, and comes first."
            self._note(Code.CONTRADICTORY, rule, (rival,), said)
        deciders = self.base.deciders(boxes, self.kept & rule.before)
        others = [one for one in deciders if one.action is not rule.action]
        if not others:
            said = f"{sentence(lines_words(numbers_of(deciders)))} already {_verb_of(rule, deciders)} all of it."
            self._note(Code.REDUNDANT, rule, deciders, said)
            return
        said = f"It never {verb(rule.action, many=False)} anything: {acting(numbers_of(others), opposite(rule.action))}"
        rest = "all of it" if len(others) == len(deciders) else "a part of it, and lines that say the same the rest,"
        self._note(Code.SHADOWED, rule, deciders, f"{said} {rest} earlier.")

    def _superfluous(self) -> None:
        """Rules that may go because others say the same, last to first; each is tried with those that stay."""
        for number in sorted(self._places, key=lambda number: -self._places[number][-1].place):
            alive = [rule for rule in self._places[number] if rule.own & self.kept]
            if not alive or (number in self.undecided and len(alive) > 1):
                continue
            self._try_without(number, alive)

    def _try_without(self, number: int, alive: list[Rule]) -> None:
        kept = self.kept
        try:
            for rule in reversed(alive):
                kept &= ~rule.own
                if self.base.change(rule, kept) is not None:
                    return
        except Undecided:
            self.undecided.add(number)
            return
        self.kept = kept
        self.undecided.discard(number)
        self._explain_superfluous(alive[0])

    def _explain_superfluous(self, rule: Rule) -> None:
        base, boxes = self.base, self.base.boxes_of(rule)
        if base.semantics is Semantics.ADDITIVE and rule.action is Action.DENY:
            self._note(Code.REDUNDANT, rule, (), "What no line allows is denied anyway; a denial adds nothing.")
            return
        among = self.kept & (base.allowing if base.semantics is Semantics.ADDITIVE else ~rule.before)
        twins = base.rules_of(base.index.holding(boxes[0]) & base.index.inside(boxes[0]) & among)
        same = [one for one in twins if set(base.boxes_of(one)) == set(boxes)]
        if same and base.semantics is Semantics.ADDITIVE:
            self._note(Code.DUPLICATE, rule, same[:1], f"Line {same[0].number} says exactly the same.")
            return
        deciders = [one for one in base.deciders(boxes, among) if one.action is rule.action]
        if not deciders:
            said = f"It {verb(rule.action, many=False)} what would be {past(rule.action)} anyway."
        else:
            named = sentence(lines_words(numbers_of(deciders)))
            said = f"{named} would {verb(rule.action, many=True)} the same without it."
        self._note(Code.REDUNDANT, rule, deciders, said)

    def _quarrels(self) -> None:
        """Pairs of opposite rules that overlap and neither holds the other: an exception would lie inside its rule."""
        for rule in self.base.rules:
            if rule.own & self.kept:
                rivals = list(self._rivals(rule))
                if rivals:
                    crossing = sentence(acting(numbers_of(rivals), opposite(rule.action)))
                    order = "comes" if len(rivals) == 1 else "come"
                    said = f"{crossing} a part of what this would {verb(rule.action, many=True)}, and {order} first."
                    self._note(Code.CONTRADICTORY, rule, rivals, said)

    def _rivals(self, rule: Rule) -> Iterator[Rule]:
        base = self.base
        opposed = base.everything & ~base.allowing if rule.action is Action.ALLOW else base.allowing
        candidates = 0
        for box in base.boxes_of(rule):
            near = base.index.meeting(box) & opposed & self.kept & rule.before
            near &= ~base.index.inside(box)
            candidates |= near & ~base.index.holding(box)
        names = base.boxes[rule.first].names
        count = 0
        for other in base.rules_of(candidates)[:MOST_RIVALS]:
            theirs = base.boxes[other.first].names
            if count < 5 and (theirs <= names or names <= theirs) and self._overlap_apart(rule, other):
                count += 1
                yield other

    def _overlap_apart(self, rule: Rule, other: Rule) -> bool:
        try:
            return not self.base.covers(rule, other) and not self.base.covers(other, rule)
        except Undecided:
            return False


def _single(rules: Sequence[Rule], known: Collection[str] | None, today: date | None) -> Iterator[Finding]:
    """What can be said of a line by itself."""
    counted = any(line.hits for rule in rules for line in rule.lines)
    seen: set[int] = set()
    for rule in rules:
        if rule.number in seen:
            continue
        seen.add(rule.number)
        first = rule.lines[0]
        if rule.action is Action.ALLOW and (words := next(filter(None, map(width_words, rule.lines)), "")):
            yield Finding(Code.TOO_WIDE, rule.number, (), words)
        if counted and first.hits == 0:
            yield Finding(Code.NEVER_HIT, rule.number, (), "It counted no packet, while other lines did.")
        if today is not None and first.until is not None and first.until < today:
            yield Finding(Code.EXPIRED, rule.number, (), f"Its last day was {first.until.isoformat()}.")
        if known is not None and (unknown := _unknown(rule.lines, known)):
            yield Finding(Code.ORPHANED, rule.number, (), f"Nobody here knows {', '.join(unknown[:5])}.")


def _unknown(lines: Iterable[Line], known: Collection[str]) -> list[str]:
    ends = dict.fromkeys(end for line in lines for end in (line.source, line.destination))
    return [end for end in ends if is_name(end) and end not in known and end.lower() not in known]


def opposite(action: Action) -> Action:
    return Action.DENY if action is Action.ALLOW else Action.ALLOW


def numbers_of(rules: Iterable[Rule]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(one.number for one in rules))


def _verb_of(rule: Rule, deciders: Sequence[Rule]) -> str:
    return verb(rule.action, many=len(numbers_of(deciders)) > 1)
