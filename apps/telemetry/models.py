"""What happened at the doors: one row for each call, whichever doors have spoken of it so far."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Lower

POINTS = ("edge", "ingress", "sidecar")
"""Who speaks of a call, from the outside in."""

VERDICTS = ("allow", "deny")


class Call(models.Model):
    """One call by its request id. ``doors`` keeps what each point said; the other columns are computed from it.

    So the order in which the points' lines arrive does not matter, and a line that arrives twice changes nothing.
    """

    rid = models.UUIDField(unique=True)
    first_at = models.DateTimeField()
    subject = models.CharField(max_length=300, default="")
    service = models.CharField(max_length=128, default="")
    method = models.CharField(max_length=20, default="")
    path = models.CharField(max_length=512, default="")
    route = models.CharField(max_length=128, default="")
    host = models.CharField(max_length=253, default="")
    verdict = models.CharField(max_length=5)
    reason = models.CharField(max_length=32)
    status = models.SmallIntegerField()
    ms = models.FloatField()
    probe = models.BooleanField(default=False)
    grants = ArrayField(models.CharField(max_length=100), default=list)
    doors = models.JSONField(default=dict)
    search_text = models.GeneratedField(
        expression=Lower(
            Concat(
                F("method"),
                Value(" "),
                F("path"),
                Value(" "),
                F("service"),
                Value(" "),
                F("subject"),
                output_field=models.TextField(),
            )
        ),
        output_field=models.TextField(),
        db_persist=True,
        editable=False,
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(verdict__in=VERDICTS), name="telemetry_call_verdict_known")]
        indexes = [
            models.Index(fields=["-first_at", "-id"], name="telemetry_call_recent", include=["verdict"]),
            models.Index(fields=["service", "-first_at", "-id"], name="telemetry_call_service"),
            models.Index(fields=["subject", "-first_at", "-id"], name="telemetry_call_subject"),
            models.Index(fields=["reason", "-first_at", "-id"], name="telemetry_call_reason"),
            models.Index(fields=["-first_at", "-id"], name="telemetry_call_denied", condition=Q(verdict="deny")),
            GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="telemetry_call_search"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} on {self.service}: {self.reason}"


class TelemetrySource(models.Model):
    """A log shipper that may report calls, and for which points it may speak. Only the hash of its token is kept."""

    name = models.CharField(max_length=100, unique=True)
    token_hash = models.CharField(max_length=64, unique=True)
    points = ArrayField(models.CharField(max_length=7))
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(points__contained_by=list(POINTS), points__len__gt=0), name="telemetry_source_points_known"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Feed(models.Model):
    """How often the calls have changed: one row, counted up at the end of each batch, so that it moves in order."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="telemetry_feed_is_one_row")]

    def __str__(self) -> str:
        return f"position {self.position}"


class LogMinute(models.Model):
    """A minute of an edge's log, by when the calls were made: what its stream brought, and what it did not.

    ``missing``: calls that the mesh's ingress saw and no edge line tells of. ``bad``: lines that could not be read, in
    the minute they came.
    """

    stream = models.ForeignKey("rollout.EdgeStream", models.CASCADE, related_name="+")
    minute = models.DateTimeField()
    lines = models.PositiveIntegerField(default=0)
    repeated = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "minute"], name="telemetry_logminute_once")]
        indexes = [models.Index(fields=["minute"], name="telemetry_logminute_age")]

    def __str__(self) -> str:
        return f"{self.minute:%H:%M}: {self.lines}"
