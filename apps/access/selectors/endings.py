"""How access ended that nobody ended by hand: when, and when the last door was closed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q

from apps.access.models import Grant
from apps.access.states import DoorState, GrantState


@dataclass(frozen=True, slots=True)
class Ending:
    """A grant that a suspension ended. ``holders`` are the keys of who held it and of who answers for that.

    ``closed_at`` is None while a door is not closed.
    """

    holders: frozenset[str]
    ended_at: datetime
    closed_at: datetime | None


def list_endings_by_suspension(*, subject_keys: Collection[str], since: datetime) -> list[Ending]:
    """Of those subjects and the agents they answer for. One query."""
    mine = Q(subject__key__in=subject_keys) | Q(subject__owner__key__in=subject_keys)
    rows = (
        Grant.objects.filter(mine, state=GrantState.REVOKED, ended_by=None, ended_at__gte=since)
        .annotate(last=Max("doors__closed_at"), waiting=Count("doors", filter=~Q(doors__state=DoorState.CLOSED)))
        .values_list("subject__key", "subject__owner__key", "ended_at", "last", "waiting")
    )
    return [
        Ending(frozenset(filter(None, (holder, owner))), ended_at, None if waiting else last)
        for holder, owner, ended_at, last, waiting in rows
        if ended_at is not None
    ]


def list_ended(public_ids: Collection[str]) -> frozenset[str]:
    """Those of these grants that are over. One query, and none for nothing."""
    if not public_ids:
        return frozenset()
    over = Grant.objects.filter(public_id__in=public_ids, ended_at__isnull=False)
    return frozenset(over.values_list("public_id", flat=True))
