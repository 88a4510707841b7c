"""What directories say about people: their users and groups, as they sent them, and the exchanges in which they did."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from apps.identity.models.providers import Provider
from apps.identity.models.subjects import Subject


class DirectoryUser(models.Model):
    """A user as one provider describes it. ``subject`` is the person it met by (issuer, ``external_id``), if any.

    ``document`` is the SCIM resource without what has a column of its own or is never kept (passwords);
    ``user_name_key`` is the user name as it is compared: RFC 7643, section 4.1.1, says without regard to case.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="directory_users")
    scim_id = models.UUIDField(unique=True)
    external_id = models.CharField(max_length=255, default="", blank=True)
    user_name = models.CharField(max_length=255)
    user_name_key = models.CharField(max_length=255)
    active = models.BooleanField(default=True)
    document = models.JSONField(default=dict)
    subject = models.ForeignKey(Subject, models.PROTECT, null=True, related_name="directory_users")
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "user_name_key"], name="identity_directoryuser_name_once"),
            models.UniqueConstraint(
                fields=["provider", "external_id"],
                condition=~Q(external_id=""),
                name="identity_directoryuser_external_once",
            ),
        ]
        indexes = [models.Index(fields=["provider", "id"], name="identity_directoryuser_order")]

    def __str__(self) -> str:
        return f"{self.user_name} at {self.provider_id}"


class Origin(models.TextChoices):
    """How a group came to us."""

    SCIM = "scim", "Pushed (SCIM)"
    CLAIM = "claim", "Claimed at sign-in"


class Group(models.Model):
    """A provider's group. One that is only claimed at sign-ins is known by its name and never shown over SCIM.

    ``unknown_members`` are ids that the directory named as members and that are nobody's, with what it calls them.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="groups")
    origin = models.CharField(max_length=5, choices=Origin)
    scim_id = models.UUIDField(unique=True)
    name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, default="", blank=True)
    unknown_members = models.JSONField(default=dict)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(origin__in=Origin.values), name="identity_group_origin_known"),
            models.UniqueConstraint(
                fields=["provider", "name"], condition=Q(origin=Origin.CLAIM), name="identity_group_claimed_once"
            ),
        ]
        indexes = [
            models.Index(fields=["provider", "origin", "id"], name="identity_group_order"),
            models.Index(fields=["provider", "name"], name="identity_group_name"),
            models.Index("provider", Upper("name"), name="identity_group_any_case"),
            models.Index(
                fields=["provider", "external_id"], condition=~Q(external_id=""), name="identity_group_external"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.provider_id}"


class GroupMember(models.Model):
    """Who is in a group: a user the directory pushed, or somebody who signed in with the group in a claim."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="members")
    entry = models.ForeignKey(DirectoryUser, models.CASCADE, null=True, related_name="group_memberships")
    subject = models.ForeignKey(Subject, models.CASCADE, null=True, related_name="claimed_groups")
    display = models.CharField("what the directory calls it here", max_length=255, default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(entry=None, subject__isnull=False) | Q(entry__isnull=False, subject=None),
                name="identity_groupmember_is_one",
            ),
            models.UniqueConstraint(fields=["group", "entry"], name="identity_groupmember_entry_once"),
            models.UniqueConstraint(fields=["group", "subject"], name="identity_groupmember_subject_once"),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id or self.subject_id} in {self.group_id}"


class DirectoryAlert(models.Model):
    """Something a directory did at once and that somebody should look at: many suspensions in a short time."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="alerts")
    people = models.PositiveIntegerField()
    out_of = models.PositiveIntegerField()
    raised_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["provider", "-raised_at"], name="identity_directoryalert_new")]

    def __str__(self) -> str:
        return f"{self.people} of {self.out_of} suspended by {self.provider_id}"


class ScimExchange(models.Model):
    """One SCIM request and its answer, without secrets, kept for a week for an administrator to look at."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="exchanges")
    at = models.DateTimeField()
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500)
    status = models.PositiveSmallIntegerField()
    milliseconds = models.PositiveIntegerField()
    request_body = models.TextField(default="", blank=True)
    response_body = models.TextField(default="", blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["provider", "-id"], name="identity_scimexchange_newest"),
            models.Index(fields=["at"], name="identity_scimexchange_at"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status}"
