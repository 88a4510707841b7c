"""Celery entry points of identity."""

from __future__ import annotations

import logging
from collections import Counter

from celery import shared_task
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from apps.identity import asking, services
from apps.identity.identity_center import copying
from apps.identity.proofs import aws_syncing, limits, replay
from apps.identity.scim import exchanges
from apps.identity.services import denials

log = logging.getLogger(__name__)

PATIENCE = 3
"""Sessions about which a provider may be silent before the others wait for the next round."""

BEAT = {
    "identity.ask_again": {"task": "identity.ask_again", "schedule": 60.0, "options": {"expires": 50}},
    "identity.forget_sessions": {"task": "identity.forget_sessions", "schedule": 3600.0},
    "identity.forget_signals": {"task": "identity.forget_signals", "schedule": 3600.0},
    "identity.forget_proofs": {"task": "identity.forget_proofs", "schedule": 300.0},
    "identity.forget_exchanges": {"task": "identity.forget_exchanges", "schedule": 900.0},
    "identity.sync_aws": {"task": "identity.sync_aws", "schedule": 3600.0},
    "identity.read_identity_centers": {"task": "identity.read_identity_centers", "schedule": 900.0},
}


@shared_task(name="identity.forget_sessions", acks_late=True, time_limit=120)
def forget_sessions(**_: object) -> None:
    """Sessions that ran out stop working by themselves; this only takes their rows away."""
    SessionStore.clear_expired()
    at = timezone.now()
    services.forget_ended(at=at)
    services.forget_refresh_tokens(at=at)
    services.forget_client_keys(at=at)


@shared_task(name="identity.ask_again", acks_late=True, time_limit=270)
def ask_again(**_: object) -> None:
    """One session after the other, each at its own moment: what is signed meanwhile is not from the future."""
    silent: Counter[int] = Counter()
    for token_id, provider_id in asking.list_due(at=timezone.now()):
        if silent[provider_id] < PATIENCE:
            outcome = asking.ask_again(token_id=token_id, at=timezone.now())
            silent[provider_id] += outcome == asking.Outcome.SILENT


@shared_task(name="identity.forget_signals", acks_late=True, time_limit=120)
def forget_signals(**_: object) -> None:
    services.forget_old_signals(at=timezone.now())


@shared_task(name="identity.forget_proofs", acks_late=True, time_limit=120)
def forget_proofs(**_: object) -> None:
    """Used proofs that nobody would take any more, tallies of minutes long past, and denials that ended."""
    at = timezone.now()
    replay.forget(at=at)
    limits.forget(at=at)
    denials.forget(at=at)


@shared_task(name="identity.sync_aws", acks_late=True, time_limit=600)
def sync_aws(**_: object) -> None:
    """Idle unless accounts are named."""
    for line in aws_syncing.sync_all(roles=settings.SALLYPORT_AWS_SYNC_ROLES, at=timezone.now()):
        log.info("AWS %s", line)


@shared_task(name="identity.forget_exchanges", acks_late=True, time_limit=120)
def forget_exchanges(**_: object) -> None:
    """SCIM exchanges are kept for a week."""
    exchanges.forget_exchanges(at=timezone.now())


@shared_task(name="identity.read_identity_centers", acks_late=True, time_limit=1800)
def read_identity_centers(**_: object) -> None:
    """Idle unless a directory of this kind was added."""
    for line in copying.copy_all(at=timezone.now()):
        log.info("Identity Center %s", line)
