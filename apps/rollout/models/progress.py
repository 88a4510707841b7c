"""How far a target is: activations, the probes that prove them, and drift."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.rollout.models.desired import Revision
from apps.rollout.models.targets import Point, Target
from apps.rollout.states import OPEN_ACTIVATIONS, OPEN_PROBES, ActivationState, ProbeState


class Expect(models.TextChoices):
    ALLOW = "allow", "Open"
    DENY = "deny", "Closed"


class Runner(models.TextChoices):
    """Who finds out whether a door does what it should."""

    EDGE = "edge", "A call through the edge"
    NODE = "node", "A call made by a mesh node"
    REPORT = "report", "The nodes' report: no call can be made"


class Activation(models.Model):
    """Moving a target to a revision. ``events`` is its progress, in words."""

    machine: ClassVar[str] = "activation"

    target = models.ForeignKey(Target, models.CASCADE, related_name="activations")
    revision = models.ForeignKey(Revision, models.CASCADE, related_name="activations")
    state = models.CharField(max_length=10, choices=ActivationState, default=ActivationState.PENDING)
    events = models.JSONField(default=list)
    error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ActivationState.values), name="rollout_activation_state_known"
            ),
            models.UniqueConstraint(
                fields=["target"], condition=Q(state__in=OPEN_ACTIVATIONS), name="rollout_activation_one_open"
            ),
        ]
        indexes = [models.Index(fields=["target", "-id"], name="rollout_activation_newest")]

    def __str__(self) -> str:
        return f"activation of {self.revision_id} ({self.state})"


class Probe(models.Model):
    """One question put to a door about one grant: is it open, or shut, as it should be?

    ``activation`` is the one that should make it so; ``runner`` is how the answer is got. ``stranger`` is a workload
    that nobody let in, which has to be refused beside the grant's holder; empty: the question is about the holder.
    """

    machine: ClassVar[str] = "probe"

    activation = models.ForeignKey(Activation, models.CASCADE, related_name="probes")
    target = models.ForeignKey(Target, models.CASCADE, related_name="probes")
    runner = models.CharField(max_length=6, choices=Runner)
    grant_id = models.CharField(max_length=32)
    point = models.CharField(max_length=4, choices=Point)
    expect = models.CharField(max_length=5, choices=Expect)
    subject = models.CharField(max_length=300)
    service = models.CharField(max_length=63)
    call = models.JSONField(default=dict)
    stranger = models.CharField(max_length=300, default="", blank=True)
    state = models.CharField(max_length=7, choices=ProbeState, default=ProbeState.WAITING)
    verdict = models.CharField(max_length=8, default="", blank=True)
    reason = models.CharField(max_length=40, default="", blank=True)
    grants = models.JSONField(default=list)
    detail = models.TextField(default="", blank=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    passed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ProbeState.values), name="rollout_probe_state_known"),
            models.UniqueConstraint(
                fields=["grant_id", "point", "target", "stranger"],
                condition=Q(state__in=OPEN_PROBES),
                name="rollout_probe_one_open_each",
            ),
        ]
        indexes = [
            models.Index(fields=["grant_id", "id"], name="rollout_probe_grant"),
            models.Index(fields=["target", "due_at"], condition=Q(state__in=OPEN_PROBES), name="rollout_probe_open"),
        ]

    def __str__(self) -> str:
        return f"{self.grant_id} {self.point} {self.expect} ({self.state})"


class Drift(models.Model):
    """What a target was seen to hold although it should not, or the reverse.

    ``opens``: calls may pass unchecked. ``why_not``: why it cannot be adopted; empty when it can. ``adopted``: what was
    seen counts as right from then on.
    """

    target = models.ForeignKey(Target, models.CASCADE, related_name="drifts")
    path = models.CharField(max_length=400)
    expected = models.CharField(max_length=200)
    observed = models.CharField(max_length=200)
    detail = models.TextField(default="", blank=True)
    diff = models.TextField(default="", blank=True)
    opens = models.BooleanField(default=False)
    why_not = models.TextField(default="", blank=True)
    adopted = models.BooleanField(default=False)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=100, default="", blank=True)

    OF_PROPERTY = "property/"
    """How the path of what differs in a property begins."""
    OF_NODE = "node/"

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["target", "path"], condition=Q(resolved_at=None), name="rollout_drift_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.path} differs"

    @property
    def is_property(self) -> bool:
        return self.path.startswith(self.OF_PROPERTY)

    @property
    def is_node(self) -> bool:
        """A node that is silent or behind: nobody puts that back from here."""
        return self.path.startswith(self.OF_NODE)
