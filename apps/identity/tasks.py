"""Celery entry points of identity."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from apps.identity import services

BEAT = {
    "identity.forget_sessions": {"task": "identity.forget_sessions", "schedule": 3600.0},
    "identity.forget_signals": {"task": "identity.forget_signals", "schedule": 3600.0},
}


@shared_task(name="identity.forget_sessions", acks_late=True, time_limit=120)
def forget_sessions(**_: object) -> None:
    """Sessions that ran out stop working by themselves; this only takes their rows away."""
    SessionStore.clear_expired()
    services.forget_ended(at=timezone.now())


@shared_task(name="identity.forget_signals", acks_late=True, time_limit=120)
def forget_signals(**_: object) -> None:
    services.forget_old_signals(at=timezone.now())
