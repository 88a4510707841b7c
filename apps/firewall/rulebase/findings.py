"""What may be wrong with a line of a rule base, and what an analysis gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.firewall.lines import Action

MOST_INVOLVED = 20


class Code(StrEnum):
    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"
    REDUNDANT = "redundant"
    CONTRADICTORY = "contradictory"
    TOO_WIDE = "too_wide"
    NEVER_HIT = "never_hit"
    EXPIRED = "expired"
    ORPHANED = "orphaned"


# In the order in which they are shown: what it is called, and what it means in a sentence.
CODE_WORDS: Mapping[Code, tuple[str, str]] = {
    Code.CONTRADICTORY: (
        "Contradictory",
        "Two lines say opposite things of the same traffic; only their order decides.",
    ),
    Code.SHADOWED: ("Shadowed", "Earlier lines decide all of this, some of it otherwise: what it says never happens."),
    Code.DUPLICATE: ("Duplicate", "An earlier line says exactly the same."),
    Code.REDUNDANT: ("Redundant", "Without it the same traffic passes and the same does not."),
    Code.TOO_WIDE: ("Too wide", "It opens more than anybody is likely to need."),
    Code.EXPIRED: ("Expired", "Its last day is over, and it still stands."),
    Code.NEVER_HIT: ("Never hit", "Other lines counted packets, this one none."),
    Code.ORPHANED: ("Orphaned", "It names something nobody here knows."),
}

# Taking these out changes nothing, and that is proven each time; the others change what passes.
HARMLESS = frozenset({Code.DUPLICATE, Code.SHADOWED, Code.REDUNDANT})
# Nothing to take out: two lines disagree, or one has to be written narrower.
NOT_REMOVABLE = frozenset({Code.CONTRADICTORY, Code.TOO_WIDE})


@dataclass(frozen=True, slots=True)
class Finding:
    """``number`` is the line it is about; ``involved`` are the others that make it so, the first of them when many."""

    code: Code
    number: int
    involved: tuple[int, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """Findings in the order of their lines. ``undecided`` are lines that would take too much to decide."""

    findings: tuple[Finding, ...]
    undecided: tuple[int, ...]
    rules: int


def lines_words(numbers: tuple[int, ...]) -> str:
    """``line 3``; ``lines 3, 5 and 8``; cut when there are many."""
    shown = [str(number) for number in numbers[:5]]
    if len(numbers) > 5:
        return f"lines {', '.join(shown)} and others"
    if len(shown) < 2:
        return f"line {shown[0]}" if shown else "no line"
    return f"lines {', '.join(shown[:-1])} and {shown[-1]}"


_VERBS = {Action.ALLOW: ("allow", "allows", "allowed"), Action.DENY: ("deny", "denies", "denied")}


def verb(action: Action, *, many: bool) -> str:
    """``allow`` of many lines, ``allows`` of one."""
    return _VERBS[action][0 if many else 1]


def past(action: Action) -> str:
    return _VERBS[action][2]


def acting(numbers: tuple[int, ...], action: Action) -> str:
    """``line 3 allows``; ``lines 3 and 5 allow``."""
    return f"{lines_words(numbers)} {verb(action, many=len(numbers) > 1)}"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
