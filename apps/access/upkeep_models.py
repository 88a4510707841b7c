"""What keeps the grants tidy: when each was used, what could go, and what somebody proposed to end."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.access.states import CleanUpState
from apps.compiler.lint import Code, Severity


class GrantUse(models.Model):
    """When a call that was let through last rested on a grant, by the route it took; exact to some minutes."""

    grant = models.ForeignKey("access.Grant", on_delete=models.CASCADE, related_name="uses")
    route = models.CharField(max_length=128)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["grant", "route"], name="access_grantuse_once")]

    def __str__(self) -> str:
        return f"{self.grant_id} on {self.route}"


class Examined(models.Model):
    """When the grants of a service in an environment were last examined."""

    service = models.ForeignKey("catalog.Service", on_delete=models.CASCADE, related_name="+")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["service", "environment"], name="access_examined_once")]
        indexes = [models.Index(fields=["at"], name="access_examined_oldest")]

    def __str__(self) -> str:
        return f"{self.service_id} at {self.at:%H:%M}"


class UpkeepFinding(models.Model):
    """What an examination found. Thrown away and written anew with the next one of the same service.

    ``grants`` are public ids, that of the grant it is about first. ``removable``: that one can go without a change for
    anybody.
    """

    service = models.ForeignKey("catalog.Service", on_delete=models.CASCADE, related_name="+")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.CASCADE, related_name="+")
    code = models.CharField(max_length=24, choices=[(one.value, one.value) for one in Code])
    severity = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Severity])
    sentence = models.TextField()
    grants = ArrayField(models.CharField(max_length=32))
    removable = models.BooleanField(default=False)
    found_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["service", "-id"], name="access_finding_of_service"),
            models.Index(fields=["code", "-id"], name="access_finding_by_code"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {', '.join(self.grants)}"


class CleanUp(models.Model):
    """A proposal to end grants of one service, decided once, by somebody else than whoever proposed it.

    ``safe`` promises that no call is refused afterwards that is let in now: proven when it is proposed and again when
    it is done. Without it, ``losses`` says whom it takes what from. ``proof`` is what the last comparison counted.
    ``kept``: by public id, the routes that a narrower grant goes on opening instead of one that ends.
    """

    machine: ClassVar[str] = "clean-up"

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    service = models.ForeignKey("catalog.Service", on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.PROTECT, related_name="+")
    proposer = models.ForeignKey("identity.Subject", on_delete=models.PROTECT, related_name="+")
    grants = models.ManyToManyField("access.Grant", related_name="clean_ups")
    safe = models.BooleanField()
    reason = models.TextField()
    proof = models.JSONField(default=dict)
    losses = models.JSONField(default=list)
    kept = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=CleanUpState, default=CleanUpState.PENDING)
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey("identity.Subject", null=True, on_delete=models.PROTECT, related_name="+")
    comment = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=CleanUpState.values), name="access_cleanup_state_known"),
            models.CheckConstraint(
                condition=Q(state=CleanUpState.PENDING, decided_at__isnull=True)
                | (~Q(state=CleanUpState.PENDING) & Q(decided_at__isnull=False)),
                name="access_cleanup_decided_once",
            ),
        ]
        indexes = [
            models.Index(fields=["service", "-id"], name="access_cleanup_of_service"),
            models.Index(fields=["state", "-id"], name="access_cleanup_by_state"),
        ]

    def __str__(self) -> str:
        return self.public_id
