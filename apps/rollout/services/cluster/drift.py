"""What a cluster really holds of ours, all of it or single objects, against what was applied there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from apps.compiler.artifacts import Artifact
from apps.rollout.cluster.settings import settings_of
from apps.rollout.content import load
from apps.rollout.drivers.akamai.watch import text_diff
from apps.rollout.drivers.kubernetes.compare import says
from apps.rollout.drivers.kubernetes.driver import HeldObject
from apps.rollout.drivers.kubernetes.kinds import KINDS, TRAFFIC_TARGETS, Scope
from apps.rollout.models import Drift, Sight, Target, TargetArtifact
from apps.rollout.services.cluster.driving import cluster_driver
from apps.rollout.services.differences import MOST_DIFF, STILL_GRANTED, UNSIGNED, Difference

SHAPING = frozenset({"RateLimit", "CircuitBreaker", "TrafficSplit"})
"""Kinds that let nobody in and keep nobody out."""
CLOSING = frozenset({"NetworkPolicy", "Policy"})
"""Kinds whose absence opens something."""
MOST_MISSING = 50
"""So many that a list of ours does not show are read by themselves: somebody may have taken our labels off them."""
MOST_NAMES = 5
ABOUT_IT = ("apiVersion", "kind", "metadata", "status")


@dataclass(frozen=True, slots=True)
class Comparison:
    """``looked_at`` and ``left_out`` are paths; the latter of what is not applied yet, so that nothing can be told.

    ``positions`` are from where a watch goes on, when it was read by list.
    """

    looked_at: set[str]
    found: list[Difference]
    left_out: frozenset[str]
    positions: Mapping[Scope, str] = field(default_factory=dict)


def compare(target: Target, scopes: Sequence[Scope] | None = None) -> Comparison:
    """All of the cluster, or some kinds and namespaces, by list. Raises VendorError."""
    rows = list(TargetArtifact.objects.filter(target=target).order_by("path"))
    noted = list(Drift.objects.filter(target=target, resolved_at=None, expected="").values_list("path", flat=True))
    if scopes is not None:
        names = {str(scope) for scope in scopes}
        rows = [row for row in rows if row.path.rpartition("/")[0] in names]
        noted = [path for path in noted if path.rpartition("/")[0] in names]
    items = load([row for row in rows if _is_settled(row)])
    with cluster_driver(target) as driver:
        read = driver.read_back(items, scopes)
        missing = [item for item in items if item.path not in read.objects][:MOST_MISSING]
        seen = {**driver.held([item.path for item in missing], missing), **read.objects}
    strays = read.strays({row.path for row in rows if row.sha256 or row.applied_sha256})
    found = [*_differences(target, items, seen), *(_stray(read.objects[path]) for path in strays)]
    looked_at = {*(item.path for item in items), *strays, *noted}
    return Comparison(looked_at, found, _left_out(rows), read.positions)


def compare_objects(target: Target, paths: Collection[str]) -> Comparison:
    """Just these, each read by itself. Raises VendorError."""
    rows = list(TargetArtifact.objects.filter(target=target, path__in=paths))
    left_out = _left_out(rows)
    looked_at = sorted(set(paths) - left_out)
    items = load([row for row in rows if _is_settled(row)])
    known = {item.path for item in items}
    if not looked_at:
        return Comparison(set(), [], left_out)
    with cluster_driver(target) as driver:
        seen = driver.held(looked_at, items)
    strays = [_stray(held) for path, held in seen.items() if path not in known]
    return Comparison(set(looked_at), [*_differences(target, items, seen), *strays], left_out)


def overtaken(target: Target, found: Mapping[str, Difference]) -> set[str]:
    """Paths that should hold something else by now than what was compared with."""
    rows = TargetArtifact.objects.filter(target=target, path__in=found)
    return {row.path for row in rows if row.sha256 != row.applied_sha256 or row.sha256 != found[row.path].expected}


def _is_settled(row: TargetArtifact) -> bool:
    return row.sha256 != "" and row.sha256 == row.applied_sha256


def _left_out(rows: Iterable[TargetArtifact]) -> frozenset[str]:
    return frozenset(row.path for row in rows if row.sha256 != row.applied_sha256)


def _differences(target: Target, items: Iterable[Artifact], seen: Mapping[str, HeldObject]) -> list[Difference]:
    return [
        _difference(target, item, held)
        for item in items
        if (held := seen.get(item.path)) is None or held.sha256 != item.sha256
    ]


def compare_seen(target: Target, sight: Sight) -> tuple[set[str], list[Difference]]:
    """As ``compare``, by what an agent inside saw. What changed since it looked is left out."""
    rows = TargetArtifact.objects.filter(target=target)
    applied = dict(rows.filter(sha256=F("applied_sha256")).exclude(sha256="").values_list("path", "sha256"))
    seen = {one["path"]: one for one in sight.differs}
    off = {path for path, one in seen.items() if applied.get(path) == one["wanted"] != ""}
    found = [_difference(target, item, _held(seen[item.path])) for item in load(list(rows.filter(path__in=off)))]
    known = set(rows.filter(path__in=seen).values_list("path", flat=True))
    strays = [path for path, one in seen.items() if one["wanted"] == "" and path not in known]
    return {*applied, *strays}, [*found, *(_stray(HeldObject(path, "", seen[path]["text"])) for path in strays)]


def _held(one: Mapping[str, Any]) -> HeldObject | None:
    return HeldObject(one["path"], one["sha256"], one["text"] if one["whole"] else "") if one["sha256"] else None


def _difference(target: Target, item: Artifact, held: HeldObject | None) -> Difference:
    kind = _kind(item.path)
    wanted = json.loads(item.content)
    diff = text_diff(_laid_out(wanted), held.text if held else "")[:MOST_DIFF]
    if held is None:
        opens = kind in CLOSING or (_is_target(item.path) and settings_of(target.config).access_control == "allow")
        return Difference(item.path, item.sha256, "", "The object is gone.", STILL_GRANTED, opens=opens, diff=diff)
    if not held.text:
        said = "The object was changed. What it says was not told: it is secret, or too long."
        return Difference(item.path, item.sha256, held.sha256, said, UNSIGNED, opens=kind not in SHAPING)
    if says(_does(json.loads(held.text)), _does(wanted)):
        said = "It does what it should; its labels, its annotations or who manages it were changed."
        return Difference(item.path, item.sha256, held.sha256, said, diff=diff)
    said, opens = f"The object was changed{_by(held)}.", kind not in SHAPING
    return Difference(item.path, item.sha256, held.sha256, said, UNSIGNED, opens=opens, diff=diff)


def _by(held: HeldObject) -> str:
    """Who sets fields of it now that were ours, as far as its API server says."""
    return f"; {', '.join(sorted(held.others)[:MOST_NAMES])} set fields of it" if held.others else ""


def _stray(held: HeldObject) -> Difference:
    said = "It bears our labels, and nobody here made it."
    diff = text_diff("", held.text)[:MOST_DIFF]
    return Difference(held.path, "", "present", said, UNSIGNED, opens=_kind(held.path) not in SHAPING, diff=diff)


def _kind(path: str) -> str:
    kind = KINDS.get(path.split("/")[1])
    return kind.kind if kind is not None else ""


def _is_target(path: str) -> bool:
    return path.split("/")[1] == TRAFFIC_TARGETS


def _does(obj: Mapping[str, Any]) -> dict[str, Any]:
    """What an object does, without what is said about it."""
    return {name: value for name, value in obj.items() if name not in ABOUT_IT}


def _laid_out(obj: Mapping[str, Any]) -> str:
    return json.dumps(obj, indent=2, sort_keys=True, ensure_ascii=False)
