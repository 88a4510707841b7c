"""How much may be done: calls of agents by day and by minute, and tokens for anybody by minute.

Calls are counted as the doors report them, which is seconds after they happened, and a token that was given stays good
for its five minutes. So an agent can pass its budget by what it does in that time; it gets no further token then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Sum

from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import InvalidLimits
from apps.identity.models import AgentLimits, Kind, Subject, Tally
from apps.identity.services.subjects import get_locked, note

KEPT_FOR = timedelta(days=2)
LARGEST = 2_000_000_000


class LimitReached(Exception):
    """No token now. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def set_limits(
    *, subject_key: str, calls_per_day: int | None, calls_per_minute: int | None, actor: Actor, at: datetime
) -> AgentLimits:
    """None is no limit. Quiet when nothing changes."""
    with transaction.atomic():
        subject = get_locked(subject_key)
        policies.require_can_bind(actor, subject)
        wanted = {"calls_per_day": calls_per_day, "calls_per_minute": calls_per_minute}
        if subject.kind != Kind.AGENT or any(one is not None and not 0 < one < LARGEST for one in wanted.values()):
            raise InvalidLimits
        limits, _ = AgentLimits.objects.select_for_update().get_or_create(subject=subject)
        before = {name: getattr(limits, name) for name in wanted}
        if before != wanted:
            limits.calls_per_day, limits.calls_per_minute = calls_per_day, calls_per_minute
            limits.save()
            note(subject, "identity.limits.changed", actor=actor, at=at, before=before, after=wanted)
    return limits


def count(key: str, *, at: datetime, by: int = 1) -> int:
    """Add to the minute's tally; returns what it comes to. One statement, so that nobody's addition is lost."""
    minute = at.replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO identity_tally (key, minute, count) VALUES (%s, %s, %s) ON CONFLICT (key, minute) "
            "DO UPDATE SET count = identity_tally.count + EXCLUDED.count RETURNING count",
            [key[:320], minute, by],
        )
        return int(cursor.fetchone()[0])


def count_calls(calls: Mapping[tuple[str, datetime], int]) -> None:
    """Allowed calls of agents as the doors reported them, by key and minute.

    In order, so that two batches at once wait for each other and do not lock each other up.
    """
    for key, minute in sorted(calls):
        count(f"calls:{key}", at=minute, by=calls[key, minute])


def calls_today(key: str, *, at: datetime) -> int:
    found = Tally.objects.filter(key=f"calls:{key}", minute__gte=_midnight(at), minute__lte=at)
    return int(found.aggregate(sum=Sum("count"))["sum"] or 0)


def calls_this_minute(key: str, *, at: datetime) -> int:
    found = Tally.objects.filter(key=f"calls:{key}", minute=at.replace(second=0, microsecond=0)).first()
    return found.count if found else 0


def require_within(subject_key: str, *, tokens_per_minute: int, at: datetime) -> None:
    """Raises LimitReached. Counts the token that is about to be given."""
    if count(f"tokens:{subject_key}", at=at) > tokens_per_minute:
        raise LimitReached(f"More than {tokens_per_minute} tokens within this minute.", 60 - at.second)
    limits = AgentLimits.objects.filter(subject__key=subject_key).first() if _is_agent(subject_key) else None
    if limits is not None:
        _require_budget(subject_key, limits, at)


def _require_budget(key: str, limits: AgentLimits, at: datetime) -> None:
    day, minute = limits.calls_per_day, limits.calls_per_minute
    if day is not None and calls_today(key, at=at) >= day:
        tomorrow = _midnight(at) + timedelta(days=1)
        raise LimitReached(f"The {day} calls of this day are used up.", int((tomorrow - at).total_seconds()))
    if minute is not None and calls_this_minute(key, at=at) >= minute:
        raise LimitReached(f"The {minute} calls of this minute are used up.", 60 - at.second)


def _is_agent(key: str) -> bool:
    return key.startswith("agent:")


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def limits_of(subject: Subject) -> AgentLimits | None:
    return AgentLimits.objects.filter(subject=subject).first()


def forget(*, at: datetime) -> int:
    """Take away what is older than two days; returns how many rows. Meant to be swept."""
    return Tally.objects.filter(minute__lt=at - KEPT_FOR).delete()[0]
