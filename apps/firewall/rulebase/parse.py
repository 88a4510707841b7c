"""Any text a firewall's rules come in, read into lines. Pure: no clock, no store, nothing is fetched.

Whoever pastes a text need not say what it is: `recognise` does. Every bad line is reported, none is guessed at; the
work done is bounded by the length of the text, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apps.firewall.rulebase.reading import MAX_CHARACTERS, Format, Note, Parsed, Problem, Reading, TooMuch

__all__ = ["Format", "Note", "Parsed", "Problem", "parse", "recognise"]

_READERS: Mapping[Format, Callable[[str, Reading], None]] = {}

_RECOGNISERS: tuple[tuple[Format, Callable[[str], bool]], ...] = ()


def recognise(text: str) -> Format | None:
    """What the text seems to be; None when it is nothing we know."""
    if len(text) > MAX_CHARACTERS:
        return None
    return next((found for found, looks_so in _RECOGNISERS if looks_so(text)), None)


def parse(text: str, format: Format) -> Parsed:  # noqa: A002 the word everybody uses
    """Reads the text as what it is said to be. Never raises: what is wrong is in ``problems``."""
    reading = Reading()
    if len(text) > MAX_CHARACTERS:
        reading.blame(0, f"The text is longer than {MAX_CHARACTERS // 1024 // 1024} million characters.")
        return reading.done()
    if format not in _READERS:
        reading.blame(0, "Nobody here can read this format yet.")
        return reading.done()
    try:
        _READERS[format](text, reading)
    except TooMuch as error:
        reading.problems.append(Problem(0, str(error)))
    if not reading.lines and not reading.problems:
        reading.blame(0, "There is no line in it.")
    return reading.done()
