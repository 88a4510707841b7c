"""Standing access that is looked at again: who is asked, about what, and how it was used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Max, Q, QuerySet

from apps.access import policies, refusals
from apps.access.models import StandingPolicy, StandingReview
from apps.access.selectors.pages import PAGE, Page, page_of
from apps.access.selectors.visibility import visible_grants
from apps.access.standing_models import Lapse
from apps.access.states import StandingState
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

NEW = 0
"""The version of a schedule nobody has kept yet."""


@dataclass(frozen=True, slots=True)
class StandingValues:
    """Days, 0 is never: after how long each sensitivity is asked about, what counts as unused, how long to answer."""

    open_days: int = 365
    internal_days: int = 180
    sensitive_days: int = 90
    critical_days: int = 90
    unused_days: int = 90
    answer_days: int = 14
    escalate_days: int = 7
    lapse: str = Lapse.PEOPLE.value

    def days_of(self, sensitivity: str) -> int:
        return int(getattr(self, f"{sensitivity}_days"))


@dataclass(frozen=True, slots=True)
class Schedule:
    values: StandingValues
    version: int
    watched_since: datetime | None


def get_schedule() -> Schedule:
    row = StandingPolicy.objects.first()
    if row is None:
        return Schedule(StandingValues(), NEW, None)
    return Schedule(
        StandingValues(**{name: getattr(row, name) for name in asdict(StandingValues())}),
        row.version,
        row.watched_since,
    )


def visible_standing(viewer: Subject) -> QuerySet[StandingReview]:
    return StandingReview.objects.filter(grant__in=visible_grants(viewer))


def waiting_standing(subject: Subject) -> QuerySet[StandingReview]:
    """What waits for ``subject``: of its teams' services, and what was passed on to security. Never about its own."""
    if subject.kind != "person" or not subject.is_active:
        return StandingReview.objects.none()
    owned = [team.pk for team in identity.teams_of(subject) if identity.is_owner(subject, team)]
    asked = Q(grant__service__team__in=owned)
    if identity.has_role(subject, *policies.GOVERNORS):
        asked |= Q(escalated_at__isnull=False)
    own = [one.pk for one in identity.acting_for(subject)]
    return StandingReview.objects.filter(asked, state=StandingState.OPEN).exclude(grant__subject__in=own)


def list_standing(
    *,
    viewer: Subject,
    waiting: bool = False,
    states: Collection[str] = (),
    service: str = "",
    after: int | None = None,
    limit: int = PAGE,
) -> Page[StandingReview]:
    """``last_used_at`` is when a call was last let through by the grant; None when none was seen."""
    rows = waiting_standing(viewer) if waiting else visible_standing(viewer)
    if states:
        rows = rows.filter(state__in=states)
    if service:
        rows = rows.filter(grant__service__slug=service)
    return page_of(with_parts(rows), after=after, limit=limit)


def with_parts(rows: QuerySet[StandingReview]) -> QuerySet[StandingReview]:
    rows = rows.select_related("grant__subject", "grant__service__team", "grant__environment", "answered_by")
    return rows.prefetch_related("grant__routes").annotate(last_used_at=Max("grant__uses__last_at"))


def asked_about(grant_ids: Collection[int]) -> dict[int, datetime]:
    """Of these grants (by primary key) those about which somebody is asked now, and until when. One query."""
    rows = StandingReview.objects.filter(grant__in=grant_ids, state=StandingState.OPEN)
    return dict(rows.values_list("grant", "due_at"))


def get_standing(*, viewer: Subject, public_id: str) -> StandingReview:
    """Raises UnknownStandingReview for what ``viewer`` may not see."""
    row = with_parts(visible_standing(viewer)).filter(public_id=public_id).first()
    if row is None:
        raise refusals.UnknownStandingReview
    return row
