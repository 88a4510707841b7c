"""What every enforcement point should hold, what it holds, and how far it is from one to the other."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.rollout.states import (
    OPEN_ACTIVATIONS,
    OPEN_PROBES,
    OPEN_PROPERTIES,
    ActivationState,
    ProbeState,
    PropertyState,
)


class DriverName(models.TextChoices):
    AKAMAI = "akamai", "Akamai EdgeWorkers and EdgeKV"
    NGINX = "nginx", "NGINX nodes with the Sallyport agent"


class Point(models.TextChoices):
    EDGE = "edge", "Edge"
    MESH = "mesh", "Mesh"


class Expect(models.TextChoices):
    ALLOW = "allow", "Open"
    DENY = "deny", "Closed"


class Runner(models.TextChoices):
    """Who finds out whether a door does what it should."""

    EDGE = "edge", "A call through the edge"
    NODE = "node", "A call made by a mesh node"
    REPORT = "report", "The nodes' report: no call can be made"


class Production(models.TextChoices):
    """How code that is live on staging gets to production."""

    AUTOMATIC = "automatic", "By itself"
    APPROVED = "approved", "When an operator approves"


class Target(models.Model):
    """One place that enforces. ``config`` is what an operator said, ``facts`` what the vendor's API answered
    and when it was connected.

    ``latest_number`` is the newest revision, ``active_number`` the one last known to be in force everywhere.
    """

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=100)
    driver = models.CharField(max_length=8, choices=DriverName)
    point = models.CharField(max_length=4, choices=Point)
    environment = models.ForeignKey("catalog.Environment", models.PROTECT, related_name="+")
    config = models.JSONField(default=dict)
    facts = models.JSONField(default=dict)
    secret_sealed = models.BinaryField(default=bytes)
    latest_number = models.PositiveIntegerField(default=0)
    active_number = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    error = models.TextField(default="", blank=True)
    error_at = models.DateTimeField(null=True)
    trouble = models.CharField("the error's name in the driver's catalogue", max_length=60, default="", blank=True)
    waiting_for = models.TextField("what is being waited for, in words", default="", blank=True)
    production = models.CharField(max_length=9, choices=Production, default=Production.AUTOMATIC)
    to_approve = models.CharField("code that waits for approval", max_length=32, default="", blank=True)
    approved = models.CharField("code approved for production", max_length=32, default="", blank=True)
    checked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(driver__in=DriverName.values), name="rollout_target_driver_known"),
            models.CheckConstraint(condition=Q(point__in=Point.values), name="rollout_target_point_known"),
            models.CheckConstraint(
                condition=Q(active_number__lte=F("latest_number")), name="rollout_target_active_was_made"
            ),
            models.UniqueConstraint(fields=["environment", "point"], name="rollout_target_one_per_door"),
        ]

    def __str__(self) -> str:
        return self.name


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
    """Our rule going into the property of a hostname, or (``removal``) out of it.

    ``found`` is the property as it was last read, ``base_etag`` that of the version ``diff`` was made from; ``version``
    is the one we made. ``warnings`` are those of Akamai a person has to accept, by name.
    """

    machine: ClassVar[str] = "property"

    target = models.ForeignKey(Target, models.CASCADE, related_name="property_changes")
    hostname = models.CharField(max_length=253)
    removal = models.BooleanField(default=False)
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


class Node(models.Model):
    """A machine in the mesh that pulls its configuration. It is known by the hash of its token."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=100)
    token_hash = models.CharField(max_length=64, unique=True)
    enrolled_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(null=True)
    active_number = models.PositiveIntegerField(default=0)
    active_digest = models.CharField(max_length=64, default="", blank=True)
    failed_number = models.PositiveIntegerField(default=0)
    error = models.TextField(default="", blank=True)
    reported_at = models.DateTimeField(null=True)
    identities = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "name"], name="rollout_node_name_once")]

    def __str__(self) -> str:
        return self.name


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
    """What a target should hold, as of a number. Only the difference to the one before is stored."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    summary = models.TextField()
    changes = models.JSONField(default=list)
    change_count = models.PositiveIntegerField(default=0)
    causes = models.JSONField(default=list)
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

    ``activation`` is the one that should make it so; ``runner`` is how the answer is got.
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
                fields=["grant_id", "point"], condition=Q(state__in=OPEN_PROBES), name="rollout_probe_one_open"
            ),
        ]
        indexes = [
            models.Index(fields=["grant_id", "id"], name="rollout_probe_grant"),
            models.Index(fields=["target", "due_at"], condition=Q(state__in=OPEN_PROBES), name="rollout_probe_open"),
        ]

    def __str__(self) -> str:
        return f"{self.grant_id} {self.point} {self.expect} ({self.state})"


class Drift(models.Model):
    """What a target was seen to hold although it should not, or the reverse."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="drifts")
    path = models.CharField(max_length=400)
    expected = models.CharField(max_length=200)
    observed = models.CharField(max_length=200)
    detail = models.TextField(default="", blank=True)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=100, default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["target", "path"], condition=Q(resolved_at=None), name="rollout_drift_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.path} differs"


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
