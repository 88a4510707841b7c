"""Where access is enforced: targets, and the nodes of a mesh."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q


class DriverName(models.TextChoices):
    AKAMAI = "akamai", "Akamai EdgeWorkers and EdgeKV"
    NGINX = "nginx", "NGINX nodes with the Sallyport agent"
    KUBERNETES = "kubernetes", "A Kubernetes cluster"


class Point(models.TextChoices):
    EDGE = "edge", "Edge"
    MESH = "mesh", "Mesh"


class Production(models.TextChoices):
    """How code that is live on staging gets to production."""

    AUTOMATIC = "automatic", "By itself"
    APPROVED = "approved", "When an operator approves"


class Delivery(models.TextChoices):
    """How what a target should hold gets there."""

    DIRECT = "direct", "The console calls the vendor"
    EXPORTED = "exported", "A team applies the export; the console calls nobody"
    PULLED = "pulled", "An agent inside fetches it; the console calls nobody"
    REMOVED = "removed", "Nobody: it was taken out of the vendor's account"


LEAVING = "leaving"
"""In the ``facts`` of a target that is being taken out: what there is still to take away."""

KEPT = ~Q(delivery=Delivery.REMOVED) & ~Q(facts__has_key=LEAVING)
"""``Target.is_kept``, of many."""

WATCHED_FOR = timedelta(seconds=60)
"""So long a cluster counts as watched after a process said that it is."""


class Target(models.Model):
    """One place that enforces. ``config`` is what an operator said, ``facts`` what the vendor's API answered
    and when it was connected.

    ``latest_number`` is the newest revision, ``active_number`` the one last known to be in force everywhere.
    """

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=100)
    driver = models.CharField(max_length=10, choices=DriverName)
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
    delivery = models.CharField(max_length=8, choices=Delivery, default=Delivery.DIRECT)
    production = models.CharField(max_length=9, choices=Production, default=Production.AUTOMATIC)
    to_approve = models.CharField("code that waits for approval", max_length=32, default="", blank=True)
    approved = models.CharField("code approved for production", max_length=32, default="", blank=True)
    checked_at = models.DateTimeField(null=True)
    listed_at = models.DateTimeField("when all of it was last read back", null=True)
    watched_at = models.DateTimeField("when a process last said that it hears of every change", null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(driver__in=DriverName.values), name="rollout_target_driver_known"),
            models.CheckConstraint(condition=Q(point__in=Point.values), name="rollout_target_point_known"),
            models.CheckConstraint(condition=Q(delivery__in=Delivery.values), name="rollout_target_delivery_known"),
            models.CheckConstraint(
                condition=Q(active_number__lte=F("latest_number")), name="rollout_target_active_was_made"
            ),
            models.UniqueConstraint(
                fields=["environment", "point"],
                condition=~Q(driver=DriverName.KUBERNETES) & ~Q(delivery=Delivery.REMOVED),
                name="rollout_target_one_per_door",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_exported(self) -> bool:
        return self.delivery == Delivery.EXPORTED

    @property
    def is_removed(self) -> bool:
        """Whether nothing is to be brought there any more."""
        return self.delivery == Delivery.REMOVED

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is left there either, so that another may take its place."""
        return self.is_removed and not self.is_leaving

    @property
    def is_leaving(self) -> bool:
        """Whether what is there of it is being taken away."""
        return LEAVING in self.facts

    @property
    def is_kept(self) -> bool:
        """Whether what the grants say is to be there."""
        return not (self.is_removed or self.is_leaving)

    @property
    def is_called(self) -> bool:
        """Whether the console itself calls the vendor to bring there what it should hold."""
        return self.delivery == Delivery.DIRECT

    @property
    def is_pulled(self) -> bool:
        return self.delivery == Delivery.PULLED

    @property
    def is_fetched(self) -> bool:
        """Whether machines inside fetch what it should hold, and report that they have it."""
        return self.driver == DriverName.NGINX or self.is_pulled

    def is_watched(self, at: datetime) -> bool:
        """Whether what somebody changes there is seen at once."""
        return self.watched_at is not None and self.watched_at > at - WATCHED_FOR


class Node(models.Model):
    """A machine in the mesh that pulls its configuration. It is known by the hash of its token.

    One that does not apply (``applies``) only tries calls, as a probe pod of a cluster does: nobody waits for it.
    Where ``account`` is given, it shows tokens of that service account, signed by the trusted issuer ``issuer``, and
    has none of ours. ``trouble`` names its ``error`` in the driver's catalogue.
    """

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
    applies = models.BooleanField(db_default=True)
    trouble = models.CharField(max_length=60, default="", blank=True)
    issuer = models.CharField(max_length=40, default="", blank=True)
    account = models.CharField(max_length=255, default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["target", "name"], name="rollout_node_name_once"),
            models.UniqueConstraint(
                fields=["issuer", "account"], condition=~Q(account=""), name="rollout_node_account_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Sight(models.Model):
    """What the agent in a cluster saw there last, beside revision ``number``: what differs, and how much is as it was
    signed. ``seen_at`` is when it looked, by our clock; ``asked_at`` is set while somebody waits for it to look again.

    Each of ``differs`` has ``path``, the hash that was ``wanted`` (empty: nobody signed it), the one that is there
    (``sha256``, empty: it is gone), and its ``text`` as far as it was told (``whole``).
    """

    target = models.OneToOneField(Target, models.CASCADE, related_name="sight")
    number = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)
    differs = models.JSONField(default=list)
    seen_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sight of {self.target_id}"
