"""Reading the outbox: what waits, what was given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from apps.outbox.models import Message, State


@dataclass(frozen=True, slots=True)
class Health:
    """How far behind the outbox is. ``oldest_waiting`` is when the longest waiting message became due."""

    waiting: int
    dead: int
    oldest_waiting: datetime | None


def get_health(*, at: datetime) -> Health:
    due = Q(state=State.PENDING, available_at__lte=at)
    counts = Message.objects.exclude(state=State.DONE).aggregate(
        waiting=Count("id", filter=Q(state=State.PENDING)),
        dead=Count("id", filter=Q(state=State.DEAD)),
        oldest=Min("available_at", filter=due),
    )
    return Health(waiting=counts["waiting"], dead=counts["dead"], oldest_waiting=counts["oldest"])


def list_dead() -> QuerySet[Message]:
    return Message.objects.filter(state=State.DEAD).order_by("-id")


def list_failing() -> QuerySet[Message]:
    """Tried at least once without success, and still trying."""
    return Message.objects.filter(state=State.PENDING, attempts__gt=0).exclude(last_error="").order_by("-id")
