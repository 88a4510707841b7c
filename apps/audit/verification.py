"""Walking the chain from one end to the other, and naming the first row that does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import uuid4

import orjson
from django.db import connection, transaction

from apps.audit.chain import GENESIS, Json, seal
from apps.audit.models import Event, Head

BATCH = 5000

# Text is cheaper than objects here: a million rows are read in seconds.
_ROWS = """
SELECT seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), actor_id, actor_name, action,
       target_type, target_id, target_name, before::text, after::text, context::text, prev_hash, hash
FROM audit_event WHERE seq >= %s AND seq <= %s ORDER BY seq
"""


class Fault(StrEnum):
    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Verification:
    """``checked`` rows hold. ``why`` is a sentence about the first that does not, or says that all is well."""

    ok: bool
    checked: int
    first_bad_seq: int | None
    fault: Fault | None
    why: str


_Link: TypeAlias = tuple[int, str, str, dict[str, Json]]
"""A row as it stands: its number, the hash before it, its own, and what that covers."""


class _Broken(Exception):
    def __init__(self, seq: int, fault: Fault, why: str) -> None:
        super().__init__(why)
        self.seq, self.fault, self.why = seq, fault, why


def verify(*, from_seq: int | None = None) -> Verification:
    """Check every row from ``from_seq`` (default: the first) to the end of the chain.

    The whole chain is the proof; starting later trusts the row before ``from_seq``.
    """
    start = max(from_seq or 1, 1)
    checked = 0
    with transaction.atomic():
        head = Head.objects.first() or Head(hash=GENESIS)
        try:
            for checked in _hold(start, head):  # noqa: B007 - the count at which it stopped is the answer
                pass
        except _Broken as broken:
            return Verification(False, checked, broken.seq, broken.fault, broken.why)
    return Verification(True, checked, None, None, f"All {checked} rows hold.")


def _hold(start: int, head: Head) -> Iterator[int]:
    """Counts the rows that hold; raises _Broken at the first that does not."""
    seq, last_hash = start - 1, _hash_before(start)
    for link in _links(start, head.seq):
        number, prev_hash, found, body = link
        if number != seq + 1 or prev_hash != last_hash or found != seal(body):
            raise _broken(link, seq, last_hash)
        seq, last_hash = number, found
        yield seq - start + 1
    if seq < head.seq:
        raise _Broken(seq + 1, Fault.MISSING, f"Row {seq + 1} is missing: the chain was {head.seq} rows long.")
    if start <= head.seq and last_hash != head.hash:
        raise _Broken(seq, Fault.REPLACED, f"Row {seq} is not the row the chain ended with.")
    _check_nothing_follows(head)


def _check_nothing_follows(head: Head) -> None:
    """Rows behind the head are right only when the head has moved on meanwhile."""
    if Event.objects.filter(seq__gt=head.seq).exists() and not Head.objects.filter(seq__gt=head.seq).exists():
        raise _Broken(head.seq + 1, Fault.REPLACED, f"Row {head.seq + 1} was added behind the end of the chain.")


def _hash_before(start: int) -> str:
    if start == 1:
        return GENESIS
    before = Event.objects.filter(seq=start - 1).values_list("hash", flat=True).first()
    if before is None:
        raise _Broken(start - 1, Fault.MISSING, f"Row {start - 1} is missing.")
    return before


def _links(start: int, end: int) -> Iterator[_Link]:
    """The rows in order. Written out because it runs a million times: a helper for each value would double the time."""
    loads = orjson.loads
    for rows in _batches(start, end):
        for seq, at, who, who_name, action, kind, what, what_name, before, after, context, prev_hash, found in rows:
            body = {
                "seq": seq,
                "at": at,
                "actor_id": who,
                "actor_name": who_name,
                "action": action,
                "target_type": kind,
                "target_id": what,
                "target_name": what_name,
                "before": before and loads(before),
                "after": after and loads(after),
                "context": context and loads(context),
                "prev_hash": prev_hash,
            }
            yield seq, prev_hash, found, body


def _batches(start: int, end: int) -> Iterator[list[tuple[Any, ...]]]:
    """Through a cursor that the database keeps. It reads the next batch while we hash the last one."""
    connection.ensure_connection()
    with (
        connection.connection.cursor(name=f"audit_{uuid4().hex}") as cursor,
        ThreadPoolExecutor(1) as ahead,
    ):
        cursor.execute(_ROWS, [start, end])
        rows = cursor.fetchmany(BATCH)
        while rows:
            following = ahead.submit(cursor.fetchmany, BATCH)
            yield rows
            rows = following.result()


def _broken(link: _Link, previous_seq: int, previous_hash: str) -> _Broken:
    """What is wrong with a row that does not hold."""
    seq, _, found, body = link
    if seq != previous_seq + 1:
        gap = f"Row {previous_seq + 1} is missing: row {previous_seq} is followed by row {seq}."
        return _Broken(previous_seq + 1, Fault.MISSING, gap)
    if seal(body) != found:
        return _tampered(link)
    why = f"Row {seq} does not follow from row {previous_seq}: one of the two was replaced."
    return _Broken(seq, Fault.REPLACED, why)


def _tampered(link: _Link) -> _Broken:
    """A row whose own hash would be right at another place was moved; any other was changed."""
    seq, prev_hash, found, body = link
    parent = Event.objects.filter(hash=prev_hash).values_list("seq", flat=True).first()
    original = (parent or 0) + 1
    if original != seq and seal({**body, "seq": original}) == found:
        return _Broken(seq, Fault.REORDERED, f"Row {seq} was row {original} when it was written.")
    return _Broken(seq, Fault.CHANGED, f"Row {seq} is not what was written: its hash does not match its contents.")
