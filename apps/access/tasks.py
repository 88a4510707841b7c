"""Celery entry points of access. Both are sweeps over rows with a due time: running late or twice does no harm."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.access import services

BEAT = {
    "access.expire_grants": {"task": "access.expire_grants", "schedule": 1.0, "options": {"expires": 10}},
    "access.expire_requests": {"task": "access.expire_requests", "schedule": 5.0, "options": {"expires": 30}},
}


@shared_task(name="access.expire_grants", acks_late=True, time_limit=60)
def expire_grants(**_: object) -> None:
    """The doors keep time by themselves; this makes the record say the same."""
    services.expire_due_grants(at=timezone.now())


@shared_task(name="access.expire_requests", acks_late=True, time_limit=60)
def expire_requests(**_: object) -> None:
    services.expire_due_requests(at=timezone.now())
