"""Looking again at access that has no end: how often, and each question with its answer."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.access.states import StandingState


class StandingCause(models.TextChoices):
    """Why somebody is asked."""

    SCHEDULE = "schedule", "It is time to look at it again"
    UNUSED = "unused", "No call used it"


class Lapse(models.TextChoices):
    """What becomes of access on schedule about which nobody answers."""

    PEOPLE = "people", "It ends; what a running service calls by stays, and is asked about ever again"
    END = "end", "It ends"
    ASK = "ask", "It stays, and security is asked ever again"


class StandingPolicy(models.Model):
    """How standing access is looked at again: one row. Days; 0 is never.

    ``watched_since`` is when calls began to be counted for grants: before it nothing can be called unused.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    version = models.PositiveIntegerField(default=1)
    open_days = models.PositiveSmallIntegerField(default=365)
    internal_days = models.PositiveSmallIntegerField(default=180)
    sensitive_days = models.PositiveSmallIntegerField(default=90)
    critical_days = models.PositiveSmallIntegerField(default=90)
    unused_days = models.PositiveSmallIntegerField(default=90)
    answer_days = models.PositiveSmallIntegerField(default=14)
    escalate_days = models.PositiveSmallIntegerField(default=7)
    lapse = models.CharField(max_length=8, choices=Lapse, default=Lapse.PEOPLE)
    watched_since = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="access_standingpolicy_is_one_row"),
            models.CheckConstraint(condition=Q(answer_days__gte=1), name="access_standingpolicy_time_to_answer"),
            models.CheckConstraint(condition=Q(lapse__in=Lapse.values), name="access_standingpolicy_lapse_known"),
        ]

    def __str__(self) -> str:
        return f"version {self.version}"


class StandingReview(models.Model):
    """Whether one standing grant goes on: asked of the service's owners, and of security once it was passed on.

    ``due_at`` is until when those who are asked now may answer; ``reminded`` of how many of the days before it they
    were reminded, and ``asked_again`` how often security was asked once more after it let a day pass.
    """

    machine: ClassVar[str] = "standing review"

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    grant = models.ForeignKey("access.Grant", on_delete=models.PROTECT, related_name="standing_reviews")
    cause = models.CharField(max_length=8, choices=StandingCause)
    state = models.CharField(max_length=8, choices=StandingState, default=StandingState.OPEN)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    escalated_at = models.DateTimeField(null=True)
    reminded = models.PositiveSmallIntegerField(default=0)
    asked_again = models.PositiveSmallIntegerField(default=0)
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey("identity.Subject", null=True, on_delete=models.PROTECT, related_name="+")
    comment = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["grant"], condition=Q(state=StandingState.OPEN), name="access_standing_one_open"
            ),
            models.CheckConstraint(condition=Q(state__in=StandingState.values), name="access_standing_state_known"),
            models.CheckConstraint(
                condition=Q(state=StandingState.OPEN, answered_at__isnull=True)
                | (~Q(state=StandingState.OPEN) & Q(answered_at__isnull=False)),
                name="access_standing_answered_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=StandingState.KEPT) | (Q(answered_by__isnull=False) & ~Q(comment="")),
                name="access_standing_kept_by_somebody",
            ),
            models.CheckConstraint(condition=Q(due_at__gt=F("opened_at")), name="access_standing_due_later"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state=StandingState.OPEN), name="access_standing_due"),
            models.Index(fields=["grant", "-id"], name="access_standing_of_grant"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def times_asked(self) -> int:
        return 1 + self.asked_again
