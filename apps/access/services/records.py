"""Evidence and news: how this app's changes are recorded and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from apps.access.ids import channel_of
from apps.access.models import AccessRequest, CleanUp, Grant, StandingReview
from apps.access.states import LIVE_GRANTS
from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.outbox import nudge
from apps.outbox import services as outbox

GRANT_CHANGED = "access.grant.changed"
GUARDRAIL_CHANGED = "access.guardrail.changed"
CLEAN_UP_CHANGED = "access.clean_up.changed"
STANDING_CHANGED = "access.standing.changed"


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
    """Writes ``access.request.<verb>`` to the audit record, in the caller's transaction."""
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
    """Tells whoever listens to the outbox, and the pages that show the request, that there is something new."""
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
    """Writes ``access.grant.<verb>`` to the audit record, in the caller's transaction."""
    audit.record_all([grant_entry(verb, grant, actor=actor, before=before, after=after)], at=at)


def grant_entry(
    verb: str,
    grant: Grant,
    *,
    actor: Actor,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> audit.Entry:
    """What goes on the record about a grant."""
    named = f"{grant.subject.name} to {grant.service.title}"
    return audit.Entry(f"access.grant.{verb}", actor, "access.grant", grant.public_id, named, before, after)


def announce_grant(grant: Grant, at: datetime) -> None:
    """As ``announce_grants``, of one."""
    announce_grants([grant], at)


def announce_grants(grants: Sequence[Grant], at: datetime, *, urgent: bool = False) -> None:
    """Whoever compiles must look again at these grants' services; soonest where access ends."""
    for soon in (True, False):
        announced = [grant for grant in grants if soon == (urgent or grant.state not in LIVE_GRANTS)]
        payloads = {grant.public_id: _news(grant) for grant in announced}
        outbox.enqueue_many(topic=GRANT_CHANGED, payloads=payloads, at=at, urgent=soon)
    for grant in grants:
        poke_watchers(grant.request)


def _news(grant: Grant) -> dict[str, object]:
    return {
        "service": grant.service.slug,
        "environment": grant.environment.slug,
        "points": sorted(grant.points),
        "state": grant.state,
    }


def record_clean_up(
    verb: str,
    row: CleanUp,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """On the record, and told to whoever follows."""
    audit.record(
        action=f"access.clean_up.{verb}",
        actor=actor,
        target_type="access.clean_up",
        target_id=row.public_id,
        target_name=row.service.title,
        before=before,
        after=after,
        at=at,
    )
    payload = {"service": row.service.slug, "state": row.state}
    outbox.enqueue(topic=CLEAN_UP_CHANGED, key=row.public_id, payload=payload, at=at)


def record_standing(
    verb: str, rows: Sequence[StandingReview], *, actor: Actor, at: datetime, after: Mapping[str, object] | None = None
) -> None:
    """On the record, and told to whoever follows: the holder and those who answer. With grant, subject and service."""
    entries = [
        audit.Entry(
            f"access.standing.{verb}",
            actor,
            "access.standing",
            row.public_id,
            f"{row.grant.subject.name} to {row.grant.service.title}",
            None,
            {"grant": row.grant.public_id, "cause": row.cause, "due_at": row.due_at.isoformat(), **(after or {})},
        )
        for row in rows
    ]
    audit.record_all(entries, at=at)
    payloads = {row.public_id: _asked(row) for row in rows}
    outbox.enqueue_many(topic=STANDING_CHANGED, payloads=payloads, at=at)


def _asked(row: StandingReview) -> dict[str, object]:
    grant = row.grant
    return {
        "grant": grant.public_id,
        "service": grant.service.slug,
        "holder": grant.subject.key,
        "owner": grant.service.team.key,
        "cause": row.cause,
        "state": row.state,
        "due_at": row.due_at.isoformat(),
        "asked": row.times_asked,
    }
