"""Putting a narrower grant in the place of one that opens too much: same holder, doors and clock, fewer routes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from apps.access import refusals
from apps.access.asks import fingerprint, read_target
from apps.access.ids import new_grant_id
from apps.access.models import Grant, GrantUse
from apps.access.services.grants import described, open_doors
from apps.access.services.records import announce_grant, record_grant
from apps.access.states import GrantState, move
from apps.audit.actors import Actor


def read_kept(grants: Sequence[Grant], keep: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """By public id, the routes that stay, in order. Raises BadCleanUp for what would narrow nothing."""
    by_name = {grant.public_id: grant for grant in grants}
    complaints = [
        *(f"{name} is not among what is to change." for name in keep if name not in by_name),
        *(said for name, routes in keep.items() if name in by_name and (said := _complaint(by_name[name], routes))),
    ]
    if complaints:
        raise refusals.BadCleanUp(complaints[0], fields={"keep": complaints})
    return {name: sorted(set(routes)) for name, routes in keep.items()}


def _complaint(grant: Grant, routes: Collection[str]) -> str:
    held = set(grant.routes.values_list("key", flat=True))
    if grant.state != GrantState.ACTIVE:
        return f"{grant.public_id} is not open yet: let it open first, or end it."
    if not routes or not held.issuperset(routes):
        return f"{grant.public_id} can keep some of its own routes: {', '.join(sorted(held))}."
    return f"{grant.public_id} would keep all it opens." if held == set(routes) else ""


def narrow_locked(wide: Grant, routes: Collection[str], *, actor: Actor, at: datetime) -> Grant:
    """The grant that stands in for one that was ended in the same transaction.

    It is active from the start: nothing new is opened, so no clock begins, and the doors learn of both in one change.
    Its approval and its uses are those of the wide one, so that it is neither asked about later nor called unused.
    Raises AlreadyStanding when the holder has exactly this already: then the wide one can simply end.
    """
    target = read_target(
        subject=wide.subject,
        service_slug=wide.service.slug,
        route_keys=routes,
        points=wide.points,
        environment=wide.environment.slug,
    )
    fresh = Grant(
        public_id=new_grant_id(),
        subject=wide.subject,
        service=wide.service,
        environment=wide.environment,
        points=wide.points,
        fingerprint=fingerprint(wide.subject, target),
        duration=wide.duration,
        approved_at=wide.approved_at,
        activated_at=wide.activated_at,
        starts_at=wide.starts_at,
        ends_at=wide.ends_at,
    )
    move(fresh, GrantState.ACTIVE)
    try:
        with transaction.atomic():
            fresh.save(force_insert=True)
    except IntegrityError as error:
        raise refusals.AlreadyStanding from error
    fresh.routes.set(target.routes)
    open_doors(fresh, at)
    uses = GrantUse.objects.filter(grant=wide, route__in=target.route_keys)
    GrantUse.objects.bulk_create([GrantUse(grant=fresh, route=use.route, last_at=use.last_at) for use in uses])
    after = {**described(fresh), "instead_of": wide.public_id}
    record_grant("narrowed", fresh, actor=actor, at=at, after=after)
    announce_grant(fresh, at)
    return fresh
