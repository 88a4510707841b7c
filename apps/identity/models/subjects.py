"""Who there is: people, teams, workloads and agents, and how they belong together."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat

from apps.audit.actors import Actor


class Kind(models.TextChoices):
    PERSON = "person", "Person"
    TEAM = "team", "Team"
    WORKLOAD = "workload", "Workload"
    AGENT = "agent", "Agent"
    PARTY = "party", "Outside party"


class SubjectState(models.TextChoices):
    ACTIVE = "active", "Active"
    SUSPENDED = "suspended", "Suspended"


class MembershipRole(models.TextChoices):
    MEMBER = "member", "Member"
    OWNER = "owner", "Owner"


class Role(models.TextChoices):
    """What a person may do in the console itself, beside asking for access."""

    SECURITY = "security", "Security"
    AUDITOR = "auditor", "Auditor"
    OPERATOR = "operator", "Operator"
    ADMINISTRATOR = "administrator", "Administrator"


class Subject(models.Model):
    """Somebody or something that may hold access. ``key`` is its id everywhere: ``person:ada``, ``team:storefront``."""

    key = models.CharField(max_length=300, unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField("shown name", max_length=200)
    email = models.CharField("mail, for notices only", max_length=254, default="", blank=True)
    state = models.CharField(max_length=9, choices=SubjectState, default=SubjectState.ACTIVE)
    owner = models.ForeignKey("self", models.PROTECT, null=True, related_name="agents")
    team = models.ForeignKey("self", models.PROTECT, null=True, related_name="belongings")
    spiffe_id = models.CharField(max_length=255, null=True, unique=True)
    purpose = models.CharField(max_length=300, default="", blank=True)
    created_at = models.DateTimeField()
    suspended_at = models.DateTimeField(null=True)
    suspended_by = models.CharField("id of the actor", max_length=300, default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="identity_subject_kind_known"),
            models.CheckConstraint(condition=Q(state__in=SubjectState.values), name="identity_subject_state_known"),
            models.CheckConstraint(
                condition=Q(key__startswith=Concat(F("kind"), Value(":"))), name="identity_subject_key_has_kind"
            ),
            models.CheckConstraint(
                condition=Q(kind=Kind.AGENT, owner__isnull=False) | (~Q(kind=Kind.AGENT) & Q(owner=None)),
                name="identity_subject_agents_have_an_owner",
            ),
            models.CheckConstraint(
                condition=Q(team=None) | Q(kind__in=[Kind.WORKLOAD, Kind.AGENT, Kind.PARTY]),
                name="identity_subject_people_and_teams_have_no_owning_team",
            ),
            models.CheckConstraint(
                condition=Q(kind=Kind.WORKLOAD, key=Concat(Value("workload:"), F("spiffe_id")))
                | (~Q(kind=Kind.WORKLOAD) & Q(spiffe_id=None)),
                name="identity_subject_workloads_have_a_spiffe_id",
            ),
            models.CheckConstraint(
                condition=Q(state=SubjectState.ACTIVE, suspended_at=None)
                | Q(state=SubjectState.SUSPENDED, suspended_at__isnull=False),
                name="identity_subject_suspended_at_when_suspended",
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "name"], name="identity_subject_kind_name"),
            models.Index(
                fields=["suspended_by", "suspended_at"],
                condition=Q(suspended_at__isnull=False),
                name="identity_subject_suspended",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_active(self) -> bool:
        """Not suspended itself, nor, for an agent, owned by somebody who is."""
        return self.state == SubjectState.ACTIVE and (self.owner is None or self.owner.state == SubjectState.ACTIVE)

    @property
    def actor(self) -> Actor:
        return Actor(id=self.key, name=self.name)


class Membership(models.Model):
    """``role`` is what counts: the stronger of what the team's own list says (``stated_role``, by the catalogue or a
    person) and what directories give (``MappedMembership``). A row without either is deleted."""

    team = models.ForeignKey(Subject, models.CASCADE, related_name="memberships")
    member = models.ForeignKey(Subject, models.CASCADE, related_name="team_memberships")
    role = models.CharField(max_length=6, choices=MembershipRole, default=MembershipRole.MEMBER)
    stated_role = models.CharField(max_length=6, choices=MembershipRole, default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "member"], name="identity_membership_once"),
            models.CheckConstraint(condition=Q(role__in=MembershipRole.values), name="identity_membership_role_known"),
            models.CheckConstraint(condition=~Q(team=F("member")), name="identity_membership_not_of_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} in {self.team_id} ({self.role})"


class ConsoleRole(models.Model):
    """``stated`` is a role that an administrator gave; without it, only directories do (``MappedRole``)."""

    subject = models.ForeignKey(Subject, models.CASCADE, related_name="console_roles")
    role = models.CharField(max_length=13, choices=Role)
    stated = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "role"], name="identity_consolerole_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="identity_consolerole_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} is {self.role}"
