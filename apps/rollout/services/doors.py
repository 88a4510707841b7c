"""The doors that are not where they should be yet, as access tells of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from apps.access import selectors as access
from apps.access.traffic import Wish
from apps.compiler.graph import Point, SubjectKind
from apps.compiler.traffic import TrafficRule
from apps.rollout.models import Expect

LIVE = ("pending", "active")


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
    busy = busy.exclude(grant__subject__kind=SubjectKind.PARTY)
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
        for door in busy.select_related("grant__subject", "grant__service").prefetch_related("grant__routes")
    ]
