from __future__ import annotations

import time
from io import StringIO

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from apps.audit import services
from apps.audit.chain import Row, digest
from apps.audit.errors import NotFound
from apps.audit.models import Event, Head
from apps.audit.services import Fault
from tests.audit.building import break_in, chain

pytestmark = pytest.mark.django_db


def test_an_untouched_chain_holds() -> None:
    chain(12)
    found = services.verify()
    assert (found.ok, found.checked, found.first_bad_seq, found.fault) == (True, 12, None, None)
    assert found.why == "All 12 rows hold."


def test_an_empty_record_holds() -> None:
    assert services.verify().checked == 0
    assert services.verify().ok


@pytest.mark.parametrize(
    "change",
    [
        "actor_id = 'person:mallory'",
        "actor_name = 'Mallory'",
        "action = 'access.request.denied'",
        "target_id = 'req_99'",
        "target_name = 'Nothing'",
        "target_type = 'catalog.service'",
        "at = at + interval '1 microsecond'",
        "before = '{}'",
        "after = jsonb_set(after, '{number}', '41')",
        "after = NULL",
        'context = \'{"ip": "::1"}\'',
        "hash = repeat('f', 64)",
        "prev_hash = repeat('f', 64)",
    ],
)
def test_any_changed_column_is_found_at_its_row(change: str) -> None:
    chain(9)
    break_in(f"UPDATE audit_event SET {change} WHERE seq = 5")  # noqa: S608 - the change is one of those above
    found = services.verify()
    assert (found.ok, found.first_bad_seq, found.fault, found.checked) == (False, 5, Fault.CHANGED, 4)
    assert "Row 5" in found.why


@pytest.mark.parametrize(("gone", "first"), [((1,), 1), ((4,), 4), ((4, 5, 6), 4), ((9,), 9), ((8, 9), 8)])
def test_a_missing_row_is_named(gone: tuple[int, ...], first: int) -> None:
    """At the beginning, in the middle, and at the end, where only the head remembers it."""
    chain(9)
    break_in("DELETE FROM audit_event WHERE seq = ANY(%s)", list(gone))
    found = services.verify()
    assert (found.first_bad_seq, found.fault) == (first, Fault.MISSING)


def test_two_swapped_rows_are_called_reordered() -> None:
    chain(9)
    break_in("UPDATE audit_event SET seq = CASE seq WHEN 4 THEN -6 WHEN 6 THEN -4 END WHERE seq IN (4, 6)")
    break_in("UPDATE audit_event SET seq = -seq WHERE seq < 0")
    found = services.verify()
    assert (found.first_bad_seq, found.fault) == (4, Fault.REORDERED)
    assert found.why == "Row 4 was row 6 when it was written."


def test_a_row_rewritten_with_a_fitting_hash_is_found_by_its_successor() -> None:
    chain(9)
    _forge(5)
    found = services.verify()
    assert (found.first_bad_seq, found.fault) == (6, Fault.REPLACED)
    assert found.why == "Row 6 does not follow from row 5: one of the two was replaced."


def test_a_last_row_rewritten_with_a_fitting_hash_is_found_by_the_head() -> None:
    chain(9)
    _forge(9)
    found = services.verify()
    assert (found.first_bad_seq, found.fault) == (9, Fault.REPLACED)


def test_a_row_added_behind_the_head_is_found() -> None:
    chain(3)
    last = Event.objects.get(seq=3)
    Event.objects.create(**_columns(last) | {"seq": 4, "prev_hash": last.hash})
    found = services.verify()
    assert (found.first_bad_seq, found.fault) == (4, Fault.REPLACED)


def test_starting_later_trusts_what_came_before() -> None:
    chain(9)
    break_in("UPDATE audit_event SET actor_name = 'Mallory' WHERE seq = 2")
    assert services.verify(from_seq=3).checked == 7
    assert services.verify(from_seq=3).ok
    assert services.verify(from_seq=2).first_bad_seq == 2


def test_the_command_says_so_and_exits_with_1() -> None:
    chain(4)
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert out.getvalue() == "All 4 rows hold.\n"
    break_in("UPDATE audit_event SET actor_name = 'Mallory' WHERE seq = 3")
    with pytest.raises(CommandError, match=r"Row 3 .*\(2 rows before it hold\.\)") as refused:
        call_command("verify_audit")
    assert refused.value.returncode == 1


def test_the_demo_tampers_and_mends() -> None:
    chain(4)
    assert services.tamper_for_demo(seq=2) == 2
    assert Event.objects.get(seq=2).actor_name == "Ben (tampered)"
    assert services.verify().first_bad_seq == 2
    assert services.mend_for_demo() == 1
    assert services.verify().ok


def test_outside_a_demo_nothing_tampers(settings: LazySettings) -> None:
    settings.SALLYPORT_DEMO = False
    chain(2)
    with pytest.raises(services.NotADemo):
        services.tamper_for_demo()
    with pytest.raises(services.NotADemo):
        services.mend_for_demo()
    assert services.verify().ok


def test_there_is_no_row_to_tamper_with_in_an_empty_record() -> None:
    with pytest.raises(NotFound):
        services.tamper_for_demo()


@pytest.mark.slow
def test_a_long_chain_is_verified_in_seconds() -> None:
    """Fifty thousand rows; a million take twenty times as long."""
    rows, previous = 50_000, "0" * 64
    events = []
    for seq in range(1, rows + 1):
        event = Event(
            seq=seq,
            at="2026-03-02T09:00:00+00:00",
            actor_id="person:ada",
            actor_name="Ada",
            action="access.request.opened",
            target_type="access.request",
            target_id=f"req_{seq}",
            target_name="A request",
            after={"state": "pending", "points": ["edge", "mesh"], "duration": 28800},
            prev_hash=previous,
        )
        values = _columns(event) | {"at": "2026-03-02T09:00:00.000000Z"}
        previous = event.hash = digest(Row(**{name: values[name] for name in Row._fields}), previous)
        events.append(event)
    Event.objects.bulk_create(events, batch_size=5000)
    Head.objects.create(seq=rows, hash=previous)
    started = time.monotonic()
    found = services.verify()
    assert found.checked == rows, found.why
    assert time.monotonic() - started < 5


def _columns(event: Event) -> dict[str, object]:
    return {field.name: getattr(event, field.name) for field in Event._meta.fields}


def _forge(seq: int) -> None:
    """Rewrite a row and give it the hash that fits, as somebody with our source code would."""
    event = Event.objects.get(seq=seq)
    values = _columns(event) | {"actor_name": "Mallory"}
    values["at"] = event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    forged = digest(Row(**{name: values[name] for name in Row._fields}), event.prev_hash)
    break_in("UPDATE audit_event SET actor_name = 'Mallory', hash = %s WHERE seq = %s", forged, seq)
