"""Reading back what targets really hold, and putting back what somebody else changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from apps.audit.actors import Actor
from apps.audit.errors import NotFound, Refusal
from apps.compiler.artifacts import Artifact
from apps.rollout.content import load
from apps.rollout.drivers.akamai import is_code
from apps.rollout.drivers.akamai_code import code_version
from apps.rollout.drivers.akamai_errors import explain
from apps.rollout.drivers.base import CODE_GROUP, VendorError
from apps.rollout.emitting import COMMON
from apps.rollout.models import Activation, Drift, DriverName, Node, Revision, Target, TargetArtifact
from apps.rollout.services import moving, revising
from apps.rollout.services.compiling import current_code
from apps.rollout.services.driving import akamai_driver, exported_driver, is_live
from apps.rollout.services.evidence import record_target
from apps.rollout.services.holding import hold_target
from apps.rollout.states import OPEN_ACTIVATIONS

ITEMS_AT_ONCE = 50
"""Reading is limited by the vendor: so many items a minute, in turn."""

UNKNOWN = "drifted"
"""Stands where the hash of what the target holds would stand, when that is not ours."""


class NotOurs(Refusal):
    code = "node_puts_back_itself"
    default_message = "A node fetches its configuration by itself; look at the node."


@dataclass(frozen=True, slots=True)
class Difference:
    path: str
    expected: str
    observed: str
    detail: str


def observe_all(*, at: datetime) -> None:
    for target in Target.objects.order_by("slug"):
        observe(slug=target.slug, at=at)


def observe(*, slug: str, at: datetime, everything: bool = False) -> int | None:
    """Compare the target with what it should hold; returns how many differences there are.

    None when it cannot be told now: while an activation is under way, or when the vendor does not answer.
    """
    target = Target.objects.select_related("environment").get(slug=slug)
    if Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).exists() or moving.needs_setup(target):
        return None
    try:
        looked_at, found = _compare(target, at, everything=everything)
    except VendorError as error:
        trouble = explain(error).code
        Target.objects.filter(pk=target.pk).update(error=str(error), error_at=at, trouble=trouble)
        return None
    with transaction.atomic():
        _note(target, looked_at, {one.path: one for one in found}, at)
    return len(found)


def _compare(target: Target, at: datetime, *, everything: bool) -> tuple[set[str], list[Difference]]:
    """What was looked at, and what of it differs."""
    if target.driver == DriverName.NGINX:
        return _compare_nodes(target, at)
    if target.is_exported:
        return _compare_exported(target, at, everything=everything)
    items = _chosen(target, everything=everything)
    with akamai_driver(target, at) as driver:
        observed = driver.observe(items)
        strange = driver.listed_items()
    known = set(TargetArtifact.objects.filter(target=target, path__in=strange).values_list("path", flat=True))
    found = [
        Difference(item.path, item.sha256, held, "The item is gone." if not held else "The item was changed.")
        for item in items
        if (held := observed.artifacts[item.path]) != item.sha256
    ]
    found += [Difference(path, "", "present", "Nobody here made this item.") for path in strange if path not in known]
    found += _compare_code(target, observed.code_version)
    return {CODE_GROUP, *(item.path for item in items), *strange}, found


def _chosen(target: Target, *, everything: bool) -> tuple[Artifact, ...]:
    """Those that were not looked at for longest, or all."""
    rows = TargetArtifact.objects.filter(target=target, sha256=F("applied_sha256")).exclude(service=COMMON)
    chosen = rows.order_by(F("checked_at").asc(nulls_first=True), "path")
    return load(list(chosen if everything else chosen[:ITEMS_AT_ONCE]))


def _compare_exported(target: Target, at: datetime, *, everything: bool) -> tuple[set[str], list[Difference]]:
    """By what the edge itself says it holds. An item nobody here made is not seen this way."""
    items = _chosen(target, everything=everything)
    driver = exported_driver(target, at)
    observed = driver.observe(items)
    found = [
        Difference(item.path, item.sha256, held, "The edge does not show this item as it was exported.")
        for item in items
        if (held := observed.artifacts.get(item.path, item.sha256)) != item.sha256
    ]
    if observed.code_version != driver.code_mark:
        wanted = code_version(current_code(target))
        found.append(
            Difference(CODE_GROUP, wanted, observed.code_version, "The edge runs other code than was exported.")
        )
    return {CODE_GROUP, *observed.artifacts}, found


def _compare_code(target: Target, live: str) -> Iterable[Difference]:
    wanted = code_version(current_code(target))
    if wanted and live != wanted:
        yield Difference(CODE_GROUP, wanted, live, f"The live version is {live or 'none'}.")


def _compare_nodes(target: Target, at: datetime) -> tuple[set[str], list[Difference]]:
    revision = Revision.objects.filter(target=target, number=target.active_number).first()
    wanted = revision.digest if revision else ""
    found: list[Difference] = []
    nodes = list(Node.objects.filter(target=target))
    for node in nodes:
        if not is_live(node, at):
            seen = f"{node.last_seen_at:%Y-%m-%d %H:%M:%S} UTC" if node.last_seen_at else "never"
            found.append(Difference(f"node/{node.name}", "online", "offline", f"Last heard of: {seen}."))
        elif wanted and node.active_digest != wanted:
            detail = f"It has revision {node.active_number}. {node.error}".strip()
            found.append(Difference(f"node/{node.name}", wanted, node.active_digest, detail))
    return {f"node/{node.name}" for node in nodes}, found


def _note(target: Target, looked_at: set[str], found: Mapping[str, Difference], at: datetime) -> None:
    """Open, keep or close a row for each path that was looked at."""
    opened = {row.path: row for row in Drift.objects.select_for_update().filter(target=target, resolved_at=None)}
    for path, row in opened.items():
        if path not in found and (path in looked_at or row.expected == ""):
            row.resolved_at, row.resolution = at, row.resolution or "It is right again."
            row.save(update_fields=["resolved_at", "resolution"])
    for path, one in found.items():
        row = opened.get(path) or Drift(target=target, path=path, found_at=at)
        row.expected, row.observed, row.detail, row.seen_at = one.expected, one.observed, one.detail, at
        row.save()
    hold_target(target.pk)
    TargetArtifact.objects.filter(target=target, path__in=looked_at).update(checked_at=at)
    Target.objects.filter(pk=target.pk).update(checked_at=at)


def put_back(*, drift_id: int, actor: Actor, at: datetime) -> Target:
    """Have the target hold again what it should. The caller pokes the target."""
    with transaction.atomic():
        drift = Drift.objects.select_for_update(of=("self",)).select_related("target").filter(pk=drift_id).first()
        if drift is None or drift.resolved_at is not None:
            raise NotFound
        target = hold_target(drift.target_id)
        if target.driver == DriverName.NGINX:
            raise NotOurs
        _forget(target, drift.path)
        drift.resolution = f"Put back by {actor.name}."
        drift.save(update_fields=["resolution"])
        _activate_again(target, at)
        record_target("drift.put_back", target, actor=actor, at=at, after={"path": drift.path, "found": drift.observed})
    return target


def _forget(target: Target, path: str) -> None:
    """Believe no longer that the target holds the right thing there."""
    rows = TargetArtifact.objects.filter(target=target)
    touched = rows.filter(service=COMMON) if path == CODE_GROUP else rows.filter(path=path)
    if not touched.update(applied_sha256=UNKNOWN) and not is_code(path):
        TargetArtifact.objects.create(target=target, path=path, applied_sha256=UNKNOWN, media_type="")


def _activate_again(target: Target, at: datetime) -> None:
    if Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).exists():
        return
    revision = Revision.objects.filter(target=target).order_by("-number").first()
    if revision is None:
        raise NotFound
    revising.activate(target=target, revision=revision, at=at)
