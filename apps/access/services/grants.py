"""Beginning standing access, and ending any access: by hand, by time, or because its holder was suspended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.access import policies, refusals
from apps.access.asks import fingerprint, read_target
from apps.access.ids import new_grant_id
from apps.access.models import AccessRequest, Grant, GrantDoor, Guardrail
from apps.access.selectors.visibility import visible_grants
from apps.access.services.records import (
    announce_grant,
    announce_grants,
    announce_guardrail,
    grant_entry,
    record_grant,
)
from apps.access.states import LIVE_GRANTS, DoorState, GrantState, can_move, move
from apps.audit import services as audit
from apps.audit.actors import SYSTEM, Actor
from apps.compiler.graph import SubjectKind
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

SUSPENDED = "The holder was suspended."


def locked(grant_id: str) -> Grant:
    """The grant, its row locked until the transaction ends. Raises UnknownGrant."""
    found = locked_where(Q(public_id=grant_id))
    if not found:
        raise refusals.UnknownGrant
    return found[0]


def locked_where(which: Q) -> list[Grant]:
    """In one order, so that two who lock several do not block one another."""
    rows = Grant.objects.select_for_update(of=("self",)).filter(which).order_by("pk")
    return list(rows.select_related("subject__owner", "subject__team", "service__team", "environment", "request"))


def doors_locked(grants: Collection[Grant]) -> list[GrantDoor]:
    """The doors of grants that are locked already."""
    return list(GrantDoor.objects.select_for_update().filter(grant__in=grants).order_by("grant", "point"))


def create_from_request(request: AccessRequest, at: datetime) -> Grant:
    """The grant an approval opens. The caller holds the request's lock; one request has one grant, by constraint."""
    grant = Grant.objects.create(
        public_id=new_grant_id(),
        request=request,
        subject=request.subject,
        service=request.service,
        environment=request.environment,
        points=request.points,
        fingerprint=request.fingerprint,
        treatment=request.treatment,
        duration=request.duration,
        approved_at=at,
    )
    grant.routes.set(request.routes.all())
    open_doors(grant, at)
    return grant


def create_standing_grant(
    *,
    actor: Actor,
    subject_key: str,
    service_slug: str,
    route_keys: Collection[str],
    points: Collection[str] = (),
    environment: str | None = None,
    at: datetime,
) -> Grant:
    """Access without an end, such as one service's to another it is built on. Not by asking: security sets it.

    Raises AlreadyStanding when the subject has exactly this already.
    """
    policies.require_can_govern(actor)
    subject = identity.get_subject(subject_key)
    if subject.kind == SubjectKind.PARTY:
        raise refusals.BadAddresses("Addresses are opened by a request, and for a time; nothing stands open for them.")
    target = read_target(
        subject=subject, service_slug=service_slug, route_keys=route_keys, points=points, environment=environment
    )
    with transaction.atomic():
        try:
            with transaction.atomic():
                grant = Grant.objects.create(
                    public_id=new_grant_id(),
                    subject=subject,
                    service=target.service,
                    environment=target.environment,
                    points=list(target.points),
                    fingerprint=fingerprint(subject, target),
                    approved_at=at,
                )
        except IntegrityError as error:
            raise refusals.AlreadyStanding from error
        grant.routes.set(target.routes)
        open_doors(grant, at)
        record_grant("created", grant, actor=actor, at=at, after=described(grant))
        announce_grant(grant, at)
    return grant


def described(grant: Grant) -> dict[str, object]:
    """A grant as the audit record keeps it."""
    return {
        "subject": grant.subject.key,
        "service": grant.service.slug,
        "environment": grant.environment.slug,
        "routes": sorted(grant.routes.values_list("key", flat=True)),
        "points": sorted(grant.points),
        "duration": grant.duration,
        "state": grant.state,
        **({} if grant.treatment is None else {"treatment": grant.treatment}),
    }


def open_doors(grant: Grant, at: datetime) -> None:
    """Its doors, told to open."""
    doors = [GrantDoor(grant=grant, point=point, changed_at=at) for point in sorted(grant.points)]
    for door in doors:
        move(door, DoorState.OPENING)
    GrantDoor.objects.bulk_create(doors)


def end_grant(*, public_id: str, actor: Subject, at: datetime, why: str = "") -> Grant:
    """End access now: handed back by those who hold or asked for it, revoked by the service's owners or security."""
    with transaction.atomic():
        grant = locked(public_id)
        if not visible_grants(actor).filter(pk=grant.pk).exists():
            raise refusals.UnknownGrant
        to = policies.end_state(actor, grant)
        if grant.state not in LIVE_GRANTS:
            raise refusals.GrantEnded
        return end_locked(grant, to=to, by=actor, why=why, at=at)


def end_locked(grant: Grant, *, to: GrantState, by: Subject | None, why: str, at: datetime) -> Grant:
    """Ends one grant whose row the caller has locked; see ``end_all_locked``."""
    end_all_locked([grant], to=to, by=by, why=why, at=at)
    return grant


def end_all_locked(grants: Sequence[Grant], *, to: GrantState, by: Subject | None, why: str, at: datetime) -> None:
    """Move locked, live grants to an end, and have their doors closed. ``by`` is None for the console itself."""
    actor, entries = by.actor if by else SYSTEM, []
    for grant in grants:
        before = {"state": grant.state}
        move(grant, to)
        grant.ended_at, grant.ended_by, grant.end_reason = at, by, why.strip()[:300]
        after = {"state": to, "why": grant.end_reason}
        entries.append(grant_entry(to, grant, actor=actor, before=before, after=after))
    closing = [door for door in doors_locked(grants) if can_move(door, DoorState.CLOSING)]
    for door in closing:
        move(door, DoorState.CLOSING)
        door.changed_at = at
    Grant.objects.bulk_update(grants, ["state", "ended_at", "ended_by", "end_reason"])
    GrantDoor.objects.bulk_update(closing, ["state", "changed_at"])
    audit.record_all(entries, at=at)
    announce_grants(grants, at)


def expire_due_grants(*, at: datetime, limit: int = 200) -> int:
    """End what has run out, each in its own transaction. ``ends_at`` itself is outside the window."""
    due = Grant.objects.filter(state__in=LIVE_GRANTS, ends_at__lte=at).order_by("ends_at", "pk")
    return sum(_expire(public_id, at) for public_id in due.values_list("public_id", flat=True)[:limit])


def _expire(public_id: str, at: datetime) -> bool:
    with transaction.atomic():
        grant = locked(public_id)
        if grant.state not in LIVE_GRANTS or grant.ends_at is None or grant.ends_at > at:
            return False
        end_locked(grant, to=GrantState.EXPIRED, by=None, why="", at=at)
    return True


def follow_subjects(*, subject_keys: Collection[str], urgent: bool = False, at: datetime) -> None:
    """Subjects changed: end what suspended ones hold for a time, and have everything else about them compiled again.

    Standing access stays, closed by the suspension itself, and works again when the subject is reinstated. ``urgent``
    when the change takes something away.
    """
    subjects = identity.list_by_keys(subject_keys).values()
    gone = Q(subject__in=[one for one in subjects if not one.is_active], duration__isnull=False)
    with transaction.atomic():
        ending = locked_where(gone & Q(state__in=LIVE_GRANTS))
        end_all_locked(ending, to=GrantState.REVOKED, by=None, why=SUSPENDED, at=at)
        held = Q(subject__in=subjects) | Q(subject__in=identity.list_teams_of_all(subjects))
        others = Grant.objects.filter(held, state__in=LIVE_GRANTS).order_by("pk")
        announce_grants(list(others.select_related("service", "environment", "request")), at, urgent=urgent)
        for guardrail in Guardrail.objects.filter(subjects__overlap=list(subject_keys), enabled=True).order_by("slug"):
            announce_guardrail(guardrail.slug, guardrail.services, at)
