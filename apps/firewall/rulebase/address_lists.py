"""Akamai network lists and client lists, as their APIs answer: each entry lets an address through to what it guards.

Source of the shapes: https://techdocs.akamai.com/network-lists/reference/api and
https://techdocs.akamai.com/client-lists/reference/api. What a list is used for is set elsewhere; here it allows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial

from apps.firewall.lines import ANY, Action, Direction, Line
from apps.firewall.rulebase.days import read_day
from apps.firewall.rulebase.documents import Value, objects, read_json, text_of
from apps.firewall.rulebase.reading import Bad, Reading
from apps.firewall.rulebase.words import LONGEST_NAME, read_blocks, read_end

_SIGNS = ('"networkLists"', '"uniqueId"', '"syncPoint"', '"listId"', '"elementCount"', '"itemsCount"')


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry; ``list`` is what holds it and ``field`` under which name."""

    number: int
    list: dict[str, Value]
    field: str
    value: Value


def looks_so(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[") and any(sign in text for sign in _SIGNS)


def read(text: str, reading: Reading, today: date | None) -> None:
    try:
        lists = _lists(read_json(text))
    except Bad as error:
        reading.blame(0, str(error))
        return
    for one in lists:
        name, kind = _name(one), text_of(one, "type") or "IP"
        reading.names.add(name)
        if kind != "IP":
            reading.note(0, f"{name} is a list of {kind[:40]}, not of addresses; left aside.")
        elif not isinstance(one.get("list", one.get("items", [])), list):
            reading.blame(0, f"{name}: its entries should be a list.")
    for entry in _entries(lists):
        if (text_of(entry.list, "type") or "IP") == "IP":
            reading.attempt(entry.number, partial(_lines, entry, today))


def without(text: str, numbers: Collection[int]) -> str:
    """The same JSON without the entries of these numbers."""
    whole = read_json(text)
    lists = _lists(whole)
    kept: dict[int, list[Value]] = {}
    for entry in list(_entries(lists)):
        held = kept.setdefault(id(entry.list), [])
        if entry.number not in numbers:
            held.append(entry.value)
    for one in lists:
        if id(one) in kept:
            one["list" if "list" in one else "items"] = kept[id(one)]
            for count in ("elementCount", "itemsCount"):
                if count in one:
                    one[count] = len(kept[id(one)])
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _lists(whole: Value) -> list[dict[str, Value]]:
    found = whole
    if isinstance(whole, dict):
        found = whole.get("networkLists", whole.get("content"))
        found = [whole] if found is None else found
    lists = objects(found)
    if not isinstance(found, list) or len(lists) != len(found):
        raise Bad("There should be a list of address lists.")
    return lists


def _entries(lists: list[dict[str, Value]]) -> Iterator[_Entry]:
    number = 0
    for one in lists:
        field = "list" if "list" in one else "items"
        held = one.get(field)
        for value in held if isinstance(held, list) else ():
            number += 1
            yield _Entry(number, one, field, value)


def _name(one: dict[str, Value]) -> str:
    return " ".join(text_of(one, "name", "uniqueId", "listId").split())[:LONGEST_NAME] or "a list without a name"


def _lines(entry: _Entry, today: date | None) -> Iterator[Line]:
    name = _name(entry.list)
    item = entry.value if isinstance(entry.value, dict) else {}
    written = entry.value if isinstance(entry.value, str) else text_of(item, "value")
    if not written:
        raise Bad(f"{name}: an entry has no value.")
    try:
        sources = tuple(end for end in read_end(written, "address"))
        read_blocks(written)
        until = read_day(text_of(item, "expirationDate"), today)
    except Bad as error:
        raise Bad(f"{name}: {error}") from None
    reason = text_of(item, "description") or text_of(entry.list, "description", "notes")
    text = f"{name}: {written}"[:2000]
    for source in sources:
        yield Line(entry.number, text, source, name, ANY, (), Direction.IN, Action.ALLOW, reason[:2000], until)
