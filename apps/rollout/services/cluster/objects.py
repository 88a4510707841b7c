"""Objects of a cluster that somebody else manages: noted, and taken over when a person says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.rollout.drivers.base import Plan, Step
from apps.rollout.drivers.kubernetes.driver import KubernetesDriver
from apps.rollout.drivers.kubernetes.errors import FieldConflict
from apps.rollout.models import DriverName, Target
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.cluster.driving import CONFLICTS, ORDER, TAKEN
from apps.rollout.services.evidence import record_target
from apps.rollout.services.holding import hold_target
from apps.rollout.services.targets import get_target


class NoConflict(Refusal):
    code = "no_conflict"
    default_message = "Nobody else sets fields of this object any more, or somebody else than was shown."


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
