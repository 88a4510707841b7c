"""What a target should hold: artifacts by hash, revisions of them, and changes that wait to be compiled."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.rollout.models.targets import Target


class Blob(models.Model):
    """Content by its hash. ``sealed`` content holds secrets and is stored encrypted; ``size`` is that of the plain."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    content = models.BinaryField()
    size = models.PositiveIntegerField()
    sealed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.sha256[:12]


class TargetArtifact(models.Model):
    """What a target should hold at a path (``sha256`` empty: nothing), and what it was last seen to take."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="artifacts")
    path = models.CharField(max_length=400)
    service = models.CharField(max_length=63, default="", blank=True)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    applied_sha256 = models.CharField(max_length=64, default="", blank=True)
    media_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(default=0)
    checked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "path"], name="rollout_artifact_path_once")]
        indexes = [
            models.Index(
                fields=["target"], condition=~Q(sha256=F("applied_sha256")), name="rollout_artifact_not_applied"
            ),
            models.Index(fields=["target", "service"], name="rollout_artifact_service"),
        ]

    def __str__(self) -> str:
        return self.path


class Shard(models.Model):
    """The part of the access graph that a target's artifacts of one service were compiled from."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="shards")
    service = models.CharField(max_length=63)
    graph = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "service"], name="rollout_shard_once")]

    def __str__(self) -> str:
        return self.service


class PendingChange(models.Model):
    """Something a target has not been compiled for yet. ``service`` empty means what is common to all services.

    ``urgent`` is what takes access away: it is compiled before the rest.
    """

    target = models.ForeignKey(Target, models.CASCADE, related_name="pending")
    service = models.CharField(max_length=63, default="", blank=True)
    topic = models.CharField(max_length=100)
    cause = models.CharField(max_length=300)
    at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField()
    error = models.TextField(default="", blank=True)
    urgent = models.BooleanField(db_default=False)

    class Meta:
        indexes = [models.Index(fields=["target", "retry_at"], name="rollout_pending_due")]

    def __str__(self) -> str:
        return f"{self.topic} {self.cause}"


class Revision(models.Model):
    """What a target should hold, as of a number. Only the difference to the one before is stored.

    ``traps`` are what it brings about besides the access it is for: code, sentence, severity and service of each.
    """

    target = models.ForeignKey(Target, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    summary = models.TextField()
    changes = models.JSONField(default=list)
    change_count = models.PositiveIntegerField(default=0)
    causes = models.JSONField(default=list)
    traps = models.JSONField(default=list)
    compile_ms = models.FloatField(default=0)
    rehearsed = models.PositiveIntegerField("trials the compiled policy passed", default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "number"], name="rollout_revision_number_once")]

    def __str__(self) -> str:
        return f"revision {self.number}"


class RevisionArtifact(models.Model):
    """One path that a revision changed; ``sha256`` empty means it is gone."""

    revision = models.ForeignKey(Revision, models.CASCADE, related_name="artifacts")
    path = models.CharField(max_length=400)
    service = models.CharField(max_length=63, default="", blank=True)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    previous_sha256 = models.CharField(max_length=64, default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["revision", "path"], name="rollout_revisionartifact_once"),
        ]

    def __str__(self) -> str:
        return self.path
