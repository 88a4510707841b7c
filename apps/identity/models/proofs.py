"""How workloads and agents prove who they are without a secret kept here, and how much they may do of it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.identity.models.subjects import Subject


class ProofKind(models.TextChoices):
    """What stands for a workload or an agent outside."""

    AWS_ROLE = "aws_role", "AWS role"
    AWS_USER = "aws_user", "AWS user"
    JWT = "jwt", "Token of a trusted issuer"
    KEY = "key", "Own key"


class IssuerKind(models.TextChoices):
    """Whose tokens they are: decides which further checks a token must pass."""

    AWS = "aws", "AWS account"
    EKS = "eks", "Kubernetes cluster (EKS or another)"
    GITHUB = "github", "GitHub Actions"
    GITLAB = "gitlab", "GitLab CI"
    OTHER = "other", "Another issuer"


class TrustedIssuer(models.Model):
    """Somebody whose signed word about workloads we take. ``issuer`` is compared exactly.

    ``single_use``: a token with a ``jti`` is good once. Not for clusters, where a pod holds one token for most of an
    hour. ``jwks``: its public keys, where they were given to us; then nobody is asked for them, and ``jwks_uri`` is
    empty.
    """

    slug = models.SlugField(max_length=40, unique=True)
    kind = models.CharField(max_length=6, choices=IssuerKind)
    issuer = models.CharField(max_length=300, unique=True)
    audience = models.CharField(max_length=300)
    algorithms = ArrayField(models.CharField(max_length=8))
    jwks_uri = models.CharField(max_length=400, default="", blank=True)
    jwks = models.JSONField(default=dict, blank=True)
    longest_seconds = models.PositiveIntegerField(default=3600)
    account = models.CharField("AWS account its tokens must name", max_length=12, default="", blank=True)
    single_use = models.BooleanField(default=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=IssuerKind.values), name="identity_trustedissuer_kind_known"),
            models.CheckConstraint(condition=Q(algorithms__len__gt=0), name="identity_trustedissuer_algorithms"),
            models.CheckConstraint(condition=Q(longest_seconds__range=(60, 3600)), name="identity_trustedissuer_hour"),
        ]

    def __str__(self) -> str:
        return self.slug


class WorkloadIdentity(models.Model):
    """One outside identity that is one workload or agent here, for as long as ``ended_at`` is empty.

    ``stable_id`` is AWS's own id of the role or user (AROA..., AIDA...), known at first or pinned by the first proof: a
    role that was deleted and made again has the old name and another id. ``conditions`` are the claims a token must
    carry besides its subject.
    """

    subject = models.ForeignKey(Subject, models.CASCADE, related_name="outside_identities")
    kind = models.CharField(max_length=8, choices=ProofKind)
    partition = models.CharField(max_length=10, default="", blank=True)
    account = models.CharField(max_length=12, default="", blank=True)
    name = models.CharField(max_length=64, default="", blank=True)
    stable_id = models.CharField(max_length=128, default="", blank=True)
    issuer = models.ForeignKey(TrustedIssuer, models.PROTECT, null=True, related_name="bindings")
    sub = models.CharField(max_length=255, default="", blank=True)
    conditions = models.JSONField(default=list, blank=True)
    client_id = models.CharField(max_length=64, default="", blank=True)
    jwks = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ProofKind.values), name="identity_workloadidentity_kind_known"),
            models.CheckConstraint(
                condition=(Q(kind=ProofKind.JWT) & Q(issuer__isnull=False) & ~Q(sub=""))
                | (Q(kind=ProofKind.KEY, issuer=None) & ~Q(client_id=""))
                | (
                    Q(kind__in=[ProofKind.AWS_ROLE, ProofKind.AWS_USER], issuer=None)
                    & ~Q(account="")
                    & ~Q(name="")
                    & ~Q(partition="")
                ),
                name="identity_workloadidentity_complete",
            ),
            models.UniqueConstraint(
                fields=["kind", "partition", "account", "name"],
                condition=Q(ended_at=None, kind__in=[ProofKind.AWS_ROLE, ProofKind.AWS_USER]),
                name="identity_workloadidentity_aws_once",
            ),
            models.UniqueConstraint(
                fields=["issuer", "sub"],
                condition=Q(ended_at=None, kind=ProofKind.JWT),
                name="identity_workloadidentity_jwt_once",
            ),
            models.UniqueConstraint(
                fields=["client_id"],
                condition=Q(ended_at=None, kind=ProofKind.KEY),
                name="identity_workloadidentity_key_once",
            ),
        ]
        indexes = [models.Index(fields=["subject", "-created_at"], name="identity_workloadid_subject")]

    def __str__(self) -> str:
        return f"{self.outside} is {self.subject_id}"

    @property
    def outside(self) -> str:
        """What it is called where it comes from."""
        if self.kind == ProofKind.JWT:
            return self.sub
        if self.kind == ProofKind.KEY:
            return self.client_id
        what = "role" if self.kind == ProofKind.AWS_ROLE else "user"
        return f"arn:{self.partition}:iam::{self.account}:{what}/{self.name}"


class ProofSeen(models.Model):
    """A proof that was used: its hash, until nobody would take it any more. In the database, so that it holds."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest


class AgentLimits(models.Model):
    """How much an agent may do. Nothing given is no limit."""

    subject = models.OneToOneField(Subject, models.CASCADE, related_name="limits")
    calls_per_day = models.PositiveIntegerField(null=True)
    calls_per_minute = models.PositiveIntegerField(null=True)
    warned_on = models.DateField("day on which most of the budget was said to be spent", null=True)

    def __str__(self) -> str:
        return f"{self.subject_id}: {self.calls_per_day} a day, {self.calls_per_minute} a minute"


class Tally(models.Model):
    """How often something was done in a minute: calls of an agent, tokens given to a subject. Forgotten after days."""

    key = models.CharField(max_length=320)
    minute = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "minute"], name="identity_tally_once")]
        indexes = [models.Index(fields=["minute"], name="identity_tally_minute")]

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"


class AwsPrincipal(models.Model):
    """A role or user of an AWS account as the last synchronisation saw it, by AWS's own id."""

    account = models.CharField(max_length=12)
    kind = models.CharField(max_length=8, choices=[(ProofKind.AWS_ROLE, "Role"), (ProofKind.AWS_USER, "User")])
    stable_id = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=64)
    arn = models.CharField(max_length=600)
    tags = models.JSONField(default=dict)
    seen_at = models.DateTimeField()
    vanished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=[ProofKind.AWS_ROLE, ProofKind.AWS_USER]), name="identity_awsprincipal_kind_known"
            ),
        ]
        indexes = [models.Index(fields=["account", "kind", "name"], name="identity_awsprincipal_name")]

    def __str__(self) -> str:
        return self.arn

    @property
    def path(self) -> str:
        """Where AWS keeps it, between the account and the name: ``/`` or ``/ci/``."""
        return "/" + self.arn.partition(":role/" if self.kind == ProofKind.AWS_ROLE else ":user/")[2].removesuffix(
            self.name
        )

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1] if self.arn.count(":") > 1 else "aws"


class SyncOutcome(models.TextChoices):
    """How the last copying of an account ended."""

    NONE = "", "Never copied"
    COPIED = "copied", "Copied"
    HELD = "held", "Waits for a confirmation"
    FAILED = "failed", "Could not be read"


class AwsSync(models.Model):
    """One account that is copied, by the role that reads it (``own``: the console's), and how the last time went.

    ``asked_at`` is set while somebody waits for it to be copied now. ``may_lose`` is how many roles and users whoever
    confirmed saw would vanish; ``losing`` of ``present`` would, when it is held.
    """

    role = models.CharField(max_length=300, unique=True)
    account = models.CharField(max_length=12, default="", blank=True)
    asked_at = models.DateTimeField(null=True)
    asked_by = models.CharField("id of the actor", max_length=300, default="", blank=True)
    may_lose = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=6, choices=SyncOutcome, default=SyncOutcome.NONE, blank=True)
    done_at = models.DateTimeField(null=True)
    seen = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    vanished = models.PositiveIntegerField(default=0)
    ended = models.PositiveIntegerField(default=0)
    losing = models.PositiveIntegerField(default=0)
    present = models.PositiveIntegerField(default=0)
    message = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=SyncOutcome.values), name="identity_awssync_outcome_known"),
        ]

    def __str__(self) -> str:
        return self.role
