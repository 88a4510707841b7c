"""Reading what a change of the access graph would mean at the targets, and what is wrong there. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from apps.compiler.diff import raw_diff
from apps.compiler.graph import AccessGraph
from apps.rollout.emitting import emit_services, emitters_of
from apps.rollout.models import KEPT, Drift, DriverName, Shard, Target
from apps.rollout.snapshots import from_json


def list_raw_changes(
    *, service: str, environment_slug: str, before: AccessGraph, after: AccessGraph, at: datetime
) -> list[tuple[str, str, str]]:
    """Of each artifact that would differ: the target, the path, and the difference as unified text.

    A target that holds nothing yet has nothing to compare with.
    """
    found: list[tuple[str, str, str]] = []
    held = Target.objects.filter(KEPT, environment__slug=environment_slug, active_number__gt=0)
    for target in held.order_by("point"):
        emit = emitters_of(target, at).service
        old, new = (emit_services(emit, graph, [service]) for graph in (before, after))
        found += [(target.name, service, why) for why in new.refused.values()]
        texts = raw_diff(old.artifacts.get(service, ()), new.artifacts.get(service, ()))
        found += [(target.name, path, text) for path, text in texts.items()]
    return found


def list_compiled(
    *, target: Target, namespaces: Collection[str], after: str, limit: int
) -> list[tuple[str, AccessGraph]]:
    """Services of these namespaces with what was last compiled of them for the mesh, here or at its nodes.

    In order of slug, from ``after`` on; one more than ``limit`` where there are more.
    """
    here = Q(target=target) | Q(target__environment=target.environment_id, target__driver=DriverName.NGINX)
    rows = Shard.objects.filter(here, service__gt=after, graph__services__0__4__0__in=list(namespaces))
    found = rows.order_by("service", "target_id").distinct("service")[: limit + 1]
    return [(row.service, from_json(row.graph)) for row in found]


def list_alarms(limit: int = 5) -> list[Drift]:
    """What was changed by hand so that calls may pass unchecked, for whoever keeps the targets; the newest first."""
    rows = Drift.objects.filter(opens=True, resolved_at=None).select_related("target")
    return list(rows.order_by("-found_at")[:limit])


@dataclass(frozen=True, slots=True)
class Place:
    """A target as far as others need to know of it. Of clusters an environment may have any number, each with the
    ``namespaces`` it enforces in."""

    slug: str
    name: str
    point: str
    is_cluster: bool
    namespaces: frozenset[str] = frozenset()


def list_places(environment_slug: str) -> tuple[Place, ...]:
    """Where access is enforced in an environment: not where a target was taken out."""
    rows = Target.objects.filter(KEPT, environment__slug=environment_slug).order_by("point", "slug")
    columns = rows.values_list("slug", "name", "point", "driver", "config__namespaces")
    return tuple(
        Place(slug, name, point, driver == DriverName.KUBERNETES, frozenset(namespaces or ()))
        for slug, name, point, driver, namespaces in columns
    )
