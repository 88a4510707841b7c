"""Asking for an outside party's addresses, and guarding hosts by lists.

From here on such a request goes the road of every other: the same rules, reviews, clock, end and record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.access import policies, refusals, selectors
from apps.access.addresses import (
    MOST_ALWAYS,
    Addressed,
    limits,
    read_addressed,
    read_blocks,
    read_host,
    require_kept,
    sponsored,
)
from apps.access.asks import REASON_LENGTH, TICKET_LENGTH, read_duration, read_text
from apps.access.ids import new_request_id
from apps.access.models import AccessRequest, AddressAsk, GuardedHost, Origin
from apps.access.rules import Need
from apps.access.services.records import announce_request, record_request
from apps.access.services.requests import LIFETIME, store_request
from apps.access.weighing import weigh
from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.catalog import selectors as catalog
from apps.compiler.addresses import Limits, write
from apps.identity import services as identities
from apps.outbox import services as outbox

if TYPE_CHECKING:
    from apps.identity.models import Subject

HOST_CHANGED = "access.host.changed"


@dataclass(frozen=True, slots=True)
class NewParty:
    """An outside party that may not be known yet. ``team``: the key of the team of ours that answers for it."""

    name: str
    contact: str
    purpose: str
    team: str


def open_address_request(
    *,
    actor: Subject,
    party: str | NewParty,
    service_slug: str,
    addresses: str,
    duration: int,
    environment: str | None = None,
    reason: str,
    ticket: str = "",
    origin: str = Origin.WEB,
    demands: Sequence[Need] = (),
    at: datetime,
) -> AccessRequest:
    """Ask that the addresses of a party, by key or described, may reach the host of a service.

    The first thing against it is raised, and then the party is not made known either.
    """
    with transaction.atomic():
        subject = _party(party, actor, at)
        asked = read_addressed(subject, service_slug=service_slug, addresses=addresses, environment=environment)
        request = AccessRequest(
            public_id=new_request_id(),
            requester=actor,
            subject=subject,
            service=asked.target.service,
            environment=asked.target.environment,
            points=list(asked.target.points),
            duration=read_duration(duration),
            reason=read_text("reason", reason, longest=REASON_LENGTH, required=True),
            ticket=read_text("ticket", ticket, longest=TICKET_LENGTH),
            origin=Origin(origin),
            fingerprint=asked.fingerprint(subject),
            created_at=at,
            expires_at=at + LIFETIME,
        )
        weighed = weigh(requester=actor, subject=subject, target=asked.target, duration=duration, demands=demands)
        if weighed.blockers:
            raise weighed.blockers[0]
        store_request(request, asked.target, weighed)
        AddressAsk.objects.create(request=request, host=asked.host, blocks=asked.values)
        record_request("opened", request, actor=actor.actor, at=at, after=_described(request, asked))
        announce_request("opened", request, at)
    return request


def _party(party: str | NewParty, actor: Subject, at: datetime) -> Subject:
    if isinstance(party, str):
        return sponsored(actor, party)
    made = identities.register_party(
        actor=actor, name=party.name, contact=party.contact, purpose=party.purpose, team_key=party.team, at=at
    )
    return sponsored(actor, made.key)


def _described(request: AccessRequest, asked: Addressed) -> dict[str, object]:
    return {
        "subject": request.subject.key,
        "service": request.service.slug,
        "environment": request.environment.slug,
        "host": asked.host,
        "addresses": asked.values,
        "contact": request.subject.email,
        "duration": request.duration,
        "reason": request.reason,
        "ticket": request.ticket,
        "origin": request.origin,
        "resolved": request.resolved,
        "risk": request.risk,
    }


def guard_host(
    *, host: str, always: str, why: str, environment: str | None = None, actor: Actor, at: datetime
) -> GuardedHost:
    """Have a list decide which addresses reach a host, or change who always may. For security and administrators.
    Raises ListsNotKept.

    The list is made and filled at the edge; what closes the host to everybody else is the edge's own policy.
    """
    policies.require_can_govern(actor)
    name, said = read_host(host), read_text("why", why, longest=300, required=True)
    wide = Limits(widest_v4=8, widest_v6=19, most=MOST_ALWAYS, loopback=limits().loopback)
    blocks = [write(block) for block in read_blocks(always, wide, field="always")] if always.strip() else []
    where = catalog.get_environment(environment)
    require_kept(where)
    with transaction.atomic():
        row = GuardedHost.objects.select_for_update().filter(environment=where, host=name).first()
        before = None if row is None else {"always": row.always, "why": row.why}
        row = row or GuardedHost(environment=where, host=name, created_at=at)
        row.always, row.why = blocks, said
        row.save()
        _record("changed" if before else "guarded", row, actor, at, before)
        outbox.enqueue(topic=HOST_CHANGED, key=name, payload={"environment": where.slug}, at=at)
    return row


def stop_guarding(
    *, host: str, detached: bool, environment: str | None = None, actor: Actor, at: datetime
) -> GuardedHost:
    """Let every address reach a host again. The list at the edge is emptied, and then nobody keeps it any more.

    ``detached``: the edge's own policy asks the list no longer, as whoever keeps that policy says; else an empty list
    would close the host to everybody. What is open or asked for there has to end first. Raises HostUnguarded,
    StillAttached, HostInUse.
    """
    policies.require_can_govern(actor)
    name, where = read_host(host), catalog.get_environment(environment)
    with transaction.atomic():
        row = GuardedHost.objects.select_for_update().filter(environment=where, host=name).first()
        if row is None:
            raise refusals.HostUnguarded(f"{name} is not guarded.")
        used = selectors.count_address_uses(environment=where, host=name)
        if used:
            raise refusals.HostInUse(f"{used} openings or requests for {name} are there still. End them first.")
        if not detached:
            raise refusals.StillAttached
        before = {"always": row.always, "why": row.why}
        row.delete()
        _record("unguarded", row, actor, at, before)
        outbox.enqueue(topic=HOST_CHANGED, key=name, payload={"environment": where.slug}, at=at)
    return row


def _record(verb: str, row: GuardedHost, actor: Actor, at: datetime, before: Mapping[str, object] | None) -> None:
    audit.record(
        action=f"access.host.{verb}",
        actor=actor,
        target_type="access.host",
        target_id=row.host,
        target_name=row.host,
        before=before,
        after={"always": row.always, "why": row.why},
        at=at,
    )
