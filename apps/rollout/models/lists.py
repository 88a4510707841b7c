"""The list of addresses in front of a guarded host, and how far it is at the vendor."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.rollout.models.targets import Target


class ListProduct(models.TextChoices):
    CLIENT = "client", "Client list"
    NETWORK = "network", "Network list"


class AddressList(models.Model):
    """One list at one target for one host. What it should hold is not here: access tells.

    ``entries`` is what we last brought there or found right, ``strange`` what somebody else did to it since;
    ``settled`` names the entries last seen live on production. ``enforced`` says whether a call from an address that
    is on no list was refused, where one could be made; None where none could.
    """

    target = models.ForeignKey(Target, models.CASCADE, related_name="address_lists")
    host = models.CharField(max_length=253)
    product = models.CharField(max_length=7, choices=ListProduct, default="", blank=True)
    list_id = models.CharField(max_length=200, default="", blank=True)
    version = models.PositiveIntegerField(null=True)
    staging = models.CharField(max_length=24, default="", blank=True)
    production = models.CharField(max_length=24, default="", blank=True)
    staging_version = models.PositiveIntegerField(null=True)
    production_version = models.PositiveIntegerField(null=True)
    failed_activation = models.PositiveBigIntegerField(null=True)
    entries = models.JSONField(default=list)
    strange = models.JSONField(default=list)
    settled = models.CharField(max_length=64, default="", blank=True)
    put_back = models.BooleanField(default=False)
    enforced = models.BooleanField(null=True)
    events = models.JSONField(default=list)
    waiting_for = models.TextField(default="", blank=True)
    error = models.TextField(default="", blank=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["target", "host"], name="rollout_addresslist_once"),
            models.CheckConstraint(
                condition=Q(product__in=["", *ListProduct.values]), name="rollout_addresslist_product_known"
            ),
        ]
        indexes = [models.Index(fields=["retry_at"], name="rollout_addresslist_due")]

    def __str__(self) -> str:
        return f"{self.host} at {self.target_id}"
