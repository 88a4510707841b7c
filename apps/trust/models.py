"""Keys and certificates: what the doors believe, and what this console signs with."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.db.models import F, Q


class Purpose(models.TextChoices):
    """What a signing key is for. A key has one purpose, so that a token of one kind never passes for another."""

    EDGE_TOKEN = "edge_token", "Edge tokens"
    CONTEXT = "context", "Context tokens, from the edge to the mesh"
    BUNDLE = "bundle", "Bundles for mesh nodes"


class KeyState(models.TextChoices):
    NEXT = "next", "Published, not used yet"
    ACTIVE = "active", "Signs"
    RETIRING = "retiring", "Still believed"
    RETIRED = "retired", "Gone"


BELIEVED = (KeyState.NEXT, KeyState.ACTIVE, KeyState.RETIRING)

EDGES: Mapping[str, tuple[str, ...]] = {
    KeyState.NEXT: (KeyState.ACTIVE,),
    KeyState.ACTIVE: (KeyState.RETIRING,),
    KeyState.RETIRING: (KeyState.RETIRED,),
}


class Authority(models.Model):
    """The certificate authority of the mesh. Its private key is stored encrypted."""

    name = models.CharField(max_length=100)
    active = models.BooleanField(default=True)
    certificate_pem = models.TextField()
    key_sealed = models.BinaryField()
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["active"], condition=Q(active=True), name="trust_authority_one_active"),
        ]

    def __str__(self) -> str:
        return self.name


class Certificate(models.Model):
    """One issued workload certificate. Doors recognise it by ``fingerprint`` (SHA-1, as NGINX gives it, hex)."""

    authority = models.ForeignKey(Authority, models.PROTECT, related_name="certificates")
    workload = models.CharField(max_length=255)
    node = models.CharField(max_length=100)
    serial = models.CharField(max_length=40, unique=True)
    fingerprint = models.CharField(max_length=40, unique=True)
    key_hash = models.CharField("SHA-256 of the public key", max_length=64)
    pem = models.TextField()
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    issued_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(not_after__gt=F("not_before")), name="trust_certificate_ends_later"),
        ]
        indexes = [
            models.Index(fields=["workload", "-issued_at"], name="trust_certificate_workload"),
            models.Index(fields=["not_after"], name="trust_certificate_end"),
            models.Index(fields=["key_hash"], name="trust_certificate_key"),
        ]

    def __str__(self) -> str:
        return f"{self.workload} {self.serial}"


class SigningKey(models.Model):
    """An ES256 key pair. The private half is stored encrypted, and erased when the key is retired."""

    purpose = models.CharField(max_length=10, choices=Purpose)
    kid = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=8, choices=KeyState, default=KeyState.NEXT)
    public_jwk = models.JSONField()
    private_sealed = models.BinaryField(default=bytes)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=KeyState.values), name="trust_signingkey_state_known"),
            models.UniqueConstraint(
                fields=["purpose"], condition=Q(state=KeyState.ACTIVE), name="trust_signingkey_one_active"
            ),
            models.UniqueConstraint(
                fields=["purpose"], condition=Q(state=KeyState.NEXT), name="trust_signingkey_one_next"
            ),
        ]

    def __str__(self) -> str:
        return self.kid


class TokenCount(models.Model):
    """How many edge tokens a subject took on a day: a tally, since a chained record of each would slow them all."""

    subject = models.CharField(max_length=300)
    client_id = models.CharField(max_length=100)
    day = models.DateField()
    issued = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "client_id", "day"], name="trust_tokencount_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.day}: {self.issued}"
