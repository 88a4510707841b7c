"""Objects of a cluster, one by one: read back after they were written, and taken over when a person says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import Plan, Step, VendorError
from apps.rollout.drivers.kubernetes.driver import KubernetesDriver
from apps.rollout.drivers.kubernetes.errors import FieldConflict, explain
from apps.rollout.models import DriverName, Target
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.cluster.driving import CONFLICTS, ORDER, TAKEN
from apps.rollout.services.evidence import record_target
from apps.rollout.services.holding import hold_target
from apps.rollout.services.targets import get_target

FEW = 3


class NoConflict(Refusal):
    code = "no_conflict"
    default_message = "Nobody else sets fields of this object any more, or somebody else than was shown."


def confirmed(driver: KubernetesDriver, plan: Plan, step: Step) -> Step:
    """The step, with only that believed which the cluster shows when it is read back."""
    written = [item for item in plan.puts if step.applied.get(item.path) == item.sha256]
    if not written:
        return step
    found, error, trouble = _read(driver, written)
    wrong = [item.path for item in written if found.get(item.path) != item.sha256]
    if not wrong:
        return step
    said = error or f"Read back otherwise than it was written: {', '.join(wrong[:FEW])}"
    believed = {path: sha256 for path, sha256 in step.applied.items() if path not in wrong}
    return replace(step, done=False, applied=believed, error=step.error or said, trouble=step.trouble or trouble)


def _read(driver: KubernetesDriver, written: Sequence[Artifact]) -> tuple[Mapping[str, str], str, str]:
    """What is found by path; or the error, in the server's words and by its code."""
    try:
        return driver.observe(written).artifacts, "", ""
    except VendorError as error:
        return {}, str(error), explain(error).code


def note_conflicts(target: Target, driver: KubernetesDriver, plan: Plan, step: Step) -> None:
    """Remember who is in the way, until it is not. What was taken over once is not taken again by itself."""
    asked = {item.path for item in plan.puts} - step.applied.keys()
    with transaction.atomic():
        held = hold_target(target.pk)
        before = {name: held.facts.get(name, {}) for name in (CONFLICTS, TAKEN)}
        standing = {path: said for path, said in before[CONFLICTS].items() if path in asked}
        met = {path: [_said(one) for one in found] for path, found in driver.conflicts.items()}
        taken = {path: said for path, said in before[TAKEN].items() if path not in step.applied}
        after = {CONFLICTS: {**standing, **met}, TAKEN: taken}
        if after != before:
            held.facts = {**held.facts, **after}
            held.save(update_fields=["facts"])


def _said(conflict: FieldConflict) -> dict[str, str]:
    return {"manager": conflict.manager, "field": conflict.field}


def take_over(*, slug: str, path: str, managers: str, actor: Actor, at: datetime) -> Target:
    """Set our fields of one object although somebody else manages them: once, for this path, and on the record.

    ``managers`` are those that were shown. Raises PersonNeeded, NoConflict. The caller pokes the target.
    """
    if not actor.id.startswith("person:"):
        raise PersonNeeded
    with transaction.atomic():
        target = Target.objects.select_for_update().get(pk=get_target(slug).pk)
        found = target.facts.get(CONFLICTS, {}).get(path)
        if target.driver != DriverName.KUBERNETES or not found or managers_of(found) != managers:
            raise NoConflict
        force_once(target, path, actor, at)
        target.retry_at, target.attempts = None, 0
        target.save(update_fields=["retry_at", "attempts"])
        record_target("object.taken_over", target, actor=actor, at=at, before={"managed": found}, after={"path": path})
    return target


def force_once(target: Target, path: str, actor: Actor, at: datetime) -> None:
    """Whoever changed an object by hand manages what they changed: putting it back takes that from them, once.

    The caller holds the target, and records it.
    """
    number = int(target.facts.get(ORDER, 0)) + 1
    said = {"by": actor.name[:200], "at": at.isoformat(), ORDER: number}
    target.facts = {**target.facts, ORDER: number, TAKEN: {**target.facts.get(TAKEN, {}), path: said}}
    target.save(update_fields=["facts"])


def managers_of(found: list[Mapping[str, str]]) -> str:
    """Their names, each once and in order."""
    return ", ".join(sorted({one["manager"] for one in found}))
