"""Celery entry points of identity."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from apps.identity.scim.exchanges import forget_exchanges as forget

BEAT = {
    "identity.forget_sessions": {"task": "identity.forget_sessions", "schedule": 3600.0},
    "identity.forget_exchanges": {"task": "identity.forget_exchanges", "schedule": 900.0},
}


@shared_task(name="identity.forget_sessions", acks_late=True, time_limit=120)
def forget_sessions(**_: object) -> None:
    """Sessions that ran out stop working by themselves; this only takes their rows away."""
    SessionStore.clear_expired()


@shared_task(name="identity.forget_exchanges", acks_late=True, time_limit=120)
def forget_exchanges(**_: object) -> None:
    """SCIM exchanges are kept for a week."""
    forget(at=timezone.now())
