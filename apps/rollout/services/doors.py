"""The doors that are not where they should be yet, as access tells of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, QuerySet

from apps.access import selectors as access
from apps.access.services import DoorReport, mark_doors
from apps.access.wishes import Wish
from apps.compiler.graph import Point, SubjectKind, TrafficRule
from apps.rollout.models import Expect, Probe, Target
from apps.rollout.states import ProbeState

if TYPE_CHECKING:
    from apps.access.models import GrantDoor

LIVE = ("pending", "active")
REPORTED_AT_ONCE = 500
JOINED = "joined_at"
"""In a target's ``facts``: since when it is where it is. What was shown at another address shows nothing."""


@dataclass(frozen=True, slots=True)
class DoorTask:
    """One door of one grant, and whether it should open or close. ``points`` are all the points of the grant.

    ``wish`` is what a traffic rule does; None for access.
    """

    grant_id: str
    subject: str
    service: str
    routes: frozenset[str]
    points: tuple[str, ...]
    point: str
    expect: str
    wish: Wish | None = None

    def rule(self) -> TrafficRule | None:
        """The traffic rule as it applies while it lives, whether it begins or ends now."""
        if self.wish is None:
            return None
        return self.wish.rule(
            self.grant_id,
            subject=self.subject,
            service=self.service,
            routes=self.routes,
            points=frozenset(map(Point, self.points)),
        )


def door_tasks(*, services: Collection[str], point: str, environment: str) -> list[DoorTask]:
    """What is to be opened or closed at one point of these services. Costs what is busy, not what there is.

    Doors of outside parties are lists, which move by themselves: see ``listing``.
    """
    busy = access.list_busy_doors().filter(
        point=point, grant__service__slug__in=services, grant__environment__slug=environment
    )
    return _tasks(busy)


def unasked_tasks(*, target: Target, services: Collection[str]) -> list[DoorTask]:
    """Doors that are proven, by those who kept them before this target did: it was never asked about them, or not since
    it was connected to where it is now. Costs all that is open at these services."""
    standing = access.list_proven_doors().filter(
        point=target.point, grant__service__slug__in=services, grant__environment=target.environment
    )
    asked = Probe.objects.filter(activation__target=target, point=target.point, grant_id=OuterRef("grant__public_id"))
    joined = target.facts.get(JOINED)
    if joined:
        asked = asked.filter(created_at__gte=datetime.fromisoformat(joined))
    return _tasks(standing.exclude(Exists(asked.exclude(state=ProbeState.DROPPED))))


def _tasks(rows: QuerySet[GrantDoor]) -> list[DoorTask]:
    doors = rows.exclude(grant__subject__kind=SubjectKind.PARTY)
    return [
        DoorTask(
            grant_id=door.grant.public_id,
            subject=door.grant.subject.key,
            service=door.grant.service.slug,
            routes=frozenset(route.key for route in door.grant.routes.all()),
            points=tuple(sorted(door.grant.points)),
            point=door.point,
            expect=Expect.ALLOW if door.grant.state in LIVE else Expect.DENY,
            wish=None if door.grant.treatment is None else Wish.from_json(door.grant.treatment),
        )
        for door in doors.select_related("grant__subject", "grant__service").prefetch_related("grant__routes")
    ]


def report_doors(target: Target, states: Sequence[tuple[str, str]], words: str, at: datetime) -> None:
    """How the doors of grants at a target are now, by grant; however many there are."""
    reports = [DoorReport(grant_id, target.point, state, words) for grant_id, state in states]
    for start in range(0, len(reports), REPORTED_AT_ONCE):
        mark_doors(reports=reports[start : start + REPORTED_AT_ONCE], at=at)
