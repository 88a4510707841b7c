"""The outbox: what still has to happen because something was committed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class State(models.TextChoices):
    PENDING = "pending", "Waiting"
    DONE = "done", "Done"
    DEAD = "dead", "Given up"


class Message(models.Model):
    """One piece of work, written in the transaction that made it necessary. It may be handled twice, never lost.

    What may run runs in the order of ``turn_at``, which is ``available_at``, and for urgent work earlier.
    """

    topic = models.CharField(max_length=100)
    key = models.CharField(max_length=300)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    available_at = models.DateTimeField()
    turn_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="outbox_message_state_known"),
            models.CheckConstraint(
                condition=Q(state=State.DONE, done_at__isnull=False) | (~Q(state=State.DONE) & Q(done_at=None)),
                name="outbox_message_done_at_when_done",
            ),
        ]
        indexes = [
            models.Index(fields=["turn_at", "id"], condition=Q(state=State.PENDING), name="outbox_message_turn"),
            models.Index(fields=["topic", "key", "id"], condition=Q(state=State.PENDING), name="outbox_message_by_key"),
            models.Index(fields=["id"], condition=Q(state=State.DEAD), name="outbox_message_dead"),
            models.Index(fields=["done_at"], condition=Q(state=State.DONE), name="outbox_message_done"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.key} ({self.state})"

    @property
    def is_urgent(self) -> bool:
        return self.turn_at < self.available_at
