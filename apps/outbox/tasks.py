"""Celery entry points of the outbox. Losing any of these calls costs seconds, never a message."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.outbox import services

BATCH = 500
BEAT = {
    "outbox.sweep": {"task": "outbox.sweep", "schedule": 2.0, "options": {"expires": 10}},
    "outbox.prune": {"task": "outbox.prune", "schedule": 3600.0},
}


def _drain() -> None:
    for _ in range(BATCH):
        if not services.drain(at=timezone.now(), limit=1).handled:
            return


@shared_task(name="outbox.drain", acks_late=True, time_limit=120)
def drain(**_: object) -> None:
    """Poked after a commit."""
    _drain()


@shared_task(name="outbox.sweep", acks_late=True, time_limit=120)
def sweep(**_: object) -> None:
    """Finds what a lost poke, a dead worker or a backed-off failure left behind."""
    _drain()


@shared_task(name="outbox.prune", acks_late=True, time_limit=120)
def prune(**_: object) -> None:
    services.prune(at=timezone.now())
