"""Sentences, as people write them into a ticket: one line of text, one thing asked for.

``Please open tcp 443 from 10.1.2.0/24 to payments until 31 Dec because of the audit``. A line that speaks of no access
is left aside and said to be; one that does and leaves something out is a problem, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from functools import partial
from itertools import product

from apps.firewall.lines import ANY, DIRECTION_NAMES, Action, Direction, Line
from apps.firewall.rulebase.days import read_day
from apps.firewall.rulebase.reading import MAX_PER_RULE, Bad, Reading, attempt
from apps.firewall.rulebase.words import (
    NO_ENDS,
    NO_SERVICES,
    PROTOCOLS,
    SERVICES,
    read_ends,
    read_services,
    short,
)

LONGEST_LINE = 2_000

_ALLOWING = frozenset(
    {"open", "allow", "permit", "enable", "grant", "unblock", "freischalten", "freigeben", "öffnen", "erlauben",
     "freischaltung", "freigabe", "access", "zugriff"}
)  # fmt: skip
_DENYING = frozenset({"block", "deny", "close", "forbid", "drop", "sperren", "blockieren", "schließen", "verbieten"})
# German puts its verb last: whatever part of the line it stands in, it is the verb.
_VERBS = {
    **dict.fromkeys(("freischalten", "freigeben", "öffnen", "erlauben"), Action.ALLOW),
    **dict.fromkeys(("sperren", "blockieren", "schließen", "verbieten"), Action.DENY),
}
_OPENERS = {
    "from": "source", "von": "source", "aus": "source", "source": "source", "src": "source", "quelle": "source",
    "to": "destination", "nach": "destination", "zu": "destination", "zum": "destination", "zur": "destination",
    "towards": "destination", "destination": "destination", "dst": "destination", "ziel": "destination",
    "->": "destination", "→": "destination", "-->": "destination", "=>": "destination",
    "until": "until", "till": "until", "bis": "until", "expires": "until", "ending": "until",
    "because": "reason", "weil": "reason", "reason": "reason", "grund": "reason", "since": "reason", "wegen": "reason",
    "on": "service", "port": "service", "ports": "service", "via": "service", "over": "service", "auf": "service",
    "using": "service", "über": "service", "service": "service", "for": "service", "für": "service",
}  # fmt: skip
_FILLING = frozenset(
    {"please", "kindly", "bitte", "the", "a", "an", "der", "die", "das", "den", "dem", "we", "need", "needs", "us",
     "i", "can", "you", "could", "traffic", "connection", "connections", "firewall", "for", "und", "wir", "brauchen",
     "of", "port", "ports", "protocol", "only", "server", "servers", "service", "host", "hosts", "network", "subnet",
     "be", "should", "is", "required", "hi", "hello", "new", "rule"}
)  # fmt: skip
_BULLET = re.compile(r"^\s*(?:[-*•+>]|\(?[0-9]{1,3}[.)])\s+")
# Where a sentence ends within a line; never after a day such as 31. or an abbreviation.
_STOP = re.compile(r"(?:(?<=[^\W\d_]{3}[.!?])|(?<=[0-9]{3}[.!?]))\s+(?=[A-ZÄÖÜ])")
_ADDRESS = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.])")


def looks_so(text: str) -> bool:
    """Some line names both ends."""
    return any(_speaks(line) for line in text[:100_000].splitlines())


def read(text: str, reading: Reading, today: date | None) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        for clean in _sentences(line.strip()):
            if not _asks(clean):
                reading.note(number, f"{short(clean)} asks for no access; left aside.")
            elif len(clean) > LONGEST_LINE:
                reading.blame(number, f"The line is longer than {LONGEST_LINE} characters.")
            else:
                _read_line(number, clean, reading, today)


def _sentences(line: str) -> list[str]:
    """A line of prose asks for one thing in each of its sentences."""
    return [] if not line else [line] if len(line) > LONGEST_LINE else _STOP.split(line)


def without(text: str, numbers: Collection[int]) -> str:
    """The text without the lines of these numbers."""
    return "\n".join(line for number, line in enumerate(text.split("\n"), 1) if number not in numbers)


def _words(line: str) -> list[str]:
    """Words without the signs that only set them apart."""
    spaced = re.sub(r"(-->|->|=>|→)", r" \1 ", line[:LONGEST_LINE])
    return [word for raw in spaced.split() if (word := raw.strip("()[]\"'!?").rstrip(".:"))]


def _kinds(line: str) -> set[str]:
    return {_OPENERS[word] for raw in _words(line) if (word := raw.lower().rstrip(",;")) in _OPENERS}


def _speaks(line: str) -> bool:
    return {"source", "destination"} <= _kinds(line)


def _asks(line: str) -> bool:
    """It names both ends; or one, and says to open or to close something or holds an address."""
    kinds = _kinds(line)
    words = {word.lower().rstrip(",;") for word in _words(line)}
    acts = bool(words & (_ALLOWING | _DENYING)) or bool(_ADDRESS.search(line[:LONGEST_LINE]))
    return {"source", "destination"} <= kinds or (acts and bool(kinds & {"source", "destination", "service"}))


def _read_line(number: int, line: str, reading: Reading, today: date | None) -> None:
    parts, action, direction = _parts(_BULLET.sub("", line, count=1))
    problems: list[str] = []
    sources = attempt(partial(_ends, parts["source"], "source"), NO_ENDS, problems)
    destinations = attempt(partial(_ends, parts["destination"], "destination"), NO_ENDS, problems)
    services = attempt(partial(_services, parts["service"]), NO_SERVICES, problems)
    until = attempt(partial(read_day, " ".join(parts["until"]), today), None, problems)
    if len(sources) * len(destinations) * len(services) > MAX_PER_RULE:
        problems.append(f"This is more than {MAX_PER_RULE} lines at once: write it apart.")
    for sentence in problems:
        reading.blame(number, sentence)
    if not problems:
        reason = " ".join(parts["reason"])
        reading.add(
            Line(number, line, source, destination, protocol, ports, direction, action, reason, until)
            for source, destination, (protocol, ports) in product(sources, destinations, services)
        )


def _parts(line: str) -> tuple[dict[str, list[str]], Action, Direction]:
    """The words of each part. What opens a part is the word before it; a reason runs to the end of the line."""
    parts: dict[str, list[str]] = {name: [] for name in ("service", "source", "destination", "until", "reason")}
    here, action, direction = "service", Action.ALLOW, Direction.BOTH
    for word in _words(line):
        low = word.lower().rstrip(",;")
        if here == "reason":
            parts[here].append(word)
        elif (verb := _verb(low, here)) is not None:
            action = verb if action is Action.ALLOW else action
        elif low in _OPENERS and not (here == "service" and low in ("for", "für") and parts["service"]):
            here = _OPENERS[low]
        elif low in ("for", "für"):
            here = "reason"
        elif low in DIRECTION_NAMES:
            direction = DIRECTION_NAMES[low]
        elif low not in _FILLING and not (here == "service" and low in _ALLOWING):
            parts[here].append(word)
    return parts, action, direction


def _verb(word: str, here: str) -> Action | None:
    """An English verb stands in front; behind from or to it may be a name."""
    return Action.DENY if here == "service" and word in _DENYING else _VERBS.get(word)


def _ends(words: list[str], what: str) -> tuple[str, ...]:
    """Several ends are set apart by commas, ``and``, ``und`` or ``&``; a name is at most five words."""
    text = re.sub(r"\s(?:and|und|&)\s", ", ", f" {' '.join(words)} ").strip(" ,;")
    found = read_ends(text, what)
    for end in found:
        if len(end.split()) > 5:
            raise Bad(f"It is not clear what the {what} is: {short(end)}.")
    return found


def _services(words: list[str]) -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    """Everything in the part about ports must be understood, or somebody would open more than was asked for."""
    kept = [word for word in words if word.lower().strip(",;") not in ("and", "und", "&")]
    for word in kept:
        plain = word.lower().strip(",;")
        if not re.match(r"[0-9]", plain) and plain.partition("/")[0] not in (*SERVICES, *PROTOCOLS, ANY, "ping", "all"):
            raise Bad(f"{short(word)} is no port, no protocol, and no service we know by name.")
    return read_services(" ".join(kept).replace(";", ","))
