"""Celery entry points of telemetry."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.telemetry import services

BEAT = {"telemetry.prune": {"task": "telemetry.prune", "schedule": 600.0}}
ROUNDS = 20


@shared_task(name="telemetry.prune", acks_late=True, time_limit=120)
def prune(**_: object) -> None:
    """Forgets old calls in bites, so that no transaction is long."""
    for _round in range(ROUNDS):
        if not services.prune(at=timezone.now()):
            return
