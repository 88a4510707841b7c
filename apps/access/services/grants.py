"""Beginning standing access, and ending any access: by hand, by time, or because its holder was suspended."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.access import policies, refusals
from apps.access.asks import fingerprint, read_target
from apps.access.ids import new_grant_id
from apps.access.models import AccessRequest, Grant, GrantDoor, Guardrail
from apps.access.selectors.visibility import visible_grants
from apps.access.services.records import announce_grant, announce_guardrail, record_grant
from apps.access.states import LIVE_GRANTS, DoorState, GrantState, can_move, move
from apps.audit.actors import SYSTEM, Actor
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

SUSPENDED = "The holder was suspended."


def locked(grant_id: str) -> Grant:
    grant = (
        Grant.objects.select_for_update(of=("self",))
        .select_related("subject__owner", "subject__team", "service__team", "environment", "request")
        .filter(public_id=grant_id)
        .first()
    )
    if grant is None:
        raise refusals.UnknownGrant
    return grant


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
        duration=request.duration,
        approved_at=at,
    )
    grant.routes.set(request.routes.all())
    _open_doors(grant, at)
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
        _open_doors(grant, at)
        record_grant("created", grant, actor=actor, at=at, after=described(grant))
        announce_grant(grant, at)
    return grant


def described(grant: Grant) -> dict[str, object]:
    return {
        "subject": grant.subject.key,
        "service": grant.service.slug,
        "environment": grant.environment.slug,
        "routes": sorted(grant.routes.values_list("key", flat=True)),
        "points": sorted(grant.points),
        "duration": grant.duration,
        "state": grant.state,
    }


def _open_doors(grant: Grant, at: datetime) -> None:
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
    """Move a locked, live grant to an end, and have its doors closed. ``by`` is None for the console itself."""
    before = grant.state
    move(grant, to)
    grant.ended_at, grant.ended_by, grant.end_reason = at, by, why.strip()[:300]
    grant.save(update_fields=["state", "ended_at", "ended_by", "end_reason"])
    for door in grant.doors.select_for_update().order_by("point"):
        if can_move(door, DoorState.CLOSING):
            move(door, DoorState.CLOSING)
            door.changed_at = at
            door.save(update_fields=["state", "changed_at"])
    actor = by.actor if by else SYSTEM
    record_grant(to, grant, actor=actor, at=at, before={"state": before}, after={"state": to, "why": grant.end_reason})
    announce_grant(grant, at)
    return grant


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


def follow_subject(*, subject_key: str, at: datetime) -> None:
    """A subject changed: end what a suspended one holds for a time, and have everything else about it compiled again.

    Standing access stays, closed by the suspension itself, and works again when the subject is reinstated.
    """
    subject = identity.find_subject(subject_key)
    if subject is None:
        return
    touched = Grant.objects.filter(
        Q(subject=subject) | Q(subject__in=identity.list_teams_of(subject)), state__in=LIVE_GRANTS
    )
    for public_id in touched.order_by("pk").values_list("public_id", flat=True):
        with transaction.atomic():
            _follow(locked(public_id), subject, at)
    with transaction.atomic():
        for guardrail in Guardrail.objects.filter(subjects__contains=[subject_key], enabled=True).order_by("slug"):
            announce_guardrail(guardrail.slug, guardrail.services, at)


def _follow(grant: Grant, subject: Subject, at: datetime) -> None:
    if grant.state not in LIVE_GRANTS:
        return
    if grant.subject_id == subject.pk and grant.duration is not None and not subject.is_active:
        end_locked(grant, to=GrantState.REVOKED, by=None, why=SUSPENDED, at=at)
    else:
        announce_grant(grant, at)
