"""What waits for a person's answer besides requests: standing access, and what somebody proposed. For one's home."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Min, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from apps.access.policies import GOVERNORS
from apps.access.selectors.cleaning import clean_ups_to_decide
from apps.access.selectors.standing import waiting_standing
from apps.firewall.models import Decommission, RuleBaseCleaning
from apps.firewall.rule_base_policies import DECIDERS
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

CLEAN_UP, CLEANING, END, STANDING = "clean_up", "cleaning", "end", "standing"
EMPTY = Value("", output_field=TextField())


@dataclass(frozen=True, slots=True)
class Proposed:
    """``kind``: to end access, to take lines out of a rule base, or to give a service up; ``key`` finds its page."""

    kind: str
    key: str
    about: str
    asker: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Besides:
    """``standing`` counts standing access to keep or end."""

    standing: int = 0
    proposed: tuple[Proposed, ...] = ()


def waiting_besides(viewer: Subject, *, limit: int = 8) -> Besides:
    """Each kind's longest waiting first, all in one query. Whoever proposed something is never asked about it."""
    if viewer.kind != "person" or not viewer.is_active:
        return Besides()
    standing = waiting_standing(viewer).order_by().values(kind=Value(STANDING)).annotate(count=Count("pk"))
    told = standing.annotate(
        key=Cast("count", TextField()), about=EMPTY, asker=EMPTY, reason=EMPTY, created_at=Min("opened_at")
    )
    rows: QuerySet[Any, Any] = told.values_list("kind", "key", "about", "asker", "reason", "created_at").union(
        _row(clean_ups_to_decide(viewer), CLEAN_UP, "public_id", "service__title", "proposer__name"),
        _row(_cleanings(viewer), CLEANING, "public_id", "base__name", "asked_by__name"),
        _row(_ends(viewer), END, "service__slug", "service__title", "asker__name"),
        all=True,
    )
    found = [Proposed(*row) for row in rows.order_by("-kind", "created_at")[: limit + 1]]
    counts = [int(one.key) for one in found if one.kind == STANDING]
    return Besides(sum(counts), tuple(one for one in found if one.kind != STANDING)[:limit])


def _row(rows: QuerySet[Any], kind: str, *names: str) -> QuerySet[Any, Any]:
    told: QuerySet[Any, Any] = rows.order_by().annotate(kind=Value(kind))
    return told.values_list("kind", *names, "reason", "created_at")


def _cleanings(viewer: Subject) -> QuerySet[RuleBaseCleaning]:
    rows = RuleBaseCleaning.objects.filter(outcome="", proven_at__isnull=False)
    rows = rows.exclude(Q(asked_by=viewer) | Q(asked_by__owner=viewer, asked_by__owner__isnull=False))
    if identity.has_role(viewer, *DECIDERS):
        return rows
    return rows.filter(base__team__in=[one.pk for one in identity.teams_of(viewer) if identity.is_owner(viewer, one)])


def _ends(viewer: Subject) -> QuerySet[Decommission]:
    waiting = Decommission.objects.filter(outcome="").exclude(asker=viewer)
    return waiting if identity.has_role(viewer, *GOVERNORS) else waiting.none()
