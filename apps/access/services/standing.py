"""Asking whether standing access goes on, taking the answer, and ending what nobody answers for.

Every sweep takes its rows by lock and in bites, does nothing twice, and leaves nothing half done when it is killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from apps.access import policies, refusals
from apps.access.asks import REASON_LENGTH, read_text
from apps.access.ids import new_standing_id
from apps.access.models import SENSITIVITIES, Grant, GrantUse, StandingPolicy, StandingReview
from apps.access.selectors.standing import NEW, StandingValues, get_schedule, visible_standing
from apps.access.services.grants import end_locked, locked_where
from apps.access.services.records import record_standing
from apps.access.standing_models import Lapse, StandingCause
from apps.access.states import LIVE_GRANTS, GrantState, StandingState, move
from apps.audit import services as audit
from apps.audit.actors import SYSTEM, Actor
from apps.compiler.graph import SubjectKind

if TYPE_CHECKING:
    from apps.identity.models import Subject

BITE = 200
REMIND = (7, 3, 1)
"""So many days before their day is over those who are asked are reminded, unless they had no longer to begin with."""

USUAL_PAUSE = 7
"""Days until security is asked again where the schedule gives it none."""

NOBODY_ANSWERED = "Nobody answered for it in time."


def ensure_watching(*, at: datetime) -> None:
    """From now on calls count for grants; before, nothing can be called unused."""
    StandingPolicy.objects.get_or_create(pk=1, defaults={"watched_since": at})


def save_standing_policy(*, values: StandingValues, version: int, actor: Actor, at: datetime) -> StandingPolicy:
    """Make the schedule say this, if ``version`` is the one its author saw. Questions that are open keep their day.

    Raises RuleMoved and BadStandingPolicy.
    """
    policies.require_can_govern(actor)
    with transaction.atomic():
        ensure_watching(at=at)
        row = StandingPolicy.objects.select_for_update().get(pk=1)
        if version not in ({row.version, NEW} if row.version == 1 else {row.version}):
            raise refusals.RuleMoved
        before = {name: getattr(row, name) for name in asdict(values)}
        for name, value in asdict(values).items():
            setattr(row, name, value)
        row.version += 1
        _check(row)
        row.save()
        audit.record(
            action="access.standing_policy.changed",
            actor=actor,
            target_type="access.standing_policy",
            target_id="1",
            target_name="Standing access",
            before=before,
            after=asdict(values),
            at=at,
        )
    return row


def _check(row: StandingPolicy) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        fields = {name: list(complaints) for name, complaints in error.message_dict.items()}
        raise refusals.BadStandingPolicy(" ".join(error.messages), fields=fields) from error


def open_due_reviews(*, at: datetime, limit: int = BITE) -> int:
    """Ask about what is due and about what nobody uses; how many questions were opened."""
    ensure_watching(at=at)
    schedule = get_schedule()
    opened = 0
    for cause, due in (
        (StandingCause.UNUSED, _unused(schedule.values, schedule.watched_since, at)),
        (StandingCause.SCHEDULE, _scheduled(schedule.values, at)),
    ):
        ids = list(due.order_by("pk").values_list("pk", flat=True)[: limit - opened])
        if ids:
            opened += _open(ids, cause, schedule.values, at)
    return opened


def _standing() -> QuerySet[Grant]:
    """Open without an end, and not asked about now. ``looked_at`` is when somebody last said that it stays."""
    asked = StandingReview.objects.filter(grant=OuterRef("pk"), state=StandingState.OPEN)
    rows = Grant.objects.filter(state=GrantState.ACTIVE, duration__isnull=True, treatment__isnull=True, ends_at=None)
    rows = rows.exclude(Exists(asked)).exclude(subject__kind=SubjectKind.PARTY)
    kept = Max("standing_reviews__answered_at", filter=Q(standing_reviews__state=StandingState.KEPT))
    return rows.annotate(looked_at=Coalesce(kept, F("approved_at")))


def _scheduled(values: StandingValues, at: datetime) -> QuerySet[Grant]:
    due = Q(pk__in=[])
    for sensitivity in SENSITIVITIES:
        days = values.days_of(sensitivity)
        if days:
            due |= Q(service__sensitivity=sensitivity, looked_at__lte=at - timedelta(days=days))
    return _standing().filter(due)


def _unused(values: StandingValues, watched_since: datetime | None, at: datetime) -> QuerySet[Grant]:
    since = at - timedelta(days=values.unused_days)
    if not values.unused_days or watched_since is None or watched_since > since:
        return Grant.objects.none()
    used = GrantUse.objects.filter(grant=OuterRef("pk"), last_at__gt=since)
    return _standing().filter(Q(looked_at__lte=since), starts_at__lte=since).exclude(Exists(used))


def _open(ids: Sequence[int], cause: StandingCause, values: StandingValues, at: datetime) -> int:
    """The grants are locked: of two sweeps at once the second finds the question asked."""
    with transaction.atomic():
        grants = locked_where(Q(pk__in=ids, state=GrantState.ACTIVE))
        asked = StandingReview.objects.filter(grant__in=grants, state=StandingState.OPEN)
        known = set(asked.values_list("grant_id", flat=True))
        rows = [_question(grant, cause, values, at) for grant in grants if grant.pk not in known]
        StandingReview.objects.bulk_create(rows)
        if rows:
            record_standing("asked", rows, actor=SYSTEM, at=at)
    return len(rows)


def _question(grant: Grant, cause: StandingCause, values: StandingValues, at: datetime) -> StandingReview:
    """Goes to security at once where whoever owns the service owns what holds it: nobody answers for their own."""
    holding_team = grant.subject_id if grant.subject.kind == SubjectKind.TEAM else grant.subject.team_id
    return StandingReview(
        public_id=new_standing_id(),
        grant=grant,
        cause=cause,
        opened_at=at,
        due_at=at + timedelta(days=values.answer_days),
        escalated_at=at if holding_team == grant.service.team_id else None,
        reminded=_too_early(values.answer_days),
    )


def _too_early(days: int) -> int:
    """How many of the reminders would come no later than the question itself."""
    return sum(one >= days for one in REMIND)


def answer_standing(*, public_id: str, actor: Subject, keep: bool, comment: str = "", at: datetime) -> StandingReview:
    """Keep it, with a reason, or end it.

    Raises HolderNeverKeeps, NotYoursToAnswer, AgentsNeverDecide, StandingAnswered.

    When the access is gone meanwhile the question is settled, and nothing else happens.
    """
    with transaction.atomic():
        row = _locked(Q(public_id=public_id, pk__in=visible_standing(actor).values("pk")))
        if row is None:
            raise refusals.UnknownStandingReview
        policies.require_may_answer(actor, row, keep=keep)
        row.comment = read_text("comment", comment, longest=REASON_LENGTH, required=keep)
        grant = _live(row)
        if grant is None:
            _settle_locked(row, at)
            return row
        if not keep:
            why = f"Standing access looked at again: {row.comment or row.get_cause_display()}"
            end_locked(grant, to=GrantState.REVOKED, by=actor, why=why, at=at)
        _close(row, StandingState.KEPT if keep else StandingState.ENDED, actor, at)
        record_standing(row.state, [row], actor=actor.actor, at=at, after={"comment": row.comment})
    return row


def _locked(which: Q) -> StandingReview | None:
    rows = StandingReview.objects.select_for_update(of=("self",)).filter(which)
    return rows.select_related("grant__subject__owner", "grant__subject__team", "grant__service__team").first()


def _live(row: StandingReview) -> Grant | None:
    """The grant, locked after its question: the order everybody keeps."""
    return next(iter(locked_where(Q(pk=row.grant_id, state__in=LIVE_GRANTS))), None)


def _close(row: StandingReview, to: StandingState, by: Subject | None, at: datetime) -> None:
    move(row, to)
    row.answered_at, row.answered_by = at, by
    row.save(update_fields=["state", "answered_at", "answered_by", "comment"])


def follow_up(*, at: datetime, limit: int = BITE) -> int:
    """Settle what is no question any more, remind of what is due soon, pass on what is late, and of what stayed late
    end what may end and ask about the rest again; each in its own transaction."""
    schedule = get_schedule().values
    done = sum(_settle(pk, at) for pk in _moot().values_list("pk", flat=True)[:limit])
    done += sum(_remind(pk, at) for pk in _soon_due(at).values_list("pk", flat=True)[:limit])
    late = StandingReview.objects.filter(state=StandingState.OPEN, due_at__lte=at)
    late = late.exclude(cause=StandingCause.UNUSED, escalated_at__isnull=False).order_by("due_at", "pk")
    return done + sum(_follow(pk, schedule, at) for pk in late.values_list("pk", flat=True)[:limit])


def _soon_due(at: datetime) -> QuerySet[StandingReview]:
    """A reminder is due of these: the day of one is reached that was not sent. What never ends is not hurried."""
    reached = Q(pk__in=[])
    for count, days in enumerate(REMIND, 1):
        reached |= Q(due_at__lte=at + timedelta(days=days), reminded__lt=count)
    rows = StandingReview.objects.filter(reached, state=StandingState.OPEN, due_at__gt=at)
    return rows.exclude(cause=StandingCause.UNUSED).order_by("due_at", "pk")


def _remind(pk: int, at: datetime) -> bool:
    with transaction.atomic():
        row = _locked(Q(pk=pk, pk__in=_soon_due(at).values("pk")))
        if row is None:
            return False
        row.reminded = sum(row.due_at <= at + timedelta(days=days) for days in REMIND)
        row.save(update_fields=["reminded"])
        record_standing("reminded", [row], actor=SYSTEM, at=at)
    return True


def _moot() -> QuerySet[StandingReview]:
    """About access that ended some other way, or that was used since somebody was asked why nobody does."""
    used = GrantUse.objects.filter(grant=OuterRef("grant"), last_at__gt=OuterRef("opened_at"))
    gone = ~Q(grant__state__in=LIVE_GRANTS) | (Q(cause=StandingCause.UNUSED) & Exists(used))
    return StandingReview.objects.filter(gone, state=StandingState.OPEN).order_by("pk")


def _settle(pk: int, at: datetime) -> bool:
    with transaction.atomic():
        row = _locked(Q(pk=pk, state=StandingState.OPEN))
        if row is None:
            return False
        _settle_locked(row, at)
    return True


def _settle_locked(row: StandingReview, at: datetime) -> None:
    _close(row, StandingState.SETTLED, None, at)
    record_standing("settled", [row], actor=SYSTEM, at=at)


def _follow(pk: int, values: StandingValues, at: datetime) -> bool:
    with transaction.atomic():
        row = _locked(Q(pk=pk, state=StandingState.OPEN, due_at__lte=at))
        if row is None:
            return False
        grant = _live(row)
        if grant is None:
            _settle_locked(row, at)
        elif row.escalated_at is None and (values.escalate_days or not _may_end(row, values)):
            _pass_on(row, values, at)
        elif _may_end(row, values):
            end_locked(grant, to=GrantState.REVOKED, by=None, why=NOBODY_ANSWERED, at=at)
            _close(row, StandingState.LAPSED, None, at)
            record_standing("lapsed", [row], actor=SYSTEM, at=at)
        elif row.cause == StandingCause.SCHEDULE:
            _ask_again(row, values, at)
    return True


def _may_end(row: StandingReview, values: StandingValues) -> bool:
    """What nobody uses is only proposed to go: it takes somebody to say so. A service that runs is not stopped because
    somebody is away, unless the schedule says that it is."""
    if row.cause != StandingCause.SCHEDULE or values.lapse == Lapse.ASK:
        return False
    return values.lapse == Lapse.END or row.grant.subject.kind != SubjectKind.WORKLOAD


def _pass_on(row: StandingReview, values: StandingValues, at: datetime) -> None:
    row.escalated_at = at
    _put_off(row, max(values.escalate_days, 1), at)
    record_standing("passed_on", [row], actor=SYSTEM, at=at)


def _ask_again(row: StandingReview, values: StandingValues, at: datetime) -> None:
    row.asked_again += 1
    _put_off(row, values.escalate_days or USUAL_PAUSE, at)
    record_standing("asked_again", [row], actor=SYSTEM, at=at, after={"times": row.asked_again})


def _put_off(row: StandingReview, days: int, at: datetime) -> None:
    row.due_at, row.reminded = at + timedelta(days=days), _too_early(days)
    row.save(update_fields=["escalated_at", "due_at", "reminded", "asked_again"])
