"""Code on its way: tried on staging, watched on production, taken back when it was not good."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.rollout.models.targets import Target
from apps.rollout.states import OPEN_RELEASES, ReleaseState


class Release(models.Model):
    """One version of the code going to production. ``number`` is the revision it belongs to.

    ``staging`` and ``production`` are the calls that were made there, each with what it should and what it did answer;
    ``before`` names those that failed on production already before this code was there. ``counts``: calls and edge
    errors in the window before and after it. ``straight``: it was good before and skips the trial. ``instead_of`` is
    the release it was put back for. ``due_at`` is when it is to be asked next, ``words`` what came of it.
    """

    machine: ClassVar[str] = "release"

    target = models.ForeignKey(Target, models.CASCADE, related_name="releases")
    version = models.CharField(max_length=32)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=ReleaseState, default=ReleaseState.STAGING)
    straight = models.BooleanField(default=False)
    forgiven = models.BooleanField(default=False)
    instead_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="replaced_by")
    asked_by = models.CharField(max_length=200, default="", blank=True)
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    staging = models.JSONField(default=list)
    production = models.JSONField(default=list)
    before = models.JSONField(default=list)
    counts = models.JSONField(default=dict)
    words = models.TextField(default="", blank=True)
    began_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)
    production_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)
    watch_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ReleaseState.values), name="rollout_release_state_known"),
            models.UniqueConstraint(
                fields=["target"], condition=Q(state__in=OPEN_RELEASES), name="rollout_release_one_open"
            ),
        ]
        indexes = [models.Index(fields=["target", "-id"], name="rollout_release_newest")]

    def __str__(self) -> str:
        return f"{self.version} ({self.state})"
