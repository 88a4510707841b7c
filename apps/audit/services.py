"""Writing to the audit record. Every service that changes something calls ``record`` in its own transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Replace

from apps.audit.actors import Actor
from apps.audit.chain import GENESIS, Row, digest, moment, plain, plain_text
from apps.audit.errors import NotFound, Refusal
from apps.audit.models import Event, Head
from apps.audit.verification import Fault, Verification, verify

__all__ = ["Entry", "Fault", "Verification", "mend_for_demo", "record", "record_all", "tamper_for_demo", "verify"]

_LENGTHS = {field.name: field.max_length for field in Event._meta.fields if field.max_length}


TAMPERED = " (tampered)"


class NotInTransaction(RuntimeError):
    """The record must commit or roll back with the change it describes."""


class NotADemo(Refusal):
    code = "not_a_demo"
    status = 404
    default_message = "Only a demo can have its record tampered with."


@dataclass(frozen=True, slots=True)
class Entry:
    """One event that is still to be appended."""

    action: str
    actor: Actor
    target_type: str
    target_id: str
    target_name: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    context: Mapping[str, object] | None = None


def record(
    *,
    action: str,
    actor: Actor,
    target_type: str,
    target_id: str,
    target_name: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    at: datetime,
    context: Mapping[str, object] | None = None,
) -> Event:
    """Append one event to the chain. Locks the head until the transaction ends, so call it late in the service."""
    entry = Entry(action, actor, target_type, target_id, target_name, before, after, context)
    return record_all([entry], at=at)[0]


def record_all(entries: Sequence[Entry], *, at: datetime) -> list[Event]:
    """Append several events, in order, in two statements. Locks the head until the transaction ends.

    Whoever holds the head must not wait for any other row any more: everybody locks rows first and the head last.
    """
    if not entries:
        return []
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{entries[0].action} was recorded outside a transaction.")
    head = _locked_head()
    events = [_chained(head, entry, at) for entry in entries]
    Event.objects.bulk_create(events, batch_size=500)
    head.save(update_fields=["seq", "hash"])
    return events


def _chained(head: Head, entry: Entry, at: datetime) -> Event:
    """The event that follows ``head``, which moves on to it."""
    row = Row(
        seq=head.seq + 1,
        at=moment(at),
        actor_id=_text(entry.actor.id, "actor_id"),
        actor_name=_text(entry.actor.name, "actor_name"),
        action=_text(entry.action, "action"),
        target_type=_text(entry.target_type, "target_type"),
        target_id=_text(entry.target_id, "target_id"),
        target_name=_text(entry.target_name, "target_name"),
        before=plain(entry.before),
        after=plain(entry.after),
        context=plain(entry.context),
    )
    event = Event(**{**row._asdict(), "at": at}, prev_hash=head.hash, hash=digest(row, head.hash))
    head.seq, head.hash = row.seq, event.hash
    return event


def _locked_head() -> Head:
    head = Head.objects.select_for_update().first()
    if head is not None:
        return head
    Head.objects.bulk_create([Head(hash=GENESIS)], ignore_conflicts=True)
    return Head.objects.select_for_update().get()


def _text(value: str, field: str) -> str:
    """Cut to what the column holds: an event with a shortened name is better than a refused write."""
    return plain_text(value)[: _LENGTHS[field]]


def tamper_for_demo(*, seq: int | None = None) -> int:
    """Change a row behind the record's back, as an intruder with the database's password would; returns its number.

    Only in a demo, so that people can watch ``verify`` find it. ``mend_for_demo`` undoes it.
    """
    with _unlocked_for_demo():
        rows = Event.objects.exclude(actor_name__endswith=TAMPERED)
        row = (rows.filter(seq=seq) if seq else rows.order_by("-seq")).first()
        if row is None:
            raise NotFound("There is no such row to tamper with.")
        Event.objects.filter(seq=row.seq).update(actor_name=Concat(F("actor_name"), Value(TAMPERED)))
    return row.seq


def mend_for_demo() -> int:
    """Take back what ``tamper_for_demo`` did; returns how many rows it mended."""
    with _unlocked_for_demo():
        tampered = Event.objects.filter(actor_name__endswith=TAMPERED)
        return tampered.update(actor_name=Replace(F("actor_name"), Value(TAMPERED), Value("")))


@contextmanager
def _unlocked_for_demo() -> Iterator[None]:
    if not settings.SALLYPORT_DEMO:
        raise NotADemo
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('sallyport.audit_unlock', 'UPDATE', true)")
        yield
        cursor.execute("SELECT set_config('sallyport.audit_unlock', '', true)")
