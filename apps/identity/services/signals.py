"""Signals taken in, and acted on. Taking in is quick and may come twice; acting happens once for each."""

from __future__ import annotations

from collections.abc import Iterable
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
from apps.identity.services.leaving import Left, leave, sign_out_and_revoke
from apps.identity.services.sessions import end_sessions
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
            outbox.enqueue_many(topic=RECEIVED, keys=map(str, fresh), at=at)
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


def act_on_signal(*, signal_id: int, at: datetime) -> None:
    """Do what a signal asks. Whatever was done about it before is not done again."""
    with transaction.atomic():
        waiting = ReceivedSignal.objects.filter(pk=signal_id, outcome=SignalOutcome.WAITING)
        signal = waiting.select_for_update(of=("self",)).select_related("provider").first()
        if signal is not None:
            _finish(signal, at)


def answer_at_once(*, provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> ReceivedSignal:
    """Take in and act in one go, for a sender who wants to know what came of it. Raises SignalReplayed."""
    with transaction.atomic():
        signal = _written_once(provider, channel, told, at)
        _finish(signal, at)
    return signal


def refuse(*, provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> None:
    """Write down that something was asked that is never done. Raises SignalReplayed."""
    with transaction.atomic():
        signal = _written_once(provider, channel, told, at)
        _close(signal, SignalOutcome.REFUSED, at)


def _written_once(provider: Provider, channel: SignalChannel, told: Told, at: datetime) -> ReceivedSignal:
    made = ReceivedSignal.objects.bulk_create([_row(provider, channel, told, at)], ignore_conflicts=True)
    mine = ReceivedSignal.objects.select_for_update(of=("self",)).select_related("provider")
    signal = mine.get(provider=provider, channel=channel, identifier=made[0].identifier)
    if signal.outcome != SignalOutcome.WAITING:
        raise SignalReplayed
    return signal


def _finish(signal: ReceivedSignal, at: datetime) -> None:
    signal.subject = _person(signal)
    if signal.action == SignalAction.NOTE or not signal.provider.enabled:
        _close(signal, SignalOutcome.NOTED, at)
    elif signal.subject is None:
        _close(signal, SignalOutcome.NOBODY, at)
    else:
        outcome, left = _act(SignalAction(signal.action), signal.subject.key, signal, at)
        signal.sessions, signal.tokens = left.sessions, left.tokens
        _close(signal, outcome, at)


def _act(action: SignalAction, key: str, signal: ReceivedSignal, at: datetime) -> tuple[SignalOutcome, Left]:
    actor, why = provider_actor(signal.provider), f"{signal.provider.name} said {signal.kind}."
    if action == SignalAction.LEAVE:
        return SignalOutcome.LEFT, leave(subject_key=key, actor=actor, at=at, why=why)
    if action == SignalAction.SIGN_OUT:
        return SignalOutcome.SIGNED_OUT, sign_out_and_revoke(subject_key=key, actor=actor, at=at, why=why)
    sessions = end_sessions(subject_key=key, actor=actor, at=at, why=why)
    return SignalOutcome.SESSIONS_ENDED, Left(sessions, 0, suspended=False)


def _person(signal: ReceivedSignal) -> Subject | None:
    """Found by what the provider's sign-ins are known by. Its transmitter may sign under another issuer's name."""
    own = {signal.provider.issuer}
    own.update(SignalSource.objects.filter(provider=signal.provider).values_list("issuer", flat=True))
    if signal.issuer not in own or not signal.sub:
        return None
    login = Login.objects.select_related("subject").filter(issuer=signal.provider.issuer, sub=signal.sub).first()
    return None if login is None else login.subject


def _close(signal: ReceivedSignal, outcome: SignalOutcome, at: datetime) -> None:
    signal.outcome, signal.done_at = outcome, at
    signal.save(update_fields=["subject", "outcome", "done_at", "sessions", "tokens"])


def forget_old_signals(*, at: datetime) -> int:
    """The audit record keeps what was done; these rows need not be kept for ever."""
    deleted, _ = ReceivedSignal.objects.filter(received_at__lt=at - KEEP, done_at__isnull=False).delete()
    return deleted
