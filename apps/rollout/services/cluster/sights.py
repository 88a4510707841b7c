"""What an agent inside a cluster tells of it, and what it is told to do there besides a revision.

The console calls nobody there, so what pages show of such a cluster is as of when its agent looked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.errors import explain
from apps.rollout.models import Activation, DriverName, Node, Sight, Target, TargetArtifact
from apps.rollout.services import proving
from apps.rollout.services.cluster.driving import CONFLICTS, ORDER, TAKEN, access_control_of
from apps.rollout.services.evidence import tell_pages
from apps.rollout.services.holding import hold_target
from apps.rollout.states import OPEN_ACTIVATIONS

VERSION = "server_version"
LONGEST_AGE = timedelta(minutes=5)
MOST_BEHIND = 5000
"""An agent names at most so many; then nothing is concluded from what it did not name."""


@dataclass(frozen=True, slots=True)
class Differs:
    """One object that is not as it was signed; see ``Sight.differs``."""

    path: str
    wanted: str
    sha256: str
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One look of an agent: ``age`` ago, after it had carried out ``order``. ``behind``: what was not brought yet, or
    not removed. ``held``: how many objects are as they were signed."""

    age: timedelta
    order: int
    version: str
    held: int
    differs: Sequence[Differs] = ()
    behind: Collection[str] = ()
    conflicts: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """The part of a report that only an agent in a cluster makes. ``trouble`` is what its API server answered."""

    seen: Seen | None = None
    trouble: VendorError | None = None


def is_agent(node: Node) -> bool:
    """Whether the node is the agent of a cluster that is not called."""
    return node.target.driver == DriverName.KUBERNETES and node.target.is_pulled and node.applies


def orders_of(target: Target) -> dict[str, object]:
    """What is signed beside the revision: paths to be brought whatever is there, and how the mesh reads absence."""
    return {
        "order": int(target.facts.get(ORDER, 0)),
        "again": sorted(target.facts.get(TAKEN, {})),
        "access_control": access_control_of(target),
        **({"leaves": True} if target.is_leaving else {}),
    }


def is_ordered(target: Target) -> bool:
    """Whether its agent is told to bring something again, whatever stands there."""
    return target.is_pulled and bool(target.facts.get(TAKEN))


def asked_of(target: Target) -> bool:
    """Whether somebody waits for a look."""
    return Sight.objects.filter(target=target).exclude(asked_at=None).exists()


def ask(*, target: Target, at: datetime) -> None:
    """Have the agent look now. The caller wakes it."""
    Sight.objects.update_or_create(target=target, defaults={"asked_at": at})


def note(*, node: Node, number: int, active: bool, said: Said, at: datetime) -> bool:
    """Believe what the agent says of its cluster. True when it looked; then drift is to be compared again.

    A look beside an older revision tells nothing of what is there now. Locks the target.
    """
    with transaction.atomic():
        target = hold_target(node.target_id)
        _note_trouble(target, node, said, active, at)
        if said.seen is None:
            return False
        _note_facts(target, said.seen)
        if number != target.latest_number:
            return False
        _keep(target, number, said.seen, at)
        if len(said.seen.behind) < MOST_BEHIND:
            _believe(target, said.seen, at)
        tell_pages()
    return True


def _keep(target: Target, number: int, seen: Seen, at: datetime) -> None:
    """Whoever asked while it looked waits for the next look: this one may have missed what made them ask."""
    differs, seen_at = [asdict(one) for one in seen.differs], at - min(seen.age, LONGEST_AGE)
    made = {"number": number, "held": seen.held, "differs": differs, "seen_at": seen_at}
    Sight.objects.update_or_create(target=target, defaults=made)
    Sight.objects.filter(target=target, asked_at__lte=seen_at).update(asked_at=None)


def _note_trouble(target: Target, node: Node, said: Said, active: bool, at: datetime) -> None:
    """In words of the catalogue. What is open is put off by the reconciliation; the rest is told here."""
    code = explain(said.trouble).code if said.trouble is not None else ""
    Node.objects.filter(pk=node.pk).update(trouble=code)
    if Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).exists():
        return
    error = str(said.trouble) if said.trouble is not None else ""
    if said.trouble is not None or (active and target.error):
        noted = {"error": error, "error_at": at if error else None, "trouble": code}
        Target.objects.filter(pk=target.pk).update(**noted)


def _note_facts(target: Target, seen: Seen) -> None:
    """Who is in the way, until it is not; and an order that was carried out is not given again."""
    taken = target.facts.get(TAKEN, {})
    left = {path: told for path, told in taken.items() if int(told.get(ORDER, 0)) > seen.order}
    standing = {path: told for path, told in target.facts.get(CONFLICTS, {}).items() if path in seen.behind}
    conflicts = {**standing, **{path: list(map(dict, found)) for path, found in seen.conflicts.items()}}
    after = {**target.facts, TAKEN: left, CONFLICTS: conflicts, VERSION: seen.version or target.facts.get(VERSION, "")}
    if after != target.facts:
        target.facts = after
        target.save(update_fields=["facts"])


def _believe(target: Target, seen: Seen, at: datetime) -> None:
    """What is not behind is there: services all of which is there may be asked about, though others are held up."""
    rows = TargetArtifact.objects.filter(target=target)
    fresh = rows.exclude(sha256=F("applied_sha256")).exclude(path__in=seen.behind)
    touched = set(fresh.values_list("service", flat=True))
    fresh.update(applied_sha256=F("sha256"))
    rows.filter(sha256="", applied_sha256="").delete()
    behind = rows.filter(service__in=touched).filter(~Q(sha256=F("applied_sha256")))
    there = touched - set(behind.values_list("service", flat=True))
    if there:
        proving.make_ready(target, services=there, at=at)
