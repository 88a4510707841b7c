"""What reading a rule base gives: its lines, everything wrong with it, and what was left aside and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from apps.firewall.lines import Action, Direction, Line

T = TypeVar("T")

# Control characters that are no white space, and halves of surrogate pairs.
UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
MAX_CHARACTERS = 5 * 1024 * 1024
MAX_LINES = 20_000
MAX_PER_RULE = 1_000
MAX_PROBLEMS = 1_000


class Format(StrEnum):
    """How a text is written."""

    TABLE = "table"
    TICKET = "ticket"
    IPTABLES = "iptables"
    SECURITY_GROUPS = "security_groups"
    NETWORK_POLICY = "network_policy"
    ADDRESS_LISTS = "address_lists"


FORMAT_WORDS: Mapping[Format, str] = {
    Format.TABLE: "table (CSV, TSV, copied from a spreadsheet)",
    Format.TICKET: "sentences, as in a ticket",
    Format.IPTABLES: "iptables-save",
    Format.SECURITY_GROUPS: "AWS security groups (JSON)",
    Format.NETWORK_POLICY: "Kubernetes NetworkPolicy (YAML)",
    Format.ADDRESS_LISTS: "Akamai network or client lists (JSON)",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be taken. ``number`` counts as ``Line.number`` does; 0 is the text as a whole."""

    number: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was read and left aside, harmlessly; numbered as a problem is."""

    number: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """Lines in the order in which they are asked. Usable as a rule base only when there are no problems.

    ``defaults`` is what happens to what no line speaks of, where that is not a denial. ``names`` are the names the text
    itself explains.
    """

    lines: tuple[Line, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Note, ...] = ()
    defaults: tuple[tuple[Direction, Action], ...] = ()
    names: frozenset[str] = frozenset()


def printable(text: str) -> str:
    """The text without what PostgreSQL cannot keep, which JSON may smuggle in by escapes."""
    return UNWANTED.sub("\ufffd", text)


class Bad(ValueError):
    """A part of a line cannot be taken; the message is a whole sentence."""


def attempt(read: Callable[[], T], otherwise: T, problems: list[str]) -> T:
    """What ``read`` gives; or ``otherwise``, and the problem is added to the others."""
    try:
        return read()
    except Bad as error:
        problems.append(str(error))
        return otherwise


class TooMuch(ValueError):
    """The text is larger than anybody reads; the message is a whole sentence."""


@dataclass(slots=True)
class Reading:
    """Collects while a text is read. Problems never stop it; only size does."""

    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    defaults: dict[Direction, Action] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def blame(self, number: int, sentence: str) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            raise TooMuch(f"There are more than {MAX_PROBLEMS} problems; the first are shown.")
        self.problems.append(Problem(number, printable(sentence)))

    def note(self, number: int, sentence: str) -> None:
        if len(self.notes) < MAX_PROBLEMS:
            self.notes.append(Note(number, printable(sentence)))

    def add(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if len(self.lines) >= MAX_LINES:
                raise TooMuch(f"Laid flat this is more than {MAX_LINES} lines.")
            if UNWANTED.search(line.text) or UNWANTED.search(line.reason):
                line = replace(line, text=printable(line.text), reason=printable(line.reason))
            self.lines.append(line)

    def attempt(self, number: int, read: Callable[[], Iterable[Line]]) -> None:
        """Adds what ``read`` gives, or says what is wrong with it."""
        try:
            found = list(read())
        except Bad as error:
            self.blame(number, str(error))
        else:
            self.add(found)

    def done(self) -> Parsed:
        defaults = tuple((way, action) for way, action in self.defaults.items() if action is Action.ALLOW)
        return Parsed(tuple(self.lines), tuple(self.problems), tuple(self.notes), defaults, frozenset(self.names))
