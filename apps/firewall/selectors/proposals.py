"""What somebody proposed and this person may answer: one list of three kinds, for the page they begin at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet, Value

from apps.access.policies import GOVERNORS
from apps.access.selectors.cleaning import clean_ups_to_decide
from apps.firewall.models import Decommission, RuleBaseCleaning
from apps.firewall.rule_base_policies import DECIDERS
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

CLEAN_UP, CLEANING, END = "clean_up", "cleaning", "end"


@dataclass(frozen=True, slots=True)
class Proposed:
    """``kind``: to end access, to take lines out of a rule base, or to give a service up; ``key`` finds its page."""

    kind: str
    key: str
    about: str
    asker: str
    reason: str
    created_at: datetime


def list_proposed(viewer: Subject, *, limit: int = 8) -> list[Proposed]:
    """The longest waiting first, in one query. Whoever proposed it is never asked."""
    if viewer.kind != "person" or not viewer.is_active:
        return []
    parts = [
        _row(clean_ups_to_decide(viewer), CLEAN_UP, "public_id", "service__title", "proposer__name"),
        _row(_cleanings(viewer), CLEANING, "public_id", "base__name", "asked_by__name"),
        _row(_ends(viewer), END, "service__slug", "service__title", "asker__name"),
    ]
    rows = parts[0].union(*parts[1:], all=True).order_by("created_at")[:limit]
    return [Proposed(*row) for row in rows]


def _row(rows: QuerySet[object], kind: str, *names: str) -> QuerySet[object, tuple[object, ...]]:
    return rows.order_by().annotate(kind=Value(kind)).values_list("kind", *names, "reason", "created_at")


def _cleanings(viewer: Subject) -> QuerySet[RuleBaseCleaning]:
    rows = RuleBaseCleaning.objects.filter(outcome="", proven_at__isnull=False)
    rows = rows.exclude(Q(asked_by=viewer) | Q(asked_by__owner=viewer, asked_by__owner__isnull=False))
    if identity.has_role(viewer, *DECIDERS):
        return rows
    return rows.filter(base__team__in=[one.pk for one in identity.teams_of(viewer) if identity.is_owner(viewer, one)])


def _ends(viewer: Subject) -> QuerySet[Decommission]:
    waiting = Decommission.objects.filter(outcome="").exclude(asker=viewer)
    return waiting if identity.has_role(viewer, *GOVERNORS) else waiting.none()
