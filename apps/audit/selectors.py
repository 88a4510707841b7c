"""Reading the record. Whoever calls has checked that the reader may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.audit.models import Event

LARGEST_PAGE = 200


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Empty means any. ``action`` is a prefix (``access.request``), the others are exact; ``until`` is exclusive."""

    actor: str = ""
    action: str = ""
    target_type: str = ""
    target_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. ``next_before`` starts the following page; None on the last."""

    events: list[Event]
    next_before: int | None


def list_events(*, filters: EventFilter | None = None, before_seq: int | None = None, limit: int = 50) -> Page:
    limit = max(1, min(limit, LARGEST_PAGE))
    found = matching(filters or EventFilter()).order_by("-seq")
    if before_seq is not None:
        found = found.filter(seq__lt=before_seq)
    events = list(found[: limit + 1])
    more = len(events) > limit
    return Page(events[:limit], events[limit - 1].seq if more else None)


def find_latest(*, target_type: str, target_id: str, action: str) -> Event | None:
    """The last time exactly ``action`` was done to one thing."""
    found = Event.objects.filter(target_type=target_type, target_id=target_id, action=action)
    return found.order_by("-seq").first()


def get_event(seq: int) -> Event | None:
    return Event.objects.filter(seq=seq).first()


def matching(filters: EventFilter) -> QuerySet[Event]:
    found = Event.objects.all()
    exact = {
        "actor_id": filters.actor,
        "target_type": filters.target_type,
        "target_id": filters.target_id,
        "action__startswith": filters.action,
        "at__gte": filters.since,
        "at__lt": filters.until,
    }
    return found.filter(**{lookup: value for lookup, value in exact.items() if value})
