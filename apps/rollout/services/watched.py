"""How many calls the edge had, and how many it answered with an error of its own, before and after new code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from apps.catalog import selectors as catalog
from apps.rollout.models import Release
from apps.rollout.services.safety import safety_of
from apps.rollout.states import ReleaseState


@dataclass(frozen=True, slots=True)
class Counts:
    calls: int = 0
    errors: int = 0

    @property
    def share(self) -> float:
        return self.errors / self.calls if self.calls else 0.0

    @property
    def words(self) -> str:
        return f"{self.errors} of {self.calls} calls ({100 * self.share:.1f} %)"


@dataclass(frozen=True, slots=True)
class Watch:
    """Whose calls to count: those to these hosts, from ``since`` to ``came_at`` and from then to ``until``."""

    release_id: int
    hosts: frozenset[str]
    since: datetime
    came_at: datetime
    until: datetime


def counts_of(release: Release) -> tuple[Counts, Counts]:
    """Before and after."""
    before, after = (release.counts.get(name, (0, 0)) for name in ("before", "after"))
    return Counts(*before), Counts(*after)


def watches(at: datetime) -> list[Watch]:
    """For whoever knows of calls: the code that is on trial on production now."""
    rows = Release.objects.filter(state=ReleaseState.WATCHED).select_related("target__environment")
    return [
        Watch(
            release_id=row.pk,
            hosts=_hosts(row),
            since=row.production_at - safety_of(row.target).window,
            came_at=row.production_at,
            until=min(at, row.watch_until),
        )
        for row in rows
        if row.production_at is not None and row.watch_until is not None
    ]


def _hosts(release: Release) -> frozenset[str]:
    services = catalog.graph_services(None, release.target.environment.slug).values()
    return frozenset(service.edge.host.lower() for service in services if service.edge is not None)
