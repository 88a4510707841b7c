"""Zones, and which of them may reach which."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Verdict(models.TextChoices):
    """The mildest first."""

    ALLOWED = "allowed", "Allowed"
    SECURITY = "security", "Needs security"
    FORBIDDEN = "forbidden", "Forbidden"


def _codes(length: int = 100) -> ArrayField[list[str], list[str]]:
    return ArrayField(models.CharField(max_length=length), default=list, blank=True)


class Zone(models.Model):
    """A named set: services by name, by namespace or by sensitivity; callers also by network or by kind."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    services = _codes(63)
    namespaces = _codes(63)
    networks = _codes(50)
    sensitivities = _codes(9)
    kinds = _codes(8)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class ZoneRule(models.Model):
    """One cell of the matrix: whether what is in ``source`` may be let into ``destination``."""

    source = models.ForeignKey(Zone, models.CASCADE, related_name="rules_out")
    destination = models.ForeignKey(Zone, models.CASCADE, related_name="rules_in")
    verdict = models.CharField(max_length=9, choices=Verdict)
    why = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "destination"], name="firewall_zonerule_once"),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="firewall_zonerule_verdict_known"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} to {self.destination_id}: {self.verdict}"
