"""Sweeps. Beat starts ``rotate`` every hour; a lost or doubled run does no harm."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.trust import services

BEAT = {"trust.rotate": {"task": "trust.rotate", "schedule": 3600.0}}


@shared_task(name="trust.rotate", acks_late=True, time_limit=60)
def rotate(**_: object) -> None:
    services.rotate_due(at=timezone.now())
