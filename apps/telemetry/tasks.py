"""Celery entry points of telemetry."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.rollout.tasks import poke
from apps.telemetry import edge_gaps, services, watching

BEAT = {
    "telemetry.prune": {"task": "telemetry.prune", "schedule": 600.0},
    "telemetry.releases": {"task": "telemetry.releases", "schedule": 15.0, "options": {"expires": 15}},
    "telemetry.gaps": {"task": "telemetry.gaps", "schedule": 60.0, "options": {"expires": 60}},
}
ROUNDS = 20


@shared_task(name="telemetry.prune", acks_late=True, time_limit=120)
def prune(**_: object) -> None:
    """Forgets old calls in bites, so that no transaction is long."""
    for _round in range(ROUNDS):
        if not services.prune(at=timezone.now()):
            break
    edge_gaps.prune(at=timezone.now())


@shared_task(name="telemetry.releases", acks_late=True, time_limit=60)
def tell_releases(**_: object) -> None:
    """Says how many calls the edge answered with errors of its own, before and after new code."""
    poke(watching.tell_releases(at=timezone.now()))


@shared_task(name="telemetry.gaps", acks_late=True, time_limit=60)
def look_for_gaps(**_: object) -> None:
    """What the edge's log did not bring, once a minute."""
    edge_gaps.look_for_gaps(at=timezone.now())
