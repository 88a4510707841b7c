"""Celery entry points of identity."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from apps.identity import services
from apps.identity.proofs import aws_syncing, limits, replay
from apps.identity.scim import exchanges

log = logging.getLogger(__name__)

BEAT = {
    "identity.forget_sessions": {"task": "identity.forget_sessions", "schedule": 3600.0},
    "identity.forget_signals": {"task": "identity.forget_signals", "schedule": 3600.0},
    "identity.forget_proofs": {"task": "identity.forget_proofs", "schedule": 300.0},
    "identity.forget_exchanges": {"task": "identity.forget_exchanges", "schedule": 900.0},
    "identity.sync_aws": {"task": "identity.sync_aws", "schedule": 3600.0},
}


@shared_task(name="identity.forget_sessions", acks_late=True, time_limit=120)
def forget_sessions(**_: object) -> None:
    """Sessions that ran out stop working by themselves; this only takes their rows away."""
    SessionStore.clear_expired()
    services.forget_ended(at=timezone.now())


@shared_task(name="identity.forget_signals", acks_late=True, time_limit=120)
def forget_signals(**_: object) -> None:
    services.forget_old_signals(at=timezone.now())


@shared_task(name="identity.forget_proofs", acks_late=True, time_limit=120)
def forget_proofs(**_: object) -> None:
    """Used proofs that nobody would take any more, and tallies of minutes long past."""
    at = timezone.now()
    replay.forget(at=at)
    limits.forget(at=at)


@shared_task(name="identity.sync_aws", acks_late=True, time_limit=600)
def sync_aws(**_: object) -> None:
    """Idle unless accounts are named."""
    for line in aws_syncing.sync_all(roles=settings.SALLYPORT_AWS_SYNC_ROLES, at=timezone.now()):
        log.info("AWS %s", line)


@shared_task(name="identity.forget_exchanges", acks_late=True, time_limit=120)
def forget_exchanges(**_: object) -> None:
    """SCIM exchanges are kept for a week."""
    exchanges.forget_exchanges(at=timezone.now())
