"""What an edge target needs beside its code: a stream of log lines, and a certificate to show to the mesh."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.rollout.models.targets import Target


class EdgeStream(models.Model):
    """The DataStream of an edge target. ``wanted``: whether it should deliver; ``status`` is Akamai's word on it.

    ``address`` is where Akamai reaches this console. ``sent_key`` is the hash of the secret Akamai was given last.
    ``adopting`` is the number of somebody's stream that is to become ours, ``candidate`` what was found under it, and
    ``agreed_version`` the version of it that a person agreed to.
    """

    target = models.OneToOneField(Target, models.CASCADE, related_name="stream")
    hostname = models.CharField(max_length=253)
    email = models.CharField(max_length=254)
    address = models.CharField(max_length=300)
    wanted = models.BooleanField(default=True)
    stream_id = models.PositiveBigIntegerField(null=True)
    status = models.CharField(max_length=20, default="", blank=True)
    found = models.JSONField(default=dict)
    sent_key = models.CharField(max_length=64, default="", blank=True)
    adopting = models.PositiveBigIntegerField(null=True)
    candidate = models.JSONField(default=dict)
    agreed_version = models.PositiveIntegerField(null=True)
    error = models.TextField(default="", blank=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    active_since = models.DateTimeField(null=True)
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["retry_at"], name="rollout_stream_due")]

    def __str__(self) -> str:
        return f"stream of {self.target_id}"


class StreamKey(models.Model):
    """A secret that deliveries prove themselves with: its hash to compare with, and sealed until it is replaced.

    Two are believed while one takes over from the other.
    """

    stream = models.ForeignKey(EdgeStream, models.CASCADE, related_name="keys")
    hash = models.CharField(max_length=64, unique=True)
    secret_sealed = models.BinaryField(default=bytes)
    made_at = models.DateTimeField()
    active_at = models.DateTimeField("when Akamai's stream was first active with it", null=True)
    used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["stream"], condition=Q(ended_at=None), name="rollout_streamkey_believed")]

    def __str__(self) -> str:
        return f"key of {self.stream_id} since {self.made_at:%Y-%m-%d}"


class OriginCertificate(models.Model):
    """The client certificate an edge target shows to the mesh, in Akamai's keystore.

    ``versions`` is what the keystore was last seen to hold. ``deployed_guid`` is the newest version that is everywhere,
    ``bound_guid`` the one that the property on production names, ``planned_guid`` the one a change of the property was
    asked for. ``agreed_by`` is who agreed that renewals go live without being looked at; empty: a person looks.
    ``renew_asked``: somebody wants a newer one now.
    """

    target = models.OneToOneField(Target, models.CASCADE, related_name="origin_certificate")
    hostname = models.CharField(max_length=253)
    email = models.CharField(max_length=254)
    certificate_id = models.PositiveBigIntegerField(null=True)
    versions = models.JSONField(default=list)
    deployed_guid = models.CharField(max_length=64, default="", blank=True)
    deployed_until = models.DateTimeField(null=True)
    bound_guid = models.CharField(max_length=64, default="", blank=True)
    bound_at = models.DateTimeField(null=True)
    planned_guid = models.CharField(max_length=64, default="", blank=True)
    agreed_by = models.CharField(max_length=200, default="", blank=True)
    renew_asked = models.BooleanField(default=False)
    waiting_for = models.CharField(max_length=200, default="", blank=True)
    error = models.TextField(default="", blank=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["retry_at"], name="rollout_origincert_due")]

    def __str__(self) -> str:
        return f"client certificate of {self.target_id}"
