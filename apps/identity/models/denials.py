"""Who is turned away at both doors whatever is granted, and until when."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.identity.models.subjects import Subject


class DenialCause(models.TextChoices):
    SUSPENDED = "suspended", "Suspended"
    REVOKED = "revoked", "Tokens revoked"
    BUDGET = "budget", "Budget spent"


class Denial(models.Model):
    """Exactly what the doors are told. It ends by itself at ``until``; one that is lifted before is deleted.

    ``issued_until`` says which tokens are meant: those made out until that moment; empty means whatever is shown.
    """

    subject = models.ForeignKey(Subject, models.CASCADE, related_name="denials")
    cause = models.CharField(max_length=9, choices=DenialCause)
    starts_at = models.DateTimeField()
    until = models.DateTimeField(db_index=True)
    issued_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(cause__in=DenialCause.values), name="identity_denial_cause_known"),
            models.CheckConstraint(condition=Q(until__gt=F("starts_at")), name="identity_denial_ends"),
            models.UniqueConstraint(fields=["subject", "cause"], name="identity_denial_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id}: {self.cause} until {self.until}"
