"""The proposal to end everything that names a service, and the answer to it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Outcome(models.TextChoices):
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Denied"


class Decommission(models.Model):
    """``found`` is what named the service when it was proposed; ``digest`` its fingerprint, so that nothing else ends
    than what was shown. ``outcome`` is empty while it waits for an answer."""

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    service = models.ForeignKey("catalog.Service", models.PROTECT, related_name="+")
    asker = models.ForeignKey("identity.Subject", models.PROTECT, related_name="+")
    reason = models.TextField()
    found = models.JSONField(default=list)
    digest = models.CharField(max_length=64)
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True, default="")
    decided_by = models.ForeignKey("identity.Subject", models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service"], condition=Q(outcome=""), name="firewall_decommission_one_open"),
            models.CheckConstraint(
                condition=Q(outcome="", decided_at=None, decided_by=None)
                | Q(outcome__in=Outcome.values, decided_at__isnull=False, decided_by__isnull=False),
                name="firewall_decommission_decided_once",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id
