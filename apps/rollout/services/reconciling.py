"""One target, from what it holds to what it should hold: compile what changed, take the next steps, ask the doors.

Level-triggered: it looks at rows only, so it does not matter who called it, how often, or what died half-way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.outbox import nudge
from apps.rollout.drivers.base import StalePlan
from apps.rollout.models import (
    LEAVING,
    Activation,
    Delivery,
    DriverName,
    PendingChange,
    Probe,
    Release,
    Runner,
    Target,
)
from apps.rollout.services import compiling, moving, proving, watching
from apps.rollout.services.akamai import leaving
from apps.rollout.services.cluster import leaving as cluster_leaving
from apps.rollout.services.driving import channel_of
from apps.rollout.states import DUE_PROBES, OPEN_ACTIVATIONS, OPEN_RELEASES

LOCK_SPACE = 0x5A11
MOST_ROUNDS = 200

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``busy``: somebody else is at it. ``next_at``: when there is something to do again, if that is known."""

    busy: bool = False
    rounds: int = 0
    next_at: datetime | None = None


def reconcile(*, slug: str, clock: Clock) -> Outcome:
    """Do all that can be done now. One at a time per target: a second caller leaves at once.

    After letting go it looks once more, so that a change noted while the second caller was turned away is not left
    to the sweep.
    """
    rounds = 0
    while True:
        with _alone(slug) as target_id:
            if target_id is None:
                return Outcome(busy=True, rounds=rounds)
            done = _work(target_id, clock)
        rounds += done
        if not done or rounds >= MOST_ROUNDS or not due_targets(clock()).filter(pk=target_id).exists():
            return Outcome(rounds=rounds, next_at=_next_at(target_id))


@contextmanager
def _alone(slug: str) -> Iterator[int | None]:
    """Hold the target's advisory lock; the database lets go of it by itself when this process dies."""
    target = Target.objects.filter(slug=slug).only("pk").first()
    if target is None or not _locks("pg_try_advisory_lock", target.pk):
        yield None
        return
    try:
        yield target.pk
    finally:
        _locks("pg_advisory_unlock", target.pk)


def _locks(function: str, target_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [LOCK_SPACE, target_id])
        row = cursor.fetchone()
    return bool(row and row[0])


def _work(target_id: int, clock: Clock) -> int:
    rounds = 0
    while rounds < MOST_ROUNDS and _step(target_id, clock()):
        rounds += 1
    return rounds


def _step(target_id: int, at: datetime) -> bool:
    """One thing that is due. False when nothing is.

    What is compiled is brought to the doors before more is compiled, or a long queue would hold up its first part.
    """
    target = Target.objects.select_related("environment").get(pk=target_id)
    rested = target.retry_at is None or target.retry_at <= at
    if not target.is_kept:
        return target.is_leaving and rested and _leave(target, at)
    if moving.needs_setup(target):
        return rested and moving.set_up(target=target, at=at)
    if rested and _advance(target, at):
        return True
    if compiling.prepare(target=target, at=at):
        nudge.publish(channel_of(target.slug))
        return True
    return _asks_itself(target) and (proving.prove(target=target, at=at) or watching.step(target=target, at=at))


def _leave(target: Target, at: datetime) -> bool:
    """From a cluster what is ours goes by a revision that holds nothing, like any other."""
    if target.driver == DriverName.KUBERNETES:
        return _advance(target, at) or cluster_leaving.step(target=target, at=at)
    return leaving.step(target=target, at=at)


def _asks_itself(target: Target) -> bool:
    """An edge is called from here, and its code watched; inside the mesh the nodes ask."""
    return target.driver == DriverName.AKAMAI


def _advance(target: Target, at: datetime) -> bool:
    try:
        return moving.advance(target=target, at=at)
    except StalePlan:
        return True


def due_targets(at: datetime) -> QuerySet[Target]:
    """Targets with something to do at this moment."""
    of_target = {"target": OuterRef("pk")}
    pending = PendingChange.objects.filter(**of_target, retry_at__lte=at)
    activations = Activation.objects.filter(**of_target, state__in=OPEN_ACTIVATIONS)
    probes = Probe.objects.filter(**of_target, runner=Runner.EDGE, state__in=DUE_PROBES, due_at__lte=at)
    releases = Release.objects.filter(**of_target, state__in=OPEN_RELEASES, due_at__lte=at)
    rested = Q(retry_at=None) | Q(retry_at__lte=at)
    due = Exists(pending) | (rested & Exists(activations)) | Exists(probes) | Exists(releases)
    gone, goes = Q(delivery=Delivery.REMOVED), Q(facts__has_key=LEAVING)
    return Target.objects.filter((due & ~gone & ~goes) | (rested & goes)).order_by("slug")


def _next_at(target_id: int) -> datetime | None:
    target = Target.objects.get(pk=target_id)
    moments = [target.retry_at]
    if _asks_itself(target):
        moments += [proving.next_due(target), watching.next_due(target)]
    known = [moment for moment in moments if moment is not None]
    return min(known) if known else None
