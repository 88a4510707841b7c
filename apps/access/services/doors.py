"""What the rollout tells us about a grant: how far each door is, that the clock may start, and what went wrong.

Reports may come twice, late and out of order, so each of these is idempotent and drops what a later event overtook.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from apps.access.models import Grant, GrantDoor
from apps.access.services.grants import SUSPENDED, end_locked, locked
from apps.access.services.records import announce_grant, poke_watchers, record_grant
from apps.access.states import LIVE_GRANTS, DoorState, GrantState, can_move, move
from apps.audit.actors import SYSTEM

_AFTER_THE_END = (DoorState.CLOSING, DoorState.CLOSED, DoorState.FAILING)
_RECORDED = (DoorState.PROVEN, DoorState.CLOSED)
_STAMPS = {DoorState.OPEN: "opened_at", DoorState.PROVEN: "proven_at", DoorState.CLOSED: "closed_at"}


def mark_door(*, grant_id: str, point: str, state: str, detail: str = "", at: datetime) -> GrantDoor:
    """Note how far a door is. News that the grant's end or a later report overtook changes nothing.

    Locks the grant, so that a report and an end follow one another.
    """
    to = DoorState(state)
    with transaction.atomic():
        grant = locked(grant_id)
        door = grant.doors.select_for_update().get(point=point)
        if _is_overtaken(grant, door, to):
            return door
        before = door.state
        _stamp(door, to, at)
        if before != to:
            move(door, to)
            door.changed_at = at
        door.detail = detail
        door.save()
        poke_watchers(grant.request)
        if before != to and to in _RECORDED:
            record_grant(
                f"door_{to}",
                grant,
                actor=SYSTEM,
                at=at,
                before={"point": point, "door": before},
                after={"point": point, "door": to, "detail": detail},
            )
    return door


def _is_overtaken(grant: Grant, door: GrantDoor, to: DoorState) -> bool:
    if door.state == to:
        return to == DoorState.CLOSED
    if grant.state not in LIVE_GRANTS and to not in _AFTER_THE_END:
        return True
    return not can_move(door, to)


def _stamp(door: GrantDoor, to: DoorState, at: datetime) -> None:
    """Keep the first moment of each: a door that is proven is also open."""
    stamps = [_STAMPS[to]] if to in _STAMPS else []
    if to is DoorState.PROVEN:
        stamps.append("opened_at")
    for name in stamps:
        if getattr(door, name) is None:
            setattr(door, name, at)


def activate(*, grant_id: str, at: datetime) -> Grant:
    """Start the clock, exactly once: a grant that is active or over already is returned as it is.

    The window is whole seconds, as the doors count. Whoever was suspended while waiting gets nothing: the grant ends.
    """
    with transaction.atomic():
        grant = locked(grant_id)
        if grant.state != GrantState.PENDING:
            return grant
        if not grant.subject.is_active:
            return end_locked(
                grant,
                to=GrantState.REVOKED,
                by=None,
                why=SUSPENDED,
                at=at,
            )
        move(grant, GrantState.ACTIVE)
        grant.activated_at = at
        grant.starts_at = at.replace(microsecond=0)
        grant.ends_at = None if grant.duration is None else grant.starts_at + timedelta(seconds=grant.duration)
        grant.error, grant.error_at = "", None
        grant.save()
        record_grant(
            "activated",
            grant,
            actor=SYSTEM,
            at=at,
            before={"state": GrantState.PENDING},
            after={"state": grant.state, "starts_at": grant.starts_at, "ends_at": grant.ends_at},
        )
        announce_grant(grant, at)
    return grant


def record_error(*, grant_id: str, error: str, at: datetime) -> Grant:
    """Show why a grant is not at its doors; an empty ``error`` says it is no longer so. The rollout tries again."""
    with transaction.atomic():
        grant = locked(grant_id)
        before = grant.error
        if before == error:
            return grant
        grant.error, grant.error_at = error, at if error else None
        grant.save(update_fields=["error", "error_at"])
        verb = "failed" if error else "recovered"
        poke_watchers(grant.request)
        record_grant(verb, grant, actor=SYSTEM, at=at, before={"error": before}, after={"error": error})
    return grant
