"""Identity stores of AWS that are read regularly."""

from __future__ import annotations

from django.db import models

from apps.identity.models.providers import Provider


class IdentityCenter(models.Model):
    """Where the users and groups of ``provider`` are read. ``role`` is taken for it; empty is the console's own.

    ``failed_at`` and ``failure`` are of the last reading that did not work, and empty after one that did.
    """

    provider = models.OneToOneField(Provider, models.CASCADE, primary_key=True, related_name="identity_center")
    region = models.CharField(max_length=30)
    store_id = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=200, default="", blank=True)
    asked_at = models.DateTimeField("when somebody last asked for a reading", null=True)
    read_at = models.DateTimeField(null=True)
    users = models.PositiveIntegerField(default=0)
    groups = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, default="", blank=True)

    def __str__(self) -> str:
        return self.store_id

    @property
    def is_waiting(self) -> bool:
        """Somebody asked, and no reading has ended since."""
        ended = [one for one in (self.read_at, self.failed_at) if one is not None]
        return self.asked_at is not None and (not ended or max(ended) < self.asked_at)
