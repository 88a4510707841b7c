"""The record as files, streamed: whoever exports a million rows holds one at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import orjson

from apps.audit.chain import moment
from apps.audit.models import Event
from apps.audit.selectors import EventFilter, matching

BATCH = 2000
COLUMNS = (
    "seq",
    "at",
    "actor_id",
    "actor_name",
    "action",
    "target_type",
    "target_id",
    "target_name",
    "before",
    "after",
    "context",
    "prev_hash",
    "hash",
)
# A spreadsheet would run a cell that begins like this.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def export_ndjson(filters: EventFilter | None = None) -> Iterator[str]:
    """One object a line, oldest first, with everything needed to verify the chain elsewhere."""
    for event in _events(filters):
        yield orjson.dumps(_values(event)).decode() + "\n"


def export_csv(filters: EventFilter | None = None) -> Iterator[str]:
    """A heading, then a line for each event, oldest first. Cells that look like formulas get a leading apostrophe."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for event in _events(filters):
        yield writer.writerow([_cell(value) for value in _values(event).values()])


class _Echo:
    """A file that gives back what is written into it."""

    def write(self, line: str) -> str:
        return line


def _events(filters: EventFilter | None) -> Iterator[Event]:
    return matching(filters or EventFilter()).order_by("seq").iterator(chunk_size=BATCH)


def _values(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in COLUMNS} | {"at": moment(event.at)}


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
