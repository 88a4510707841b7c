"""What groups mean here: rules, what they give, and changes that wait because they would take a lot away."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.identity.models.providers import Provider
from apps.identity.models.subjects import MembershipRole, Role, Subject


class Match(models.TextChoices):
    """How a rule reads a group's name."""

    EXACT = "exact", "is"
    PREFIX = "prefix", "begins with"
    REGEX = "regex", "matches the expression"


class GroupRule(models.Model):
    """Whoever is in a matching group is in ``team``, or holds ``console_role``. One of the two, never both."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="group_rules")
    match = models.CharField(max_length=6, choices=Match)
    pattern = models.CharField(max_length=255)
    team = models.ForeignKey(Subject, models.PROTECT, null=True, related_name="group_rules")
    team_role = models.CharField(max_length=6, choices=MembershipRole, default="", blank=True)
    console_role = models.CharField(max_length=13, choices=Role, default="", blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(match__in=Match.values), name="identity_grouprule_match_known"),
            models.CheckConstraint(
                condition=Q(team__isnull=False, team_role__in=MembershipRole.values, console_role="")
                | Q(team=None, team_role="", console_role__in=Role.values),
                name="identity_grouprule_gives_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.match} {self.pattern}"


class MappedMembership(models.Model):
    """A place in a team that a provider's groups give. The team's own list is in ``Membership.stated_role``."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="mapped_memberships")
    team = models.ForeignKey(Subject, models.CASCADE, related_name="mapped_members")
    member = models.ForeignKey(Subject, models.CASCADE, related_name="mapped_teams")
    role = models.CharField(max_length=6, choices=MembershipRole)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "team", "member"], name="identity_mappedmembership_once"),
            models.CheckConstraint(condition=Q(role__in=MembershipRole.values), name="identity_mappedmembership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} in {self.team_id} ({self.role}) by {self.provider_id}"


class MappedRole(models.Model):
    """A console role that a provider's groups give. Those an administrator gave have ``ConsoleRole.stated``."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="mapped_roles")
    subject = models.ForeignKey(Subject, models.CASCADE, related_name="mapped_roles")
    role = models.CharField(max_length=13, choices=Role)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "subject", "role"], name="identity_mappedrole_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="identity_mappedrole_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} is {self.role} by {self.provider_id}"


class MappingLoss(models.Model):
    """Who lost something lately, so that many small losses count like one large one. Kept for minutes."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="mapping_losses")
    subject = models.ForeignKey(Subject, models.CASCADE, related_name="mapping_losses")
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["provider", "at"], name="identity_mappingloss_recent")]

    def __str__(self) -> str:
        return f"{self.subject_id} at {self.at:%H:%M}"


class Cause(models.TextChoices):
    """What would take so much away."""

    RULES = "rules", "A change of the rules"
    SYNC = "sync", "What the directory sent"


class PendingMapping(models.Model):
    """A paused change. While one is open, nothing that this provider's groups gave is taken away.

    ``proposal`` is the change of the rules that waits: {"add": {...}} or {"remove": id}; empty for a sync.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="pending_mappings")
    cause = models.CharField(max_length=5, choices=Cause)
    proposal = models.JSONField(default=dict)
    people = models.PositiveIntegerField()
    out_of = models.PositiveIntegerField()
    opened_at = models.DateTimeField()
    opened_by = models.CharField(max_length=300)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=300, default="", blank=True)
    confirmed = models.BooleanField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(cause__in=Cause.values), name="identity_pendingmapping_cause_known"),
            models.UniqueConstraint(
                fields=["provider"], condition=Q(decided_at=None), name="identity_pendingmapping_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.people} of {self.out_of} at {self.provider_id}"
