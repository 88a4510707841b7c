"""Who asked for what, who answered, and what is open because of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from apps.access.standing_models import StandingPolicy as StandingPolicy
from apps.access.standing_models import StandingReview as StandingReview
from apps.access.states import BUSY_DOORS, ENDED_GRANTS, LIVE_GRANTS, DoorState, GrantState, RequestState
from apps.access.upkeep_models import CleanUp as CleanUp
from apps.access.upkeep_models import Examined as Examined
from apps.access.upkeep_models import GrantUse as GrantUse
from apps.access.upkeep_models import UpkeepFinding as UpkeepFinding
from apps.compiler.graph import SubjectKind
from apps.compiler.paths import METHODS

SENSITIVITIES = ("open", "internal", "sensitive", "critical")


class Point(models.TextChoices):
    EDGE = "edge", "Edge"
    MESH = "mesh", "Mesh"


class SelectorKind(models.TextChoices):
    """How a rule names its approvers."""

    OWNER_TEAM = "owner_team", "Owners of the team that owns the service"
    ROLE = "role", "People with a console role"
    TEAM = "team", "Members of a named team"


class Verdict(models.TextChoices):
    APPROVE = "approve", "Approve"
    DENY = "deny", "Deny"


class Origin(models.TextChoices):
    WEB = "web", "In the console"
    API = "api", "Through the API"


def codes(known: Iterable[str] | None = None) -> ArrayField[list[str], list[str]]:
    """A set of codes; empty means "any"."""
    choices = None if known is None else [(str(code), str(code)) for code in known]
    return ArrayField(models.CharField(max_length=300, choices=choices), default=list, blank=True)


def a_point_or_two(prefix: str) -> list[models.CheckConstraint]:
    """At least one point, and only known ones."""
    known = models.CheckConstraint(condition=Q(points__contained_by=Point.values), name=f"{prefix}_points_known")
    some = models.CheckConstraint(condition=Q(points__len__gte=1), name=f"{prefix}_points_some")
    return [known, some]


class ApprovalRule(models.Model):
    """When a request matches, ``count`` of the named approvers must agree, and it may last ``max_duration`` at most.

    Empty selectors match everything. A rule may ask for approvers, limit the duration, or both.
    """

    slug = models.SlugField(max_length=64, unique=True)
    sentence = models.CharField(max_length=300)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    sensitivities = codes(SENSITIVITIES)
    services = codes()
    subject_kinds = codes(SubjectKind)
    methods = codes(METHODS)
    points = codes(Point.values)
    approver_kind = models.CharField(max_length=16, choices=SelectorKind, blank=True, default="")
    approver_value = models.CharField(max_length=255, blank=True, default="")
    count = models.PositiveSmallIntegerField(default=0)
    max_duration = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approver_kind="", count=0) | Q(approver_kind__in=SelectorKind.values, count__gte=1),
                name="access_rule_approvers_counted",
                violation_error_message="Say who approves and how many, or neither.",
            ),
            models.CheckConstraint(
                condition=Q(approver_kind__in=["", SelectorKind.OWNER_TEAM], approver_value="")
                | (Q(approver_kind__in=[SelectorKind.ROLE, SelectorKind.TEAM]) & ~Q(approver_value="")),
                name="access_rule_approvers_named",
                violation_error_message="Name the role or the team that approves; owners need no name.",
            ),
            models.CheckConstraint(
                condition=Q(max_duration__isnull=True) | Q(max_duration__gte=1),
                name="access_rule_max_duration_positive",
            ),
            models.CheckConstraint(
                condition=Q(count__gte=1) | Q(max_duration__isnull=False),
                name="access_rule_says_something",
                violation_error_message="A rule asks for approvers, limits the duration, or both.",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Guardrail(models.Model):
    """A hard denial nobody overrides. Empty selectors match everything; ``kinds`` and ``subjects`` are alternatives."""

    slug = models.SlugField(max_length=64, unique=True)
    sentence = models.CharField(max_length=300)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    kinds = codes(SubjectKind)
    subjects = codes()
    services = codes()
    routes = codes()
    methods = codes(METHODS)
    points = codes(Point.values)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(points__contained_by=Point.values), name="access_guardrail_points_known"
            ),
        ]
        indexes = [GinIndex(fields=["services"], name="access_guardrail_services")]

    def __str__(self) -> str:
        return self.slug


class AccessRequest(models.Model):
    """An ask, decided exactly once. ``fingerprint`` names what is asked for, so that it is asked for once at a time.

    With a ``treatment`` (see ``traffic.Wish``) it asks for a traffic rule, which opens nothing; without, for access.
    """

    machine: ClassVar[str] = "request"

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    requester = models.ForeignKey("identity.Subject", on_delete=models.PROTECT, related_name="+")
    subject = models.ForeignKey("identity.Subject", on_delete=models.PROTECT, related_name="+")
    service = models.ForeignKey("catalog.Service", on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.PROTECT, related_name="+")
    routes = models.ManyToManyField("catalog.Route", related_name="+")
    points = ArrayField(models.CharField(max_length=8, choices=Point))
    duration = models.PositiveIntegerField()
    reason = models.TextField()
    ticket = models.CharField(max_length=200, blank=True, default="")
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.WEB)
    state = models.CharField(max_length=16, choices=RequestState, default=RequestState.PENDING)
    fingerprint = models.CharField(max_length=64)
    resolved = models.JSONField(default=dict)
    risk = models.JSONField(default=dict)
    treatment = models.JSONField(null=True)
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RequestState.values), name="access_request_state_known"),
            models.CheckConstraint(
                condition=Q(state=RequestState.PENDING, decided_at__isnull=True)
                | (~Q(state=RequestState.PENDING) & Q(decided_at__isnull=False)),
                name="access_request_decided_once",
            ),
            models.CheckConstraint(condition=Q(duration__gte=1), name="access_request_duration_positive"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="access_request_expires_later"),
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(state=RequestState.PENDING), name="access_request_one_open"
            ),
            *a_point_or_two("access_request"),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state=RequestState.PENDING), name="access_request_due"),
            models.Index(
                fields=["created_at", "id"], condition=Q(state=RequestState.PENDING), name="access_request_waiting"
            ),
            models.Index(fields=["requester", "-id"], name="access_request_mine"),
            models.Index(fields=["service", "-id"], name="access_request_of_service"),
            models.Index(fields=["state", "-id"], name="access_request_by_state"),
        ]

    def __str__(self) -> str:
        return self.public_id


class AddressAsk(models.Model):
    """The addresses a request of an outside party is about: exactly these, whatever becomes of the party.

    ``blocks`` are in their normal form and merged. They open ``host``, and no other.
    """

    request = models.OneToOneField(AccessRequest, on_delete=models.CASCADE, related_name="addresses")
    host = models.CharField(max_length=253)
    blocks = ArrayField(models.CharField(max_length=50))

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(blocks__len__gte=1), name="access_addressask_some"),
            models.CheckConstraint(condition=~Q(host=""), name="access_addressask_host"),
        ]
        indexes = [models.Index(fields=["host"], name="access_addressask_host")]

    def __str__(self) -> str:
        return f"{', '.join(self.blocks)} to {self.host}"


class GuardedHost(models.Model):
    """A host that only listed addresses reach. ``always`` are those that need no grant: ours, as somebody said."""

    environment = models.ForeignKey("catalog.Environment", on_delete=models.PROTECT, related_name="+")
    host = models.CharField(max_length=253)
    always = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    why = models.CharField(max_length=300)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "host"], name="access_guardedhost_once"),
            models.CheckConstraint(condition=~Q(host="") & ~Q(why=""), name="access_guardedhost_said"),
        ]

    def __str__(self) -> str:
        return self.host


class Requirement(models.Model):
    """One line of the resolved rules: ``count`` different people out of those the selector names.

    ``met`` is how far it was met at the last answer: for lists only, a decision always counts again.
    """

    request = models.ForeignKey(AccessRequest, on_delete=models.CASCADE, related_name="requirements")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=SelectorKind)
    value = models.CharField(max_length=255)
    count = models.PositiveSmallIntegerField()
    met = models.PositiveSmallIntegerField(default=0)
    sentence = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "kind", "value"], name="access_requirement_once"),
            models.CheckConstraint(condition=Q(kind__in=SelectorKind.values), name="access_requirement_kind_known"),
            models.CheckConstraint(condition=Q(count__gte=1), name="access_requirement_counts"),
        ]
        indexes = [models.Index(fields=["kind", "value"], name="access_requirement_of")]

    def __str__(self) -> str:
        return f"{self.count} x {self.kind}:{self.value}"


class Review(models.Model):
    """One person's answer to one request."""

    request = models.ForeignKey(AccessRequest, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey("identity.Subject", on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=8, choices=Verdict)
    comment = models.TextField(blank=True, default="")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "reviewer"], name="access_review_once"),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="access_review_verdict_known"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer_id}"


class Grant(models.Model):
    """What is open, for whom, where and until when. ``duration`` null means standing access.

    The clock starts at activation, not at approval: until then ``starts_at`` and ``ends_at`` are empty.
    ``ended_by`` is empty when nobody ended it but time, or the console itself. With a ``treatment`` it is a traffic
    rule and opens nothing: whoever reads what is open leaves it out.
    """

    machine: ClassVar[str] = "grant"

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    request = models.OneToOneField(AccessRequest, null=True, on_delete=models.PROTECT, related_name="grant")
    subject = models.ForeignKey("identity.Subject", on_delete=models.PROTECT, related_name="+")
    service = models.ForeignKey("catalog.Service", on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey("catalog.Environment", on_delete=models.PROTECT, related_name="+")
    routes = models.ManyToManyField("catalog.Route", related_name="+")
    points = ArrayField(models.CharField(max_length=8, choices=Point))
    state = models.CharField(max_length=16, choices=GrantState, default=GrantState.PENDING)
    fingerprint = models.CharField(max_length=64)
    treatment = models.JSONField(null=True)
    duration = models.PositiveIntegerField(null=True)
    approved_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey("identity.Subject", null=True, on_delete=models.PROTECT, related_name="+")
    end_reason = models.CharField(max_length=300, blank=True, default="")
    error = models.TextField(blank=True, default="")
    error_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=GrantState.values), name="access_grant_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=LIVE_GRANTS, ended_at__isnull=True)
                | Q(state__in=ENDED_GRANTS, ended_at__isnull=False),
                name="access_grant_ended_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=GrantState.ACTIVE) | Q(starts_at__isnull=False), name="access_grant_active_started"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name="access_grant_ends_later"
            ),
            models.CheckConstraint(
                condition=Q(duration__isnull=True) | Q(duration__gte=1), name="access_grant_duration_positive"
            ),
            models.UniqueConstraint(
                fields=["fingerprint"],
                condition=Q(duration__isnull=True, state__in=LIVE_GRANTS),
                name="access_grant_one_standing",
            ),
            *a_point_or_two("access_grant"),
        ]
        indexes = [
            models.Index(
                fields=["service", "environment"], condition=Q(state__in=LIVE_GRANTS), name="access_grant_live"
            ),
            models.Index(fields=["ends_at"], condition=Q(state__in=LIVE_GRANTS), name="access_grant_due"),
            models.Index(fields=["subject", "state"], name="access_grant_of_subject"),
            models.Index(fields=["service", "starts_at"], name="access_grant_history"),
            models.Index(fields=["service", "-id"], name="access_grant_of_service"),
        ]

    def __str__(self) -> str:
        return self.public_id


class GrantDoor(models.Model):
    """How far one door is with one grant, as the rollout reports it."""

    machine: ClassVar[str] = "door"

    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="doors")
    point = models.CharField(max_length=8, choices=Point)
    state = models.CharField(max_length=8, choices=DoorState, default=DoorState.CLOSED)
    changed_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    detail = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant", "point"], name="access_door_once"),
            models.CheckConstraint(condition=Q(point__in=Point.values), name="access_door_point_known"),
            models.CheckConstraint(condition=Q(state__in=DoorState.values), name="access_door_state_known"),
        ]
        indexes = [
            models.Index(
                fields=["point", "state"],
                condition=Q(state__in=BUSY_DOORS),
                name="access_door_busy",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.point} {self.state}"
