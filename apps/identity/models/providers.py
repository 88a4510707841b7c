"""Who else's word about people, groups and workloads we take, and the secrets they show when they tell us."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from joserfc.jwk import RSAKey


class Preset(models.TextChoices):
    """Which directory it is: decides what is suggested on the set-up page, never what is believed."""

    OKTA_ORG = "okta_org", "Okta, org authorization server"
    OKTA_CUSTOM = "okta_custom", "Okta, custom authorization server"
    ENTRA = "entra", "Microsoft Entra ID"
    GOOGLE = "google", "Google Workspace"
    KEYCLOAK = "keycloak", "Keycloak"
    AUTH0 = "auth0", "Auth0"
    AWS_CENTER = "aws_center", "AWS IAM Identity Center"
    OTHER = "other", "Another OpenID provider"


class ClientAuth(models.TextChoices):
    """How we prove ourselves at the provider's token endpoint."""

    BASIC = "client_secret_basic", "In the Authorization header"
    POST = "client_secret_post", "In the form"
    PRIVATE_KEY = "private_key_jwt", "Not sent: this console signs with a key of its own"


class Provider(models.Model):
    """A directory that people sign in at. ``issuer`` is compared exactly; ``endpoints`` are what its discovery said.

    ``groups_claim`` is a path of keys, because some providers name claims by URLs with dots in them. A token must say
    ``tenant`` in ``tenant_claim`` where one is set: that pins an Entra tenant or a Google domain.
    ``ask_again_minutes`` is how often it is asked whether somebody signed in is still good; 0 is never.
    """

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    preset = models.CharField(max_length=12, choices=Preset, default=Preset.OTHER)
    issuer = models.CharField(max_length=300)
    client_id = models.CharField(max_length=255)
    client_secret_sealed = models.BinaryField(default=bytes)
    client_auth = models.CharField(max_length=20, choices=ClientAuth, default=ClientAuth.BASIC)
    algorithms = ArrayField(models.CharField(max_length=8))
    scopes = models.CharField(max_length=200, default="openid profile email")
    subject_claim = models.CharField(max_length=40, default="sub")
    groups_claim = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    allowed_domains = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    tenant_claim = models.CharField(max_length=40, default="", blank=True)
    tenant = models.CharField("tenant or hosted domain a token must name", max_length=100, default="", blank=True)
    step_up_acr = models.CharField(max_length=200, default="", blank=True)
    creates_people = models.BooleanField(default=True)
    ask_again_minutes = models.PositiveSmallIntegerField(default=0)
    enabled = models.BooleanField(default=True)
    endpoints = models.JSONField(default=dict)
    discovered_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "client_id"], name="identity_provider_client_once"),
            models.CheckConstraint(condition=Q(preset__in=Preset.values), name="identity_provider_preset_known"),
            models.CheckConstraint(condition=Q(algorithms__len__gt=0), name="identity_provider_algorithms_given"),
            models.CheckConstraint(
                condition=Q(tenant_claim="", tenant="") | (~Q(tenant_claim="") & ~Q(tenant="")),
                name="identity_provider_tenant_pinned_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def only_describes(self) -> bool:
        """It says who there is, and nobody signs in there."""
        return self.preset == Preset.AWS_CENTER


class ClientKey(models.Model):
    """A key pair by which we prove ourselves to a provider (RFC 7523). The private half is sealed.

    It is published from the start and signs from ``signs_from``; ``ends_at`` is set when a newer one follows it.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="client_keys")
    kid = models.CharField(max_length=64, unique=True)
    public_jwk = models.JSONField()
    private_sealed = models.BinaryField()
    created_at = models.DateTimeField()
    signs_from = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.kid} for {self.provider_id}"

    @property
    def public_pem(self) -> str:
        """For providers into which keys are pasted."""
        return RSAKey.import_key(self.public_jwk).as_pem(private=False).decode()


class Channel(models.TextChoices):
    """What a provider's secret lets it tell us."""

    SCIM = "scim", "Users and groups (SCIM)"
    EVENT_HOOK = "event_hook", "Event hooks"


class ProviderSecret(models.Model):
    """A bearer secret that a provider shows us. Only its hash is kept; two may be good at once, to change them over."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="secrets")
    channel = models.CharField(max_length=10, choices=Channel)
    prefix = models.CharField(max_length=12)
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="identity_providersecret_channel"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="identity_providersecret_ends"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}... of {self.provider_id}"


class SpentToken(models.Model):
    """A foreign token that did its work, kept until it would be refused anyway. Only a hash of its ``jti`` is kept."""

    issuer = models.CharField(max_length=300)
    jti_hash = models.CharField(max_length=64)
    good_until = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "jti_hash"], name="identity_spenttoken_once")]

    def __str__(self) -> str:
        return f"{self.jti_hash[:12]} of {self.issuer}"
