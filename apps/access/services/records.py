"""Evidence and news: how this app's changes are recorded and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from apps.access.ids import channel_of
from apps.access.models import AccessRequest, Grant
from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.outbox import nudge
from apps.outbox import services as outbox

GRANT_CHANGED = "access.grant.changed"
GUARDRAIL_CHANGED = "access.guardrail.changed"


def poke_watchers(request: AccessRequest | None) -> None:
    """After the commit, and only a hint: who watches the page also looks by itself."""
    if request is not None:
        transaction.on_commit(partial(nudge.publish, channel_of(request.public_id)), robust=True)


def record_request(
    verb: str,
    request: AccessRequest,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        action=f"access.request.{verb}",
        actor=actor,
        target_type="access.request",
        target_id=request.public_id,
        target_name=f"{request.subject.name} to {request.service.title}",
        before=before,
        after=after,
        at=at,
    )


def announce_request(verb: str, request: AccessRequest, at: datetime) -> None:
    outbox.enqueue(
        topic=f"access.request.{verb}", key=request.public_id, payload={"service": request.service.slug}, at=at
    )
    poke_watchers(request)


def announce_guardrail(slug: str, services: Sequence[str], at: datetime) -> None:
    """``services`` are those to compile again; none means all."""
    outbox.enqueue(topic=GUARDRAIL_CHANGED, key=slug, payload={"services": list(services)}, at=at)


def record_grant(
    verb: str,
    grant: Grant,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        action=f"access.grant.{verb}",
        actor=actor,
        target_type="access.grant",
        target_id=grant.public_id,
        target_name=f"{grant.subject.name} to {grant.service.title}",
        before=before,
        after=after,
        at=at,
    )


def announce_grant(grant: Grant, at: datetime) -> None:
    """Whoever compiles must look again at this grant's service."""
    outbox.enqueue(
        topic=GRANT_CHANGED,
        key=grant.public_id,
        payload={
            "service": grant.service.slug,
            "environment": grant.environment.slug,
            "points": sorted(grant.points),
            "state": grant.state,
        },
        at=at,
    )
    poke_watchers(grant.request)
