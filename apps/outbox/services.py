"""Writing work down, and doing it: at least once, whatever is killed in between."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from celery import current_app
from django.db import connection, transaction
from django.db.models import Q, QuerySet

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
HEAD_START = timedelta(minutes=30)
"""Urgent work goes before all that has waited for less than this. What waited longer goes first; none waits for ever"""


class NotInTransaction(RuntimeError):
    """A message must commit or roll back with the change that made it necessary."""


class NotDead(Refusal):
    code = "message_not_dead"
    default_message = "Only a message that was given up can be retried."


def enqueue(
    *, topic: str, key: str, payload: Mapping[str, object] | None = None, at: datetime, urgent: bool = False
) -> Message:
    """Write down that ``topic`` happened to ``key``; its handler runs soon after the transaction commits.

    ``urgent`` is for what takes access away: it gets HEAD_START on everything else. A topic nobody handles is kept as
    done: a fact, not work. The code that enqueues knows its own handlers, so an older worker running beside it never
    decides this.
    """
    return enqueue_many(topic=topic, payloads={key: payload or {}}, at=at, urgent=urgent)[0]


def enqueue_many(
    *, topic: str, payloads: Mapping[str, Mapping[str, object]], at: datetime, urgent: bool = False
) -> list[Message]:
    """The same for many keys, each with its payload, in one statement."""
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{topic} was enqueued outside a transaction.")
    handled = topic in registry.topics()
    messages = [
        Message(
            topic=topic,
            key=key,
            payload=plain(payload),
            available_at=at,
            turn_at=_turn(at, urgent),
            created_at=at,
            state=State.PENDING if handled else State.DONE,
            done_at=None if handled else at,
        )
        for key, payload in payloads.items()
    ]
    Message.objects.bulk_create(messages)
    if handled and messages:
        _poke_on_commit()
    return messages


def _turn(available_at: datetime, urgent: bool) -> datetime:
    return available_at - HEAD_START if urgent else available_at


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
    """Handle up to ``limit`` waiting messages, one after another, and more where a handler takes many at once.

    Never raises for a handler's fault. ``at`` also starts the leases, so callers that drain for long call this again
    with a fresh one.
    """
    total = Drained()
    while total.handled < limit:
        messages = _claim(at)
        if not messages:
            break
        did = _attempt(messages, at)
        total = Drained(total.done + did.done, total.failed + did.failed)
    return total


_CLAIM = """
WITH next AS MATERIALIZED (
  SELECT id FROM outbox_message m
  WHERE state = 'pending' AND topic = ANY(%(topics)s) AND turn_at <= %(at)s
    AND available_at <= %(at)s AND (lease_until IS NULL OR lease_until <= %(at)s)
    AND NOT EXISTS (
      SELECT 1 FROM outbox_message ahead
      WHERE ahead.state = 'pending' AND ahead.topic = m.topic AND ahead.key = m.key AND ahead.id <> m.id
        AND (ahead.lease_until > %(at)s
             OR ((ahead.turn_at, ahead.id) < (m.turn_at, m.id) AND ahead.available_at <= %(at)s
                 AND (ahead.lease_until IS NULL OR ahead.lease_until <= %(at)s))))
  ORDER BY turn_at, id LIMIT %(most)s
  FOR UPDATE SKIP LOCKED
)
UPDATE outbox_message SET attempts = attempts + 1,
  lease_until = %(at)s + make_interval(secs => (%(leases)s::jsonb ->> topic)::float)
FROM next WHERE outbox_message.id = next.id
RETURNING outbox_message.*
"""


def _claim(at: datetime) -> list[Message]:
    """Lease the message whose turn it is, and more of its topic where the handler takes many at once.

    They are counted as attempts, and committed, before anything is tried.
    """
    first = _claim_of(list(registry.topics()), 1, at)
    if not first:
        return []
    most = registry.find(first[0].topic).most
    return first if most == 1 else [*first, *_claim_of([first[0].topic], most - 1, at)]


def _claim_of(topics: Sequence[str], most: int, at: datetime) -> list[Message]:
    """A message waits while another with its topic and key is leased, or is before it and may run too; so one key is
    never handled twice at a time, and a failing message that backs off does not hold up newer news about the same key.

    One statement, because this is the pace of everything that follows a commit.
    """
    leases = {topic: registration.lease.total_seconds() for topic, registration in registry.topics().items()}
    parameters = {"at": at, "topics": topics, "leases": json.dumps(leases), "most": most}
    return sorted(Message.objects.raw(_CLAIM, parameters), key=lambda one: (one.turn_at, one.pk))


def _attempt(messages: Sequence[Message], at: datetime) -> Drained:
    """Run the handler. Its failure is noted on the message in a transaction of its own.

    When many failed together each is tried by itself, so that one that cannot be done does not keep the others.
    """
    registration = registry.find(messages[0].topic)
    if registration.given_up is not None and messages[0].attempts > MAX_ATTEMPTS:
        _give_up(messages[0], "Worker after worker died of it.", at)
        return Drained(failed=1)
    try:
        if registration.atomic:
            _handle_atomically(registration, messages, at)
        else:
            _handle(registration, messages, at)
            _mark_done(messages, at)
    except Exception as error:  # noqa: BLE001, RUF100 - whatever a handler raises, the others must run
        names = ", ".join(f"{one.key} (attempt {one.attempts})" for one in messages)
        log.warning("%s %s failed", registration.topic, names, exc_info=True)
        if len(messages) > 1:
            alone = [_attempt([one], at) for one in messages]
            return Drained(sum(one.done for one in alone), sum(one.failed for one in alone))
        _note_failure(messages[0], error, at)
        return Drained(failed=1)
    return Drained(done=len(messages))


def _handle_atomically(registration: registry.Registration, messages: Sequence[Message], at: datetime) -> None:
    """What the handler wrote and "done" commit together. The row locks outlast the lease, so nobody else starts."""
    with transaction.atomic():
        mine = _ours(messages).select_for_update().order_by("pk").values_list("pk", flat=True)
        found = set(mine)
        held = [one for one in messages if one.pk in found]
        if held:
            _handle(registration, held, at)
            _mark_done(held, at)


def _handle(registration: registry.Registration, messages: Sequence[Message], at: datetime) -> None:
    registration.run([registry.News(one.key, one.payload, one.is_urgent) for one in messages], at)


def _mark_done(messages: Sequence[Message], at: datetime) -> None:
    _ours(messages).update(state=State.DONE, done_at=at, lease_until=None, last_error="")


def _note_failure(message: Message, error: Exception, at: datetime) -> None:
    """Back off, or give up after MAX_ATTEMPTS. A broken database connection leaves it to the lease."""
    said = f"{type(error).__name__}: {error}"[:4000].replace("\x00", "")
    if message.attempts >= MAX_ATTEMPTS:
        _give_up(message, said, at)
        return
    again_at = at + delay(attempts=message.attempts, spread=message.pk)
    turn_at = _turn(again_at, message.is_urgent)
    _ours([message]).update(available_at=again_at, turn_at=turn_at, lease_until=None, last_error=said)


def _give_up(message: Message, said: str, at: datetime) -> None:
    with transaction.atomic():
        if _ours([message]).update(state=State.DEAD, lease_until=None, last_error=said):
            _tell(message, at)


def _tell(message: Message, at: datetime) -> None:
    tell = registry.find(message.topic).given_up
    try:
        with transaction.atomic():
            if tell is not None:
                tell(public_id=message.key, at=at)
    except Exception:  # noqa: BLE001, RUF100 - the message is given up all the same
        log.warning("%s %s was given up and nobody could be told", message.topic, message.key, exc_info=True)


def _ours(messages: Sequence[Message]) -> QuerySet[Message]:
    """Those of which this claim is the latest: a drain that lost its lease may not overwrite a newer one."""
    claims = (Q(pk=one.pk, attempts=one.attempts) for one in messages)
    return Message.objects.filter(reduce(or_, claims), state=State.PENDING)


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
        message.turn_at = _turn(at, message.is_urgent)
        message.available_at, message.lease_until = at, None
        message.save(update_fields=["state", "attempts", "available_at", "turn_at", "lease_until"])
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
