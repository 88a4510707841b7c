"""Signals taken in, and acted on. Taking in is quick and may come twice; acting happens once for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.identity.models import (
    Login,
    Provider,
    ReceivedSignal,
    SignalAction,
    SignalChannel,
    SignalOutcome,
    SignalSource,
    Subject,
)
from apps.identity.policies import provider_actor
from apps.identity.services.leaving import Departures, Left
from apps.identity.signals.refusals import SignalReplayed
from apps.outbox import services as outbox

RECEIVED = "identity.signal.received"
KEEP = timedelta(days=90)
"""Longer than any signal may be on its way, so that none comes back as news."""


@dataclass(frozen=True, slots=True)
class Told:
    """A signal as it was read. ``identifier`` is the sender's name for it; ``issuer`` and ``sub`` say whom it means."""

    identifier: str
    kind: str
    action: SignalAction
    issuer: str = ""
    sub: str = ""
    happened_at: datetime | None = None


def receive(*, provider: Provider, channel: SignalChannel, told: Iterable[Told], at: datetime) -> int:
    """Write down what is new and have it acted on soon after; returns how many were new.

    The caller has made sure that ``provider`` said it. Not in the audit record: what is done about it will be.
    """
    by_name = {one.identifier: one for one in told}
    mine = ReceivedSignal.objects.filter(provider=provider, channel=channel)
    with transaction.atomic():
        known = set(mine.filter(identifier__in=by_name).values_list("identifier", flat=True))
        rows = [_row(provider, channel, one, at) for one in by_name.values() if one.identifier not in known]
        ReceivedSignal.objects.bulk_create(rows, ignore_conflicts=True)
        fresh = list(mine.filter(identifier__in=[row.identifier for row in rows]).values_list("pk", flat=True))
        if fresh:
            outbox.enqueue_many(topic=RECEIVED, payloads={str(pk): {} for pk in fresh}, at=at, urgent=True)
    return len(fresh)


def _row(provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> ReceivedSignal:
    return ReceivedSignal(
        provider=provider,
        channel=channel,
        identifier=told.identifier,
        kind=told.kind,
        action=told.action,
        issuer=told.issuer,
        sub=told.sub,
        happened_at=told.happened_at,
        received_at=at,
    )


def act_on_signals(*, signal_ids: Collection[int], at: datetime) -> None:
    """Do what signals ask, in the order they came in. Whatever was done about one before is not done again."""
    with transaction.atomic():
        waiting = ReceivedSignal.objects.filter(pk__in=signal_ids, outcome=SignalOutcome.WAITING)
        locked = waiting.select_for_update(of=("self",)).select_related("provider").order_by("pk")
        _finish(list(locked), at)


def answer_at_once(*, provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> ReceivedSignal:
    """Take in and act in one go, for a sender who wants to know what came of it. Raises SignalReplayed."""
    with transaction.atomic():
        signal = _written_once(provider, channel, told, at)
        _finish([signal], at)
    return signal


def refuse(*, provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> None:
    """Write down that something was asked that is never done. Raises SignalReplayed."""
    with transaction.atomic():
        signal = _written_once(provider, channel, told, at)
        _note(signal, SignalOutcome.REFUSED, at)
        signal.save(update_fields=CLOSED)


def _written_once(provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> ReceivedSignal:
    made = ReceivedSignal.objects.bulk_create([_row(provider, channel, told, at)], ignore_conflicts=True)
    mine = ReceivedSignal.objects.select_for_update(of=("self",)).select_related("provider")
    signal = mine.get(provider=provider, channel=channel, identifier=made[0].identifier)
    if signal.outcome != SignalOutcome.WAITING:
        raise SignalReplayed
    return signal


def _finish(signals: Sequence[ReceivedSignal], at: datetime) -> None:
    """Hold everybody they speak of, then act on one after the other. The caller has locked the signals."""
    people = _people(signals)
    for signal in signals:
        signal.subject = people.get(signal.pk)
    held = Departures([one.subject.key for one in signals if _asks(one) and one.subject is not None], at=at)
    for signal in signals:
        if not _asks(signal):
            _note(signal, SignalOutcome.NOTED, at)
        elif signal.subject is None:
            _note(signal, SignalOutcome.NOBODY, at)
        else:
            outcome, left = _act(held, signal.subject.key, signal)
            signal.sessions, signal.tokens = left.sessions, left.tokens
            _note(signal, outcome, at)
    ReceivedSignal.objects.bulk_update(signals, CLOSED)
    held.write()


def _asks(signal: ReceivedSignal) -> bool:
    return signal.action != SignalAction.NOTE and signal.provider.enabled


def _act(held: Departures, key: str, signal: ReceivedSignal) -> tuple[SignalOutcome, Left]:
    actor, why = provider_actor(signal.provider), f"{signal.provider.name} said {signal.kind}."
    if signal.action == SignalAction.LEAVE:
        return SignalOutcome.LEFT, held.leave(key, actor=actor, why=why)
    if signal.action == SignalAction.SIGN_OUT:
        return SignalOutcome.SIGNED_OUT, held.revoke_and_sign_out(key, actor=actor, why=why)
    return SignalOutcome.SESSIONS_ENDED, held.sign_out(key, actor=actor, why=why)


def _people(signals: Sequence[ReceivedSignal]) -> dict[int, Subject]:
    """Whom they mean, by signal: found by what the provider's sign-ins are known by.

    Its transmitter may sign under another issuer's name.
    """
    sources = SignalSource.objects.filter(provider__in={one.provider_id for one in signals})
    also = dict(sources.values_list("provider", "issuer"))
    named = [one for one in signals if one.sub and one.issuer in {one.provider.issuer, also.get(one.provider_id)}]
    logins = Login.objects.select_related("subject").filter(
        issuer__in={one.provider.issuer for one in named}, sub__in={one.sub for one in named}
    )
    known = {(login.issuer, login.sub): login.subject for login in logins}
    found = ((one.pk, known.get((one.provider.issuer, one.sub))) for one in named)
    return {pk: subject for pk, subject in found if subject is not None}


CLOSED = ("subject", "outcome", "done_at", "sessions", "tokens")


def _note(signal: ReceivedSignal, outcome: SignalOutcome, at: datetime) -> None:
    signal.outcome, signal.done_at = outcome, at


def forget_old_signals(*, at: datetime) -> int:
    """The audit record keeps what was done; these rows need not be kept for ever."""
    deleted, _ = ReceivedSignal.objects.filter(received_at__lt=at - KEEP, done_at__isnull=False).delete()
    return deleted
