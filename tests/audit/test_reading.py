from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.db import transaction

from apps.audit import services
from apps.audit.actors import Actor
from apps.audit.export import COLUMNS, export_csv, export_ndjson
from apps.audit.selectors import EventFilter, get_event, list_events
from tests.audit.building import ADA, START, chain, write

pytestmark = pytest.mark.django_db


def test_pages_go_back_in_time_without_overlap() -> None:
    chain(7)
    first = list_events(limit=3)
    second = list_events(limit=3, before_seq=first.next_before)
    third = list_events(limit=3, before_seq=second.next_before)
    seqs = [[event.seq for event in page.events] for page in (first, second, third)]
    assert seqs == [[7, 6, 5], [4, 3, 2], [1]]
    assert third.next_before is None


def test_a_page_that_is_just_full_is_the_last() -> None:
    chain(3)
    assert list_events(limit=3).next_before is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (EventFilter(actor="person:ada"), [5, 3, 1]),
        (EventFilter(actor="person:a"), []),
        (EventFilter(action="access.grant"), [6]),
        (EventFilter(action="access."), [6, 5, 4, 3, 2, 1]),
        (EventFilter(target_id="req_3"), [4]),
        (EventFilter(target_type="access.grant"), []),
        (EventFilter(since=START + timedelta(minutes=4)), [6, 5]),
        (EventFilter(until=START + timedelta(minutes=1)), [1]),
        (EventFilter(actor="person:ben", until=START + timedelta(minutes=3)), [2]),
    ],
)
def test_filters(filters: EventFilter, expected: list[int]) -> None:
    chain(5)
    write(5, action="access.grant.revoked")
    assert [event.seq for event in list_events(filters=filters).events] == expected


def test_one_event_by_number() -> None:
    chain(2)
    event = get_event(2)
    assert event is not None
    assert event.target_id == "req_1"
    assert get_event(3) is None


def test_ndjson_holds_every_column_of_every_row() -> None:
    events = chain(3)
    lines = [json.loads(line) for line in export_ndjson()]
    assert [line["hash"] for line in lines] == [event.hash for event in events]
    assert set(lines[0]) == set(COLUMNS)
    assert lines[0]["at"] == "2026-03-02T09:00:00.000000Z"
    assert lines[0]["after"]["nested"] == {"a": None, "b": [1, 2.5, "ä"]}


def test_csv_reads_back_and_honours_the_filter() -> None:
    chain(4)
    text = "".join(export_csv(EventFilter(actor="person:ben")))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["seq"] for row in rows] == ["2", "4"]
    assert json.loads(rows[0]["after"])["number"] == 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_cells_are_never_formulas(start: str) -> None:
    hostile = f'{start}cmd|"/c calc"!A1'
    with transaction.atomic():
        services.record(
            action="a.b",
            actor=Actor(id="person:eve", name=hostile),
            target_type="t",
            target_id=hostile,
            target_name=hostile,
            at=START,
        )
    row = next(csv.DictReader(io.StringIO("".join(export_csv()), newline="")))
    assert row["actor_name"] == row["target_id"] == row["target_name"] == "'" + hostile


def test_an_export_is_a_stream() -> None:
    write(1, actor=ADA)
    lines = export_csv()
    assert next(lines).startswith("seq,at,actor_id")
    assert next(lines).startswith("1,2026-03-02T09:01:00.000000Z,person:ada")
