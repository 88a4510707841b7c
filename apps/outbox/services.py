"""Writing work down, and doing it: at least once, whatever is killed in between."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import current_app
from django.db import connection, transaction
from django.db.models import QuerySet

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.chain import plain
from apps.audit.errors import NotFound, Refusal
from apps.outbox import nudge, registry
from apps.outbox.models import Message, State

log = logging.getLogger(__name__)

CHANNEL = "outbox"
MAX_ATTEMPTS = 10
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=1), timedelta(minutes=5)
KEEP_DONE = timedelta(days=14)


class NotInTransaction(RuntimeError):
    """A message must commit or roll back with the change that made it necessary."""


class NotDead(Refusal):
    code = "message_not_dead"
    default_message = "Only a message that was given up can be retried."


def enqueue(*, topic: str, key: str, payload: Mapping[str, object] | None = None, at: datetime) -> Message:
    """Write down that ``topic`` happened to ``key``; its handler runs soon after the transaction commits.

    A topic nobody handles is kept as done: a fact, not work. The code that enqueues knows its own handlers, so an
    older worker running beside it never decides this.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{topic} was enqueued outside a transaction.")
    handled = topic in registry.topics()
    message = Message.objects.create(
        topic=topic,
        key=key,
        payload=plain(payload or {}),
        available_at=at,
        created_at=at,
        state=State.PENDING if handled else State.DONE,
        done_at=None if handled else at,
    )
    if handled:
        _poke_on_commit()
    return message


def enqueue_many(*, topic: str, keys: Iterable[str], at: datetime) -> None:
    """The same for many keys in one statement, for a topic that has a handler and needs no payload."""
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{topic} was enqueued outside a transaction.")
    Message.objects.bulk_create(Message(topic=topic, key=key, available_at=at, created_at=at) for key in keys)
    _poke_on_commit()


def _poke_on_commit() -> None:
    """Once per transaction however much it writes down; the sweep finds what a lost poke leaves behind."""
    if all(hook[1] is not poke for hook in connection.run_on_commit):
        transaction.on_commit(poke, robust=True)


def poke() -> None:
    """Wake a drain. Without Valkey nobody is woken and nothing is lost: beat and the relay look by themselves."""
    if nudge.publish(CHANNEL):
        current_app.send_task("outbox.drain", retry=False)


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did. ``handled`` counts attempts of any outcome."""

    done: int = 0
    failed: int = 0

    @property
    def handled(self) -> int:
        return self.done + self.failed


def drain(*, at: datetime, limit: int = 1) -> Drained:
    """Handle up to ``limit`` waiting messages, one after another. Never raises for a handler's fault.

    ``at`` also starts the leases, so callers that drain for long call this again with a fresh one.
    """
    done = failed = 0
    for _ in range(limit):
        message = _claim(at)
        if message is None:
            break
        if _attempt(message, at):
            done += 1
        else:
            failed += 1
    return Drained(done, failed)


_CLAIM = """
WITH next AS MATERIALIZED (
  SELECT id FROM outbox_message m
  WHERE state = 'pending' AND topic = ANY(%(topics)s)
    AND available_at <= %(at)s AND (lease_until IS NULL OR lease_until <= %(at)s)
    AND NOT EXISTS (
      SELECT 1 FROM outbox_message ahead
      WHERE ahead.state = 'pending' AND ahead.topic = m.topic AND ahead.key = m.key AND ahead.id <> m.id
        AND (ahead.lease_until > %(at)s
             OR (ahead.id < m.id AND ahead.available_at <= %(at)s
                 AND (ahead.lease_until IS NULL OR ahead.lease_until <= %(at)s))))
  ORDER BY available_at, id LIMIT 1
  FOR UPDATE SKIP LOCKED
)
UPDATE outbox_message SET attempts = attempts + 1,
  lease_until = %(at)s + make_interval(secs => (%(leases)s::jsonb ->> topic)::float)
FROM next WHERE outbox_message.id = next.id
RETURNING outbox_message.*
"""


def _claim(at: datetime) -> Message | None:
    """Lease the oldest message that may run: counted as an attempt and committed before anything is tried.

    A message waits while another with its topic and key is leased, or is older and may run too; so one key is never
    handled twice at a time, and a failing message that backs off does not hold up newer news about the same key.
    One statement, because this is the pace of everything that follows a commit.
    """
    leases = {topic: registration.lease.total_seconds() for topic, registration in registry.topics().items()}
    parameters = {"at": at, "topics": list(leases), "leases": json.dumps(leases)}
    return next(iter(Message.objects.raw(_CLAIM, parameters)), None)


def _attempt(message: Message, at: datetime) -> bool:
    """Run the handler. Its failure is noted on the message in a transaction of its own."""
    registration = registry.find(message.topic)
    try:
        if registration.atomic:
            _handle_atomically(registration, message, at)
        else:
            _handle(registration, message, at)
            _mark_done(message, at)
    except Exception as error:  # noqa: BLE001, RUF100 - whatever a handler raises, the others must run
        log.warning("%s %s failed (attempt %d)", message.topic, message.key, message.attempts, exc_info=True)
        _note_failure(message, error, at)
        return False
    return True


def _handle_atomically(registration: registry.Registration, message: Message, at: datetime) -> None:
    """What the handler wrote and "done" commit together. The row lock outlasts the lease, so nobody else starts."""
    with transaction.atomic():
        held = Message.objects.select_for_update().get(pk=message.pk)
        if held.state == State.PENDING and held.attempts == message.attempts:
            _handle(registration, message, at)
            _mark_done(message, at)


def _handle(registration: registry.Registration, message: Message, at: datetime) -> None:
    registration.handler(key=message.key, payload=message.payload, at=at)


def _mark_done(message: Message, at: datetime) -> None:
    _ours(message).update(state=State.DONE, done_at=at, lease_until=None, last_error="")


def _note_failure(message: Message, error: Exception, at: datetime) -> None:
    """Back off, or give up after MAX_ATTEMPTS. A broken database connection leaves it to the lease."""
    given_up = message.attempts >= MAX_ATTEMPTS
    _ours(message).update(
        state=State.DEAD if given_up else State.PENDING,
        available_at=at + delay(attempts=message.attempts, spread=message.pk),
        lease_until=None,
        last_error=f"{type(error).__name__}: {error}"[:4000].replace("\x00", ""),
    )


def _ours(message: Message) -> QuerySet[Message]:
    """The message while this claim of it is the latest: a drain that lost its lease may not overwrite a newer one."""
    return Message.objects.filter(pk=message.pk, state=State.PENDING, attempts=message.attempts)


def delay(*, attempts: int, spread: int) -> timedelta:
    """How long to wait after ``attempts`` failures: doubling, and spread out by up to a quarter so that messages
    that failed together do not return together. Deterministic: the spread comes from the message's own number."""
    doubled: timedelta = min(FIRST_DELAY * 2 ** min(attempts - 1, 20), LONGEST_DELAY)
    return doubled * (1 + (spread * 2654435761 % 1024) / 4096)


def retry(*, message_id: int, actor: Actor, at: datetime) -> Message:
    """Give a dead message another MAX_ATTEMPTS. Audited: somebody decided it."""
    with transaction.atomic():
        message = Message.objects.select_for_update().filter(pk=message_id).first()
        if message is None:
            raise NotFound
        if message.state != State.DEAD:
            raise NotDead
        before = {"state": message.state, "attempts": message.attempts, "last_error": message.last_error}
        message.state, message.attempts = State.PENDING, 0
        message.available_at, message.lease_until = at, None
        message.save(update_fields=["state", "attempts", "available_at", "lease_until"])
        audit.record(
            action="outbox.message.retried",
            actor=actor,
            target_type="outbox.message",
            target_id=str(message.pk),
            target_name=f"{message.topic} {message.key}",
            before=before,
            after={"state": message.state, "attempts": 0},
            at=at,
        )
        _poke_on_commit()
    return message


def prune(*, at: datetime) -> int:
    """Forget what was done long ago."""
    deleted, _ = Message.objects.filter(state=State.DONE, done_at__lt=at - KEEP_DONE).delete()
    return deleted
