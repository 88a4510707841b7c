"""The audit record: one chain of events in which each row vouches for the one before it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Event(models.Model):
    """One thing that was done. ``seq`` has no gaps; ``hash`` covers every other column and the previous row's hash.

    Rows are only ever inserted: a database trigger refuses UPDATE, DELETE and TRUNCATE.
    """

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor_id = models.CharField(max_length=300)
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=100)
    target_type = models.CharField(max_length=60)
    target_id = models.CharField(max_length=300)
    target_name = models.CharField(max_length=300)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    context = models.JSONField(null=True)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["actor_id", "-seq"], name="audit_event_actor"),
            models.Index(fields=["target_type", "target_id", "-seq"], name="audit_event_target"),
            models.Index(
                fields=["action", "-seq"], opclasses=["text_pattern_ops", "int8_ops"], name="audit_event_action"
            ),
            models.Index(fields=["at"], name="audit_event_at"),
        ]

    def __str__(self) -> str:
        return f"#{self.seq} {self.action} {self.target_id}"


class Head(models.Model):
    """The end of the chain: one row, locked by whoever appends, so that appends come one after another."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="audit_head_is_one_row")]

    def __str__(self) -> str:
        return f"head at #{self.seq}"
