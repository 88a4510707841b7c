"""What is known of an Akamai account: what it lets us do and spend, our properties, the versions of our code."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.rollout.models.targets import Target
from apps.rollout.states import OPEN_PROPERTIES, PropertyState


class Preflight(models.Model):
    """One look at what a target's account lets us do. ``findings`` grows while it runs; ``finished_at`` ends it."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="preflights")
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=200)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    asked = models.PositiveIntegerField("questions to ask", default=0)
    answered = models.PositiveIntegerField("questions answered", default=0)
    findings = models.JSONField(default=list)
    error = models.TextField(default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["target"], condition=Q(finished_at=None), name="rollout_preflight_one_open"
            ),
        ]
        indexes = [models.Index(fields=["target", "-id"], name="rollout_preflight_newest")]

    def __str__(self) -> str:
        return f"preflight of {self.target_id}"


class PropertyChange(models.Model):
    """Our rule going into the property of a hostname, or (``removal``) out of it; ``to_end``: behind all others.

    ``found`` is the property as it was last read, ``base_etag`` that of the version ``diff`` was made from; ``version``
    is the one we made. ``warnings`` are those of Akamai a person has to accept, by name.
    """

    machine: ClassVar[str] = "property"

    target = models.ForeignKey(Target, models.CASCADE, related_name="property_changes")
    hostname = models.CharField(max_length=253)
    removal = models.BooleanField(default=False)
    to_end = models.BooleanField(default=False)
    email = models.CharField(max_length=254)
    state = models.CharField(max_length=10, choices=PropertyState, default=PropertyState.ASKED)
    found = models.JSONField(default=dict)
    base_etag = models.CharField(max_length=100, default="", blank=True)
    diff = models.TextField(default="", blank=True)
    version = models.PositiveIntegerField(null=True)
    warnings = models.JSONField(default=list)
    accepted = models.JSONField(default=list)
    events = models.JSONField(default=list)
    error = models.TextField(default="", blank=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField()
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=PropertyState.values), name="rollout_property_state_known"),
            models.UniqueConstraint(
                fields=["target"], condition=Q(state__in=OPEN_PROPERTIES), name="rollout_property_one_open"
            ),
        ]
        indexes = [models.Index(fields=["target", "-id"], name="rollout_property_newest")]

    def __str__(self) -> str:
        return f"{self.hostname} ({self.state})"


class Allowance(models.Model):
    """What an account may spend of something in a window of time, and what it spent, as [moment, amount] pairs.

    Kept by account, not by target: several targets, and several consoles on this database, share it. ``source`` says
    where the limit is from. Until ``closed_until`` nothing may be spent: the vendor said so.
    """

    account = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    limit = models.PositiveIntegerField()
    source = models.CharField(max_length=10)
    spent = models.JSONField(default=list)
    closed_until = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "kind"], name="rollout_allowance_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.account}"


class EdgeMove(models.Model):
    """One activation at Akamai, as it was last seen. ``forgiven``: its failure counts no longer."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="moves")
    number = models.PositiveBigIntegerField()
    network = models.CharField(max_length=10)
    version = models.CharField(max_length=32)
    status = models.CharField(max_length=20)
    asked_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)
    forgiven = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "number"], name="rollout_edgemove_once")]
        indexes = [models.Index(fields=["target", "network", "-number"], name="rollout_edgemove_newest")]

    def __str__(self) -> str:
        return f"{self.network} {self.number} ({self.status})"


class RetiredVersion(models.Model):
    """A code version that was deleted at Akamai, where its name can never be used again."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="retired_versions")
    version = models.CharField(max_length=32)
    retired_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "version"], name="rollout_retired_once")]

    def __str__(self) -> str:
        return self.version


class EdgeToken(models.Model):
    """A token the code of a target reads EdgeKV with; the target's ``facts["kv_token_ref"]`` is the one it uses now.

    ``value_sealed``: the token itself, of the older kind. ``expires_on`` is None for never. One that was replaced is
    kept until code with the new one was seen to be good, then it is deleted at Akamai: ``gone_at``.
    """

    target = models.ForeignKey(Target, models.CASCADE, related_name="edge_tokens")
    name = models.CharField(max_length=32)
    uuid = models.CharField(max_length=64)
    value_sealed = models.BinaryField(default=bytes)
    expires_on = models.DateField(null=True)
    refreshed_next = models.DateField(null=True)
    known_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    error = models.TextField(default="", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "name"], name="rollout_edgetoken_once")]

    def __str__(self) -> str:
        return self.name
