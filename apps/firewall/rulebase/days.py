"""The last day of a line, however it was written: by hand, by a spreadsheet, or as people say it."""

from __future__ import annotations

import re
from datetime import date

from apps.firewall.rulebase.reading import Bad
from apps.firewall.rulebase.words import short

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), 1
    )
    for name in names.split()
}
_ENDLESS = frozenset({"", "-", "never", "none", "permanent", "unlimited", "unbegrenzt", "nie", "n/a"})
_CLOCK = re.compile(r"\s[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:\s?[AP]M)?$", re.IGNORECASE)
_ISO = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})(?:[T ][0-9:.+Z-]{0,20})?")
_DOTTED = re.compile(r"([0-9]{1,2})\.\s?([0-9]{1,2})\.\s?([0-9]{4}|[0-9]{2})?")
_SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}|[0-9]{2})")
_DAY_MONTH = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|\.)?[\s-]?([A-Za-zä]{3,9})\.?,?[\s-]?([0-9]{4}|[0-9]{2})?")
_MONTH_DAY = re.compile(r"([A-Za-zä]{3,9})\.?\s?([0-9]{1,2})(?:st|nd|rd|th)?,?\s?([0-9]{4})?")
_COUNTED = re.compile(r"[34][0-9]{4}(?:\.[0-9]+)?")


def read_day(text: str, today: date | None) -> date | None:
    """The last day: ``2026-12-31``, ``31.12.2026``, ``31 Dec``, ``Dec 31, 2026``; None when it never ends. Raises Bad.

    A day without its year is the next one from ``today`` on.
    """
    word = " ".join(text[:60].split()).strip(" .,;")
    if word.lower() in _ENDLESS:
        return None
    parts = _day_parts(_CLOCK.sub("", word))
    if parts is None and _COUNTED.fullmatch(word):
        raise Bad(f"{short(text)} is how a spreadsheet counts days: write the day like 2026-12-31.")
    if parts is None:
        raise Bad(f"{short(text)} is no day such as 2026-12-31.")
    year, month, day = parts
    if year is None and today is None:
        raise Bad(f"{short(text)} has no year: write the day like 2026-12-31.")
    try:
        if year is not None:
            return date(year, month, day)
        assert today is not None  # noqa: S101 said above
        this_year = date(today.year, month, day)
        return this_year if this_year >= today else date(today.year + 1, month, day)
    except ValueError:
        raise Bad(f"{short(text)} is no day of the calendar.") from None


def _day_parts(word: str) -> tuple[int | None, int, int] | None:
    if found := _ISO.fullmatch(word):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _DOTTED.fullmatch(word) or _DOTTED.fullmatch(f"{word}."):
        return _year(found[3]), int(found[2]), int(found[1])
    if found := _SLASHED.fullmatch(word):
        return _slashed(int(found[1]), int(found[2]), _year(found[3]) or 0, word)
    if found := _DAY_MONTH.fullmatch(word):
        return _named(found[2], found[1], found[3])
    if found := _MONTH_DAY.fullmatch(word):
        return _named(found[1], found[2], found[3])
    return None


def _slashed(first: int, second: int, year: int, word: str) -> tuple[int, int, int]:
    if first <= 12 and second <= 12 and first != second:
        raise Bad(f"{short(word)} may be two different days: write it like {year}-12-31.")
    return (year, first, second) if second > 12 else (year, second, first)


def _named(month: str, day: str, year: str | None) -> tuple[int | None, int, int] | None:
    number = _MONTHS.get(month.lower()[:3])
    return (_year(year), number, int(day)) if number else None


def _year(text: str | None) -> int | None:
    """Of two digits, one of this century: a rule that ended in the last one is no news."""
    return None if not text else int(text) if len(text) == 4 else 2000 + int(text)
