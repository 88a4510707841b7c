"""What a cluster really holds of ours, by list, against what was applied there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import F

from apps.compiler.artifacts import Artifact
from apps.rollout.cluster.settings import settings_of
from apps.rollout.content import load
from apps.rollout.drivers.akamai.watch import text_diff
from apps.rollout.drivers.kubernetes.compare import says
from apps.rollout.drivers.kubernetes.driver import HeldObject, KubernetesDriver
from apps.rollout.drivers.kubernetes.kinds import KINDS, TRAFFIC_TARGETS
from apps.rollout.models import Sight, Target, TargetArtifact
from apps.rollout.services.cluster.driving import cluster_driver
from apps.rollout.services.differences import MOST_DIFF, STILL_GRANTED, UNSIGNED, Difference

SHAPING = frozenset({"RateLimit", "CircuitBreaker", "TrafficSplit"})
"""Kinds that let nobody in and keep nobody out."""
CLOSING = frozenset({"NetworkPolicy", "Policy"})
"""Kinds whose absence opens something."""
ABOUT_IT = ("apiVersion", "kind", "metadata", "status")


def compare(target: Target) -> tuple[set[str], list[Difference]]:
    """What was looked at, and what of it differs. Raises VendorError. What is not applied yet is left out."""
    rows = TargetArtifact.objects.filter(target=target)
    items = load(list(rows.filter(sha256=F("applied_sha256")).exclude(sha256="").order_by("path")))
    known = set(rows.values_list("path", flat=True))
    with cluster_driver(target) as driver:
        read = driver.read_back(items)
        seen = {**_by_name(driver, [item for item in items if item.path not in read.objects]), **read.objects}
    found = [
        _difference(target, item, held)
        for item in items
        if (held := seen.get(item.path)) is None or held.sha256 != item.sha256
    ]
    strays = read.strays(known)
    found += [_stray(read.objects[path]) for path in strays]
    return {*(item.path for item in items), *strays}, found


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


def _by_name(driver: KubernetesDriver, missing: Sequence[Artifact]) -> dict[str, HeldObject]:
    """What no list of ours shows may be there all the same: somebody took our labels off it."""
    hashes = driver.observe(missing).artifacts if missing else {}
    return {path: HeldObject(path, sha256, driver.held_text(path)) for path, sha256 in hashes.items() if sha256}


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
    said, opens = "The object was changed.", kind not in SHAPING
    return Difference(item.path, item.sha256, held.sha256, said, UNSIGNED, opens=opens, diff=diff)


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
