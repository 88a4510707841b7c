"""Celery entry points of access. All are sweeps over rows with a due time: running late or twice does no harm."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from apps.access import services
from apps.access.services import examining, standing

BEAT = {
    "access.expire_grants": {"task": "access.expire_grants", "schedule": 1.0, "options": {"expires": 10}},
    "access.expire_requests": {"task": "access.expire_requests", "schedule": 5.0, "options": {"expires": 30}},
    "access.examine": {"task": "access.examine", "schedule": 60.0, "options": {"expires": 60}},
    "access.look_again": {"task": "access.look_again", "schedule": 300.0, "options": {"expires": 300}},
}


@shared_task(name="access.expire_grants", acks_late=True, time_limit=60)
def expire_grants(**_: object) -> None:
    """The doors keep time by themselves; this makes the record say the same."""
    services.expire_due_grants(at=timezone.now())


@shared_task(name="access.expire_requests", acks_late=True, time_limit=60)
def expire_requests(**_: object) -> None:
    services.expire_due_requests(at=timezone.now())


@shared_task(name="access.examine", acks_late=True, time_limit=120)
def examine(**_: object) -> None:
    """What could go, found a hundred services at a time, so that a minute costs the same in every estate."""
    examining.examine_due(at=timezone.now())


@shared_task(name="access.look_again", acks_late=True, time_limit=120)
def look_again(**_: object) -> None:
    """Asks about standing access that is due or unused, and follows up what was not answered."""
    standing.open_due_reviews(at=timezone.now())
    standing.follow_up(at=timezone.now())
