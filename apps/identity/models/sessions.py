"""How somebody proves who they are: sign-ins at a provider, sessions, API tokens."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property

from apps.identity.models.providers import Provider
from apps.identity.models.subjects import ConsoleRole, Role, Subject


class Scope(models.TextChoices):
    """What an API token may do of what its subject may do."""

    READ = "read", "Read"
    WRITE = "write", "Ask, decide and change"
    EDGE = "edge", "Get edge tokens"


class Login(models.Model):
    """How a provider names a person. The pair is the identity; an e-mail address never is."""

    issuer = models.CharField(max_length=300)
    sub = models.CharField(max_length=255)
    subject = models.ForeignKey(Subject, models.CASCADE, related_name="logins")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "sub"], name="identity_login_once")]

    def __str__(self) -> str:
        return f"{self.sub} at {self.issuer}"


class ApiToken(models.Model):
    """A bearer secret for programs. Only its hash is kept; the secret is shown once."""

    subject = models.ForeignKey(Subject, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    hash = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values, scopes__len__gt=0), name="identity_apitoken_scopes_known"
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="identity_apitoken_expires_later"),
        ]
        indexes = [models.Index(fields=["subject", "-created_at"], name="identity_apitoken_subject")]

    def __str__(self) -> str:
        return f"{self.prefix}... of {self.subject_id}"


class SignIn(models.Model):
    """A browser session and where it came from, so that a provider's word can end it.

    ``sub`` is how the provider names the person when it ends sessions, which is not always the claim we know them by.
    ``sid`` is its own name for the session; ``id_token_sealed`` is the hint it wants when we sign out there.
    ``authenticated_at`` is unknown where the provider does not say when it last saw proof. ``used_at`` is noted, to the
    minute, of sessions about which the provider is asked again.
    """

    session_key = models.CharField(max_length=40, unique=True)
    subject = models.ForeignKey(Subject, models.CASCADE, related_name="sign_ins")
    provider = models.ForeignKey(Provider, models.PROTECT, null=True, related_name="sign_ins")
    sub = models.CharField(max_length=255, default="", blank=True)
    sid = models.CharField(max_length=255, default="", blank=True)
    id_token_sealed = models.BinaryField(default=bytes)
    authenticated_at = models.DateTimeField(null=True)
    acr = models.CharField(max_length=200, default="", blank=True)
    started_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "-started_at"], name="identity_signin_subject"),
            models.Index(fields=["provider", "sid"], name="identity_signin_sid"),
            models.Index(fields=["provider", "sub"], name="identity_signin_sub"),
        ]

    def __str__(self) -> str:
        return f"session of {self.subject_id} since {self.started_at:%Y-%m-%d %H:%M}"


class RefreshToken(models.Model):
    """With this a provider is asked whether a session's person is still good (RFC 6749, section 6). Sealed, not shown.

    It outlives its session until the provider has been told that it is not needed any more, so the database does not
    hold the two together. ``asked_at`` is when the provider last answered; ``silent_since`` is set while it does not.
    """

    sign_in = models.OneToOneField(
        SignIn, models.DO_NOTHING, null=True, db_constraint=False, related_name="refresh_token"
    )
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="refresh_tokens")
    token_sealed = models.BinaryField()
    due_at = models.DateTimeField(db_index=True)
    tried_at = models.DateTimeField()
    asked_at = models.DateTimeField()
    silent_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"refresh token {self.pk} of {self.provider_id}"


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> models.QuerySet[User]:
        """With the subject and its roles: every request asks whether it is active, and most also what it may do."""
        roles = ConsoleRole.objects.filter(subject=models.OuterRef("subject")).values("role")
        return super().get_queryset().select_related("subject__owner").annotate(held_roles=ArraySubquery(roles))


class User(AbstractBaseUser, PermissionsMixin):
    """A session's holder. Who it is and what it may do hangs on ``subject``, whose key is the ``username``."""

    username = models.CharField(max_length=300, unique=True)
    subject = models.OneToOneField(Subject, models.CASCADE, related_name="user")

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.username

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # derived, so that it cannot disagree with the subject
        return self.subject.is_active

    @cached_property
    def is_staff(self) -> bool:
        """May open Django's admin, which is for operators."""
        return self.subject.console_roles.filter(role__in=[Role.OPERATOR, Role.ADMINISTRATOR]).exists()
