"""Writing to the audit record. Every service that changes something calls ``record`` in its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.chain import GENESIS, Row, digest, plain, plain_text
from apps.audit.models import Event, Head

_LENGTHS = {field.name: field.max_length for field in Event._meta.fields if field.max_length}


class NotInTransaction(RuntimeError):
    """The record must commit or roll back with the change it describes."""


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
    if not transaction.get_connection().in_atomic_block:
        raise NotInTransaction(f"{action} was recorded outside a transaction.")
    head = _locked_head()
    row = Row(
        seq=head.seq + 1,
        at=at,
        actor_id=_text(actor.id, "actor_id"),
        actor_name=_text(actor.name, "actor_name"),
        action=_text(action, "action"),
        target_type=_text(target_type, "target_type"),
        target_id=_text(target_id, "target_id"),
        target_name=_text(target_name, "target_name"),
        before=plain(before),
        after=plain(after),
        context=plain(context),
    )
    return _append(head, row)


def _append(head: Head, row: Row) -> Event:
    event = Event(
        **{name: getattr(row, name) for name in Row.__slots__}, prev_hash=head.hash, hash=digest(row, head.hash)
    )
    event.save(force_insert=True)
    head.seq, head.hash = row.seq, event.hash
    head.save(update_fields=["seq", "hash"])
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
