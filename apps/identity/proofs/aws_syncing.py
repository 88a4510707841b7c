"""Copying AWS accounts: every hour, when somebody asks for it, and what is known of how it went."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.errors import NotFound, Refusal
from apps.identity import policies
from apps.identity.models import AwsSync, SyncOutcome
from apps.identity.proofs.aws_directory import Open, Synced, TooManyVanished, open_session, sync
from apps.outbox import services as outbox

ASKED = "identity.aws.asked"
OWN = "own"
PATIENCE = timedelta(minutes=10)
"""So long an answer may take; who asks later than that asks anew."""


class SyncMoved(Refusal):
    code = "aws_sync_moved"
    default_message = "What would vanish is no longer what you were shown. Look again."


def ask_sync(*, role: str, may_lose: int = 0, actor: Actor, at: datetime) -> AwsSync:
    """Have the account that ``role`` reads copied now; a worker does it. Asking twice is asking once.

    ``may_lose`` confirms a copy that was held: it is the number shown, and raises SyncMoved when another is true now.
    """
    policies.require_can_administer(actor)
    if role not in settings.SALLYPORT_AWS_SYNC_ROLES:
        raise NotFound
    with transaction.atomic():
        row = _locked(role)
        if may_lose and (row.outcome, row.losing) != (SyncOutcome.HELD, may_lose):
            raise SyncMoved
        if row.asked_at is not None and row.asked_at > at - PATIENCE and row.may_lose == may_lose:
            return row
        row.asked_at, row.asked_by, row.may_lose = at, actor.id, may_lose
        row.save()
        _record("asked", row, actor, at, {"role": role, "may_lose": may_lose})
        outbox.enqueue(topic=ASKED, key=role, at=at)
    return row


def answer(*, role: str, open_as: Open = open_session, at: datetime) -> AwsSync | None:
    """Copy what somebody asked for; None when nobody waits any more. Idempotent."""
    row = AwsSync.objects.filter(role=role, asked_at__isnull=False).first()
    return None if row is None else copy(role=role, open_as=open_as, at=at)


def copy(*, role: str, open_as: Open = open_session, confirmed: bool = False, at: datetime) -> AwsSync:
    """Copy one account and write down how it went. AWS is asked before anything is locked."""
    asked = AwsSync.objects.filter(role=role).first()
    may_lose = asked.may_lose if asked else 0
    try:
        session = open_as("" if role == OWN else role)
        values = _copied(sync(session=session, confirmed=confirmed, may_lose=may_lose, at=at))
    except TooManyVanished as refusal:
        values = {**refusal.extra, "outcome": SyncOutcome.HELD, "message": refusal.message}
    except Refusal as refusal:
        values = {"outcome": SyncOutcome.FAILED, "message": refusal.message[:500]}
    with transaction.atomic():
        row = _locked(role)
        if row.asked_at is None or row.asked_at <= at:
            values |= {"asked_at": None, "may_lose": 0}
        for name, value in {**values, "done_at": at}.items():
            setattr(row, name, value)
        row.save()
    return row


def _copied(done: Synced) -> dict[str, object]:
    return {
        "outcome": SyncOutcome.COPIED,
        "account": done.account,
        "seen": done.seen,
        "new": done.new,
        "vanished": done.vanished,
        "ended": done.ended,
        "losing": 0,
        "present": 0,
        "message": "",
    }


def sync_all(*, roles: Iterable[str], open_as: Open = open_session, confirmed: bool = False, at: datetime) -> list[str]:
    """Each account by the role that reads it; a line about each. One that fails does not keep the others."""
    return [_line(copy(role=role, open_as=open_as, confirmed=confirmed, at=at)) for role in roles]


def _line(row: AwsSync) -> str:
    if row.outcome != SyncOutcome.COPIED:
        return f"{row.role}: {row.message}"
    return f"{row.account}: {row.seen} seen, {row.new} new, {row.vanished} vanished, {row.ended} bindings ended"


def _locked(role: str) -> AwsSync:
    AwsSync.objects.get_or_create(role=role)
    return AwsSync.objects.select_for_update().get(role=role)


def _record(verb: str, row: AwsSync, actor: Actor, at: datetime, after: dict[str, object]) -> None:
    audit.record(
        action=f"identity.aws.{verb}",
        actor=actor,
        target_type="identity.aws_account",
        target_id=row.account or row.role,
        target_name=row.account or row.role,
        after=after,
        at=at,
    )
