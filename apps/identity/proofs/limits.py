"""How much may be done: calls of agents by day and by minute, and tokens for anybody by minute.

Calls are counted as the doors report them, which is seconds after they happened. A day's budget that is spent by then
is told to the doors, which turn the agent away until midnight UTC; so an agent can pass its budget by what it calls in
those seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Sum

from apps.audit.actors import SYSTEM, Actor
from apps.identity import policies
from apps.identity.errors import InvalidLimits
from apps.identity.models import AgentLimits, Kind, Subject, Tally
from apps.identity.services import denials
from apps.identity.services.subjects import get_locked, note, record

KEPT_FOR = timedelta(days=2)
WARN_AT = 0.8
"""The part of a day's budget after which its owner is told."""

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
            limits.warned_on = None
            limits.save()
            _weigh(subject, limits, at, actor)
            note(subject, "identity.limits.changed", actor=actor, at=at, before=before, after=wanted)
    return limits


def enforce(agents: Collection[str], *, at: datetime) -> None:
    """Look at the budgets of agents whose calls were just counted. Says the same thing once, however often it is asked.

    Not part of the counting: that must not wait for the record. What is missed here is seen with the next call.
    """
    limited = AgentLimits.objects.filter(subject__key__in=agents, calls_per_day__isnull=False)
    for key in limited.order_by("subject__key").values_list("subject__key", flat=True):
        with transaction.atomic():
            subject = get_locked(key)
            _weigh(subject, AgentLimits.objects.select_for_update().get(subject=subject), at, SYSTEM)


def _weigh(subject: Subject, limits: AgentLimits, at: datetime, actor: Actor) -> None:
    """Bring what the doors are told in line with what was spent. The caller holds the subject."""
    day = limits.calls_per_day
    spent = calls_today(subject.key, at=at) if day is not None else 0
    facts = {"calls_today": spent, "calls_per_day": day}
    standing = standing_of(limits, spent)
    if standing != "spent":
        if denials.lift_budget(subject):
            note(subject, "identity.budget.restored", actor=actor, at=at, after=facts)
    elif not denials.is_budget_denied(subject, at=at):
        denials.deny_until(subject, until=_midnight(at) + timedelta(days=1), at=at)
        note(subject, "identity.budget.spent", actor=actor, at=at, after=facts)
    if standing == "nearly" and limits.warned_on != at.date():
        limits.warned_on = at.date()
        limits.save(update_fields=["warned_on"])
        record(subject, "identity.budget.nearly_spent", actor=actor, at=at, after=facts)


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


def standing_of(limits: AgentLimits | None, spent: int) -> str:
    """``spent``, ``nearly`` or empty."""
    day = limits.calls_per_day if limits is not None else None
    if day is None or spent < WARN_AT * day:
        return ""
    return "nearly" if spent < day else "spent"


def limits_of(subject: Subject) -> AgentLimits | None:
    return AgentLimits.objects.filter(subject=subject).first()


def forget(*, at: datetime) -> int:
    """Take away what is older than two days; returns how many rows. Meant to be swept."""
    return Tally.objects.filter(minute__lt=at - KEPT_FOR).delete()[0]
