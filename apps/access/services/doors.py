"""What the rollout tells us about a grant: how far each door is, that the clock may start, and what went wrong.

Reports may come twice, late and out of order, so each of these is idempotent and drops what a later event overtook.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from apps.access import refusals
from apps.access.models import Grant, GrantDoor
from apps.access.services.grants import SUSPENDED, doors_locked, end_locked, locked, locked_where
from apps.access.services.records import announce_grant, grant_entry, poke_watchers, record_grant
from apps.access.states import LIVE_GRANTS, DoorState, GrantState, can_move, move
from apps.audit import services as audit
from apps.audit.actors import SYSTEM

_AFTER_THE_END = (DoorState.CLOSING, DoorState.CLOSED, DoorState.FAILING)
_RECORDED = (DoorState.PROVEN, DoorState.CLOSED)
_STAMPS = {DoorState.OPEN: "opened_at", DoorState.PROVEN: "proven_at", DoorState.CLOSED: "closed_at"}


@dataclass(frozen=True, slots=True)
class DoorReport:
    """How far the door of a grant at a point is."""

    grant_id: str
    point: str
    state: str
    detail: str = ""


def mark_door(*, grant_id: str, point: str, state: str, detail: str = "", at: datetime) -> GrantDoor:
    """As ``mark_doors``, for one."""
    return mark_doors(reports=[DoorReport(grant_id, point, state, detail)], at=at)[0]


def mark_doors(*, reports: Sequence[DoorReport], at: datetime) -> list[GrantDoor]:
    """Note how far doors are. News that a grant's end or a later report overtook changes nothing.

    Locks the grants, so that a report and an end follow one another. Costs the same few statements for one and many.
    """
    with transaction.atomic():
        grants = _held({one.grant_id for one in reports})
        doors = {(door.grant_id, door.point): door for door in doors_locked(grants.values())}
        found = [(one, grants[one.grant_id], doors[grants[one.grant_id].pk, one.point]) for one in reports]
        marked = [(door, _mark(grant, door, report, at)) for report, grant, door in found]
        changed = [door for door, entries in marked if entries is not None]
        GrantDoor.objects.bulk_update(changed, ["state", "changed_at", "detail", *_STAMPS.values()])
        audit.record_all([entry for _, entries in marked for entry in entries or ()], at=at)
    return [door for door, _ in marked]


def _held(grant_ids: Collection[str]) -> dict[str, Grant]:
    """The grants, locked in one order; raises UnknownGrant unless all are known."""
    found = {grant.public_id: grant for grant in locked_where(Q(public_id__in=grant_ids))}
    if len(found) < len(grant_ids):
        raise refusals.UnknownGrant
    return found


def _mark(grant: Grant, door: GrantDoor, report: DoorReport, at: datetime) -> list[audit.Entry] | None:
    """Change the door, and say what goes on the record; None when the report was overtaken."""
    to, before = DoorState(report.state), door.state
    if _is_overtaken(grant, door, to):
        return None
    _stamp(door, to, at)
    if before != to:
        move(door, to)
        door.changed_at = at
    door.detail = report.detail
    poke_watchers(grant.request)
    if before == to or to not in _RECORDED:
        return []
    was = {"point": report.point, "door": before}
    now = {"point": report.point, "door": to, "detail": report.detail}
    return [grant_entry(f"door_{to}", grant, actor=SYSTEM, before=was, after=now)]


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


def record_error(*, grant_id: str, error: str, at: datetime) -> None:
    """As ``record_errors``, for one."""
    record_errors(errors={grant_id: error}, at=at)


def record_errors(*, errors: Mapping[str, str], at: datetime) -> None:
    """Show why grants are not at their doors; an empty one says it is no longer so. The rollout tries again."""
    with transaction.atomic():
        changed = [grant for key, grant in _held(errors.keys()).items() if grant.error != errors[key]]
        entries = []
        for grant in changed:
            before, grant.error = grant.error, errors[grant.public_id]
            grant.error_at = at if grant.error else None
            poke_watchers(grant.request)
            verb, after = "failed" if grant.error else "recovered", {"error": grant.error}
            entries.append(grant_entry(verb, grant, actor=SYSTEM, before={"error": before}, after=after))
        Grant.objects.bulk_update(changed, ["error", "error_at"])
        audit.record_all(entries, at=at)
