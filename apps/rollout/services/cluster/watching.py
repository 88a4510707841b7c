"""What a process that watches clusters has to know and to write.

The database says what should be there, and the cluster what is; a watch only says where to look. So each of these may
be called late, twice, or by several at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime

from apps.rollout.content import load
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.api import MANAGER
from apps.rollout.drivers.kubernetes.compare import held_hash
from apps.rollout.drivers.kubernetes.driver import Change, Ear, Seen
from apps.rollout.drivers.kubernetes.kinds import Scope, scopes_of
from apps.rollout.drivers.kubernetes.read import parsed
from apps.rollout.models import Delivery, Drift, DriverName, Target, TargetArtifact
from apps.rollout.services import drifting, moving
from apps.rollout.services.cluster import drift as cluster_drift
from apps.rollout.services.cluster.driving import cluster_config, connection_of
from apps.rollout.services.targets import get_target


def watched() -> dict[str, str]:
    """The clusters to be watched now, by slug; each with a mark, and under another mark it is to be watched anew."""
    rows = Target.objects.filter(driver=DriverName.KUBERNETES, delivery=Delivery.DIRECT)
    return {target.slug: _mark(target) for target in rows if target.is_kept and not moving.needs_setup(target)}


def _mark(target: Target) -> str:
    """Of how it is reached, and what is watched there."""
    said = json.dumps(target.config, sort_keys=True).encode()
    return hashlib.sha256(said + bytes(target.secret_sealed)).hexdigest()


def ear_for(slug: str) -> tuple[Ear, tuple[Scope, ...]]:
    """Close it. Hears nothing yet. Raises VendorError when nobody said how the cluster is reached."""
    target = get_target(slug)
    config = cluster_config(target)
    scopes = scopes_of(config.kinds, config.namespaces, config.verifier)
    return Ear(connection_of(target), config.cluster), tuple(scopes)


def look(*, slug: str, at: datetime, scopes: Sequence[Scope] | None = None) -> cluster_drift.Comparison | None:
    """Read all of it back, or some kinds and namespaces; None when it does not answer, which is noted."""
    target = get_target(slug)
    try:
        seen = cluster_drift.compare(target, scopes)
    except VendorError as error:
        drifting.note_silence(target, error, at)
        return None
    drifting.note(target, seen.looked_at, seen.found, at, whole=scopes is None)
    return seen


def hear(*, slug: str, changes: Collection[Change], at: datetime) -> frozenset[str]:
    """Look at those objects which are not as they should be after what was heard. Costs what was heard.

    Returns the paths to look at again, later: something is being applied there, or the cluster did not answer.
    """
    latest = {change.path: change for change in changes if change.seen != Seen.LOST}
    rows = TargetArtifact.objects.filter(target__slug=slug, path__in=latest)
    wanted = {item.path: item for item in load([row for row in rows if row.sha256])}
    noted = Drift.objects.filter(target__slug=slug, path__in=latest, resolved_at=None).values_list("path", flat=True)
    suspected = set(noted)
    for path, change in latest.items():
        item = wanted.get(path)
        if item is None and change.seen == Seen.REMOVED:
            continue
        if item is None or held_hash(change.obj, parsed(item), item.sha256, MANAGER) != item.sha256:
            suspected.add(path)
    return look_at(slug=slug, paths=suspected, at=at)


def look_at(*, slug: str, paths: Collection[str], at: datetime) -> frozenset[str]:
    """Each object by itself. Returns the paths of which nothing could be told now."""
    if not paths:
        return frozenset()
    target = get_target(slug)
    try:
        seen = cluster_drift.compare_objects(target, paths)
    except VendorError as error:
        drifting.note_silence(target, error, at)
        return frozenset(paths)
    drifting.note(target, seen.looked_at, seen.found, at, whole=False)
    return seen.left_out


def say_watched(*, slug: str, at: datetime) -> None:
    """All that changes there is heard by whoever says this, so that nobody need list it."""
    Target.objects.filter(slug=slug).update(watched_at=at)
