from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.audit import services
from apps.audit.chain import GENESIS
from apps.audit.models import Event, Head
from tests.audit.building import ADA, START, break_in, chain, write


@pytest.mark.django_db(transaction=True)
def test_refuses_outside_a_transaction() -> None:
    with pytest.raises(services.NotInTransaction):
        services.record(action="a.b", actor=ADA, target_type="t", target_id="1", target_name="n", at=START)
    assert Event.objects.count() == 0


@pytest.mark.django_db
def test_rows_are_numbered_without_gaps_and_name_their_predecessor() -> None:
    first, second, third = chain(3)
    assert [first.seq, second.seq, third.seq] == [1, 2, 3]
    assert [first.prev_hash, second.prev_hash, third.prev_hash] == [GENESIS, first.hash, second.hash]
    head = Head.objects.get()
    assert (head.seq, head.hash) == (3, third.hash)


@pytest.mark.django_db
def test_the_hash_can_be_recomputed_from_an_export_with_nothing_but_json_and_sha256() -> None:
    """The recipe in the documentation: an auditor needs no code of ours."""
    event = write(7)
    body = {
        "seq": 1,
        "at": "2026-03-02T09:07:00.000000Z",
        "actor_id": "person:ben",
        "actor_name": "Ben",
        "action": "access.request.opened",
        "target_type": "access.request",
        "target_id": "req_7",
        "target_name": "Request 7",
        "before": None,
        "after": {"number": 7, "nested": {"b": [1, 2.5, "ä"], "a": None}},
        "context": None,
        "prev_hash": "0" * 64,
    }
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert event.hash == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.django_db
def test_a_rolled_back_change_leaves_no_event_and_no_gap() -> None:
    write(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(2)
        raise ZeroDivisionError
    assert write(3).seq == 2
    assert services.verify().ok


@pytest.mark.django_db
def test_the_head_is_locked_before_the_event_is_written() -> None:
    write(1)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        write(2)
    statements = [query["sql"] for query in queries if "audit_" in query["sql"]]
    assert "FOR UPDATE" in statements[0]
    assert statements[1].startswith('INSERT INTO "audit_event"')
    assert statements[2].startswith('UPDATE "audit_head"')
    assert len(statements) == 3


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_make_one_chain() -> None:
    def write_ten(writer: int) -> None:
        for number in range(10):
            write(writer * 10 + number)
        connection.close()

    writers = [threading.Thread(target=write_ten, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, 41))
    assert services.verify().ok


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_event SET actor_name = 'x' WHERE seq = 1", "DELETE FROM audit_event WHERE seq = 1"],
)
def test_the_database_refuses_to_change_a_row(statement: str) -> None:
    write(1)
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Event.objects.get().actor_name == "Ben"


@pytest.mark.django_db
def test_the_database_refuses_to_empty_the_table() -> None:
    write(1)
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('sallyport.audit_unlock', '', true)")
        cursor.execute("TRUNCATE audit_event")
    assert Event.objects.count() == 1


@pytest.mark.django_db
def test_unlocking_one_operation_unlocks_no_other() -> None:
    write(1)
    with pytest.raises(ProgrammingError, match="DELETE refused"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('sallyport.audit_unlock', 'UPDATE', true)")
        cursor.execute("DELETE FROM audit_event")
    assert break_in("UPDATE audit_event SET actor_name = 'Mallory'") == 1


TEXT = st.text(max_size=20)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-1e15, 1e15),
    TEXT,
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@pytest.mark.django_db
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.dictionaries(TEXT, VALUES, max_size=4), name=TEXT, at=st.datetimes(timezones=st.just(UTC)))
def test_whatever_is_recorded_reads_back_as_it_was_hashed(after: dict[str, object], name: str, at: datetime) -> None:
    if at.year < 1000:
        at = at.replace(year=1000)
    with transaction.atomic():
        services.record(action="a.b", actor=ADA, target_type="t", target_id=name, target_name=name, after=after, at=at)
    found = services.verify(from_seq=Head.objects.get().seq)
    assert found.ok, found.why


@pytest.mark.django_db
def test_too_long_a_name_is_cut_rather_than_refused() -> None:
    with transaction.atomic():
        event = services.record(
            action="a.b", actor=ADA, target_type="t", target_id="1", target_name="n" * 1000, at=START
        )
    assert event.target_name == "n" * 300
    assert services.verify().ok


@pytest.mark.django_db
def test_what_json_cannot_hold_is_refused_loudly() -> None:
    with pytest.raises(TypeError, match="object"), transaction.atomic():
        services.record(
            action="a.b", actor=ADA, target_type="t", target_id="1", target_name="n", after={"x": object()}, at=START
        )
    assert Event.objects.count() == 0
