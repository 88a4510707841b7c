"""Any text a firewall's rules come in, read into lines. Pure: no clock, no store, nothing is fetched.

Whoever pastes a text need not say what it is: `recognise` does. Every bad line is reported, none is guessed at; the
work done is bounded by the length of the text, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date

from apps.firewall.rulebase import address_lists, iptables, network_policy, security_groups, table, ticket
from apps.firewall.rulebase.reading import (
    MAX_CHARACTERS,
    UNWANTED,
    Bad,
    Format,
    Note,
    Parsed,
    Problem,
    Reading,
    TooMuch,
)

__all__ = ["Format", "Note", "Parsed", "Problem", "parse", "recognise", "without"]

MARK = "\ufeff"
"""What some programs write in front of a text to say how it is encoded."""

_READERS: Mapping[Format, Callable[[str, Reading, date | None], None]] = {
    Format.TABLE: table.read,
    Format.TICKET: ticket.read,
    Format.IPTABLES: iptables.read,
    Format.SECURITY_GROUPS: security_groups.read,
    Format.NETWORK_POLICY: network_policy.read,
    Format.ADDRESS_LISTS: address_lists.read,
}

_WRITERS: Mapping[Format, Callable[[str, Collection[int]], str]] = {
    Format.TABLE: table.without,
    Format.TICKET: ticket.without,
    Format.IPTABLES: iptables.without,
    Format.SECURITY_GROUPS: security_groups.without,
    Format.NETWORK_POLICY: network_policy.without,
    Format.ADDRESS_LISTS: address_lists.without,
}

_RECOGNISERS: tuple[tuple[Format, Callable[[str], bool]], ...] = (
    (Format.SECURITY_GROUPS, security_groups.looks_so),
    (Format.ADDRESS_LISTS, address_lists.looks_so),
    (Format.NETWORK_POLICY, network_policy.looks_so),
    (Format.IPTABLES, iptables.looks_so),
    (Format.TABLE, table.looks_so),
    (Format.TICKET, ticket.looks_so),
)


def recognise(text: str) -> Format | None:
    """What the text seems to be; None when it is nothing we know."""
    if len(text) > MAX_CHARACTERS:
        return None
    text = text.removeprefix(MARK)
    return next((found for found, looks_so in _RECOGNISERS if looks_so(text)), None)


def parse(text: str, format: Format, today: date | None = None) -> Parsed:  # noqa: A002 everybody's word for it
    """Reads the text as what it is said to be. Never raises: what is wrong is in ``problems``.

    A day written without its year is the next one from ``today`` on; when that is not given, it is a problem.
    """
    reading, text = Reading(), text.removeprefix(MARK)
    if len(text) > MAX_CHARACTERS:
        reading.problems.append(Problem(0, f"The text is longer than {MAX_CHARACTERS:,} characters."))
        return reading.done()
    if (sign := _unwanted(text)) is not None:
        reading.problems.append(Problem(text.count("\n", 0, sign) + 1, "There are signs in it that no text holds."))
        return reading.done()
    try:
        _READERS[format](text, reading, today)
    except (TooMuch, Bad) as error:
        reading.problems.append(Problem(0, str(error)))
    if not reading.lines and not reading.problems:
        reading.problems.append(Problem(0, "There is no line in it."))
    return reading.done()


def without(text: str, format: Format, numbers: Collection[int]) -> str:  # noqa: A002
    """The text, in its own format, without the lines or rules of these numbers. ``text`` has been parsed well."""
    return _WRITERS[format](text.removeprefix(MARK), numbers)


def _unwanted(text: str) -> int | None:
    """Where the first control character or half of a surrogate pair stands: PostgreSQL keeps neither."""
    found = UNWANTED.search(text)
    return found.start() if found else None
