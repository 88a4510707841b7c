"""What ``iptables-save`` and ``iptables -S`` print: the chains of the filter table, laid flat as they are asked.

Source of the meaning: iptables(8), iptables-save(8), iptables-extensions(8). A match that nobody here computes (an
interface, a rate, a set) stays with its line as a condition that may hold or not, so nothing is concluded from it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from apps.firewall.lines import ANY, Action, Direction, Line
from apps.firewall.rulebase.iptables_rule import Match, Rule, read_rule
from apps.firewall.rulebase.reading import Bad, Reading, TooMuch

MAX_DEPTH = 16
MAX_VISITS = 100_000
LONGEST_LINE = 4_000

DIRECTION_OF = {"INPUT": Direction.IN, "FORWARD": Direction.THROUGH, "OUTPUT": Direction.OUT}
_DENYING = frozenset({"DROP", "REJECT"})
_ASIDE = frozenset(
    {"LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TOS", "DSCP", "TTL", "AUDIT", "TRACE", "SET", "CLASSIFY", "TCPMSS",
     "CHECKSUM", "NOTRACK", "CT", "SECMARK", "CONNSECMARK", "TEE", "HL"}
)  # fmt: skip
_MARKING = _ASIDE - {"LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "TEE", "CHECKSUM", "TCPMSS"}
_DROPS = re.compile(r"-j (?:DROP|REJECT)\b|^:\S{1,60} DROP ")
_POLICY = re.compile(r":(\S{1,60}) (ACCEPT|DROP|-)(?: \[[0-9]+:[0-9]+\])?")
_SIGN = re.compile(
    r"^(?:\*(?:filter|nat|mangle|raw|security)\s*$|(?:\[[0-9]+:[0-9]+\] )?-A (?:INPUT|FORWARD|OUTPUT) |:INPUT )",
    re.MULTILINE,
)


@dataclass(slots=True)
class _Table:
    """The filter table as written: its chains, their rules, and what happens at the end of the built-in ones.

    ``seen`` once it was named, ``whole`` unless a table was named and not closed by COMMIT.
    """

    chains: dict[str, list[Rule]] = field(default_factory=dict)
    policies: dict[str, Action] = field(default_factory=dict)
    table: str = "filter"
    seen: bool = False
    whole: bool = True


def looks_so(text: str) -> bool:
    return _SIGN.search(text[:200_000]) is not None


def read(text: str, reading: Reading, today: date | None) -> None:
    table = _Table()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            _take(table, number, line, reading)
        except Bad as error:
            reading.blame(number, str(error))
    if not table.chains:
        reading.blame(0, "There is no filter table in it, so nothing of it decides what passes.")
    if not table.whole:
        reading.note(0, "The text ends before its last table does: there is no COMMIT. Is all of it there?")
    _check_jumps(table, reading)
    _Flattening(table, reading).run()


def without(text: str, numbers: Collection[int]) -> str:
    """The text without the lines of these numbers. Chains and policies stay, so jumps keep their meaning."""
    return "\n".join(line for number, line in enumerate(text.split("\n"), 1) if number not in numbers)


def _take(table: _Table, number: int, line: str, reading: Reading) -> None:
    if len(line) > LONGEST_LINE:
        raise Bad(f"The line is longer than {LONGEST_LINE} characters.")
    if line == "COMMIT":
        table.whole = True
    elif line.startswith("*"):
        _begin_table(table, line[1:].strip(), number, reading)
    elif table.table == "filter":
        _take_line(table, number, line)
    elif _DROPS.search(line):
        reading.note(number, f"The table {table.table[:40]} drops here, before this is asked; left aside.")


def _take_line(table: _Table, number: int, line: str) -> None:
    if line.startswith(":"):
        _take_policy(table, line)
    elif line.startswith("-P "):
        words = line.split()
        _take_policy(table, f":{words[1]} {words[2]}" if len(words) == 3 else ":")
    elif line.startswith("-N "):
        table.chains.setdefault(line[3:].strip(), [])
    else:
        rule = read_rule(number, line)
        table.chains.setdefault(rule.chain, []).append(rule)


def _begin_table(table: _Table, name: str, number: int, reading: Reading) -> None:
    if name == "filter" and table.seen:
        raise Bad("A second filter table begins here: take IPv4 and IPv6 in apart, each decides for itself.")
    table.table, table.whole, table.seen = name, False, table.seen or name == "filter"
    if name != "filter":
        reading.note(number, f"The table {name[:40]} translates, marks or drops beforehand; left aside.")


def _take_policy(table: _Table, line: str) -> None:
    found = _POLICY.fullmatch(line)
    if not found:
        raise Bad("A chain is declared like ':INPUT DROP [0:0]'.")
    table.chains.setdefault(found[1], [])
    if found[2] != "-":
        table.policies[found[1]] = Action.ALLOW if found[2] == "ACCEPT" else Action.DENY


def _check_jumps(table: _Table, reading: Reading) -> None:
    """Takes out the rules whose target nobody can say anything about."""
    known = {"ACCEPT", "RETURN", "", *_DENYING, *_ASIDE, *table.chains}
    for chain, rules in table.chains.items():
        for rule in rules:
            if rule.target not in known:
                reading.blame(rule.number, f"What {rule.target[:40]} decides is not in this text: it is no chain here.")
        table.chains[chain] = [rule for rule in rules if rule.target in known]


class _Flattening:
    """Walks the built-in chains as a packet would, each jump in its place."""

    def __init__(self, table: _Table, reading: Reading) -> None:
        self._table, self._reading = table, reading
        self._visits = self._marked = 0

    def run(self) -> None:
        for chain, direction in DIRECTION_OF.items():
            self._reading.defaults[direction] = self._table.policies.get(chain, Action.ALLOW)
            if self._table.chains.get(chain):
                self._walk(chain, direction, Match(), ())

    def _walk(self, chain: str, direction: Direction, around: Match, path: tuple[str, ...]) -> None:
        if chain in path or len(path) >= MAX_DEPTH:
            raise TooMuch(f"The chain {chain[:40]} leads back to itself, or chains are deeper than {MAX_DEPTH}.")
        for rule in self._table.chains.get(chain, ()):
            self._visit()
            match = around.meet(rule.match.since(self._marked) if self._marked else rule.match)
            if match is None:
                continue
            self._marked = rule.number if rule.target in _MARKING else self._marked
            if rule.target in self._table.chains:
                self._walk(rule.target, direction, match, (*path, chain))
            elif rule.target != "RETURN":
                self._emit(rule, match, direction)
            if rule.goes or rule.target == "RETURN":
                if match == around:
                    return
                around = around.under(f"line {rule.number} does not lead out of {chain}")

    def _visit(self) -> None:
        self._visits += 1
        if self._visits > MAX_VISITS:
            raise TooMuch("The chains call one another too often to be laid flat.")

    def _emit(self, rule: Rule, match: Match, direction: Direction) -> None:
        if rule.target == "" or rule.target in _ASIDE:
            self._reading.note(rule.number, f"{rule.target or 'A line without a target'} decides nothing; left aside.")
            return
        action = Action.DENY if rule.target in _DENYING else Action.ALLOW
        self._reading.add(
            Line(
                rule.number,
                rule.text,
                source,
                destination,
                match.protocol or ANY,
                match.ports or (),
                direction,
                action,
                rule.comment,
                None,
                rule.hits,
                match.conditions,
            )
            for source in match.ends(match.sources)
            for destination in match.ends(match.destinations)
        )
