"""A firewall request, its lines as they were written, and what each line was taken to mean."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Origin(models.TextChoices):
    WEB = "web", "In the console"
    API = "api", "Through the API"


class FirewallRequest(models.Model):
    """Several ways that somebody wants opened at once. Whether it is done follows from its lines.

    It is wanted for ``duration`` seconds once each way is open, or until ``ends_at``. ``pasted`` is what it was read
    from, as it came; ``format`` says as what it was read, empty for a form; ``aside`` are pairs of where and why of
    what asked for nothing in it.
    """

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    asker = models.ForeignKey("identity.Subject", models.PROTECT, related_name="+")
    environment = models.ForeignKey("catalog.Environment", models.PROTECT, related_name="+")
    title = models.CharField(max_length=200)
    reason = models.TextField()
    ticket = models.CharField(max_length=200, blank=True, default="")
    duration = models.PositiveIntegerField(null=True)
    ends_at = models.DateTimeField(null=True)
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.WEB)
    pasted = models.TextField(blank=True, default="")
    format = models.CharField(max_length=30, blank=True, default="")
    aside = models.JSONField(default=list)
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(duration__isnull=False, ends_at=None) | Q(duration=None, ends_at__isnull=False),
                name="firewall_request_one_end",
            ),
            models.CheckConstraint(condition=Q(origin__in=Origin.values), name="firewall_request_origin_known"),
        ]
        indexes = [models.Index(fields=["asker", "-id"], name="firewall_request_mine")]

    def __str__(self) -> str:
        return self.public_id


class FirewallLine(models.Model):
    """One way, as it was written. ``ports`` are inclusive pairs, none for any.

    ``over`` is no column: whoever reads a whole request puts there which of the grants it was open by have ended.

    ``design`` is the proposal its asker took; ``access_request`` the ordinary request opened for it, by which it is
    approved, applied and proven. ``refusal`` is what opening that met last.
    """

    request = models.ForeignKey(FirewallRequest, models.CASCADE, related_name="lines")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True, default="")
    source = models.CharField(max_length=500, blank=True, default="")
    destination = models.CharField(max_length=500, blank=True, default="")
    protocol = models.CharField(max_length=20, blank=True, default="")
    ports = models.JSONField(default=list)
    direction = models.CharField(max_length=10, blank=True, default="")
    action = models.CharField(max_length=10, blank=True, default="")
    method = models.CharField(max_length=10, blank=True, default="")
    path = models.CharField(max_length=500, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    until = models.DateTimeField(null=True)
    dropped = models.BooleanField(default=False)
    design = models.JSONField(null=True)
    access_request = models.ForeignKey("access.AccessRequest", models.PROTECT, null=True, related_name="+")
    refusal = models.TextField(blank=True, default="")
    over: tuple[str, ...] = ()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "number"], name="firewall_line_once")]

    def __str__(self) -> str:
        return f"{self.source} to {self.destination}"


class LineMeaning(models.Model):
    """What a line was taken to mean: who calls, which service, by which routes, through which doors.

    ``found`` holds the candidates of each side with their confidence (0 to 1) and why, and what a person ``chosen``.
    ``allowed_by`` names the grants by which the line is open already; ``zone`` is the cell of the matrix that judges
    it; ``problem`` says why it cannot be opened as it stands.
    """

    line = models.OneToOneField(FirewallLine, models.CASCADE, related_name="meaning")
    subject = models.ForeignKey("identity.Subject", models.PROTECT, null=True, related_name="+")
    blocks = ArrayField(models.CharField(max_length=50), default=list)
    service = models.ForeignKey("catalog.Service", models.PROTECT, null=True, related_name="+")
    routes = ArrayField(models.CharField(max_length=100), default=list)
    points = ArrayField(models.CharField(max_length=8), default=list)
    confidence = models.FloatField(default=0)
    found = models.JSONField(default=dict)
    allowed_by = ArrayField(models.CharField(max_length=32), default=list)
    zone = models.JSONField(null=True)
    problem = models.TextField(blank=True, default="")
    confirmed_by = models.ForeignKey("identity.Subject", models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(confidence__gte=0, confidence__lte=1), name="firewall_meaning_confidence_share"
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None, confirmed_at=None)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="firewall_meaning_confirmed_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["service"], name="firewall_meaning_service"),
            models.Index(fields=["subject"], name="firewall_meaning_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} to {self.service_id}"
