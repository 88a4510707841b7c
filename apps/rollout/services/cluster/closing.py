"""What bringing objects to a cluster does besides the access they are for, and a person's yes to the worst of it.

The first TrafficTarget of a destination (in ``allow`` mode), and the first NetworkPolicy of a pod, close it to
everybody they do not name. So the first objects of a service are not compiled into a revision before somebody agreed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.compiler.artifacts import Artifact
from apps.compiler.decide import Pdp
from apps.compiler.emitters.cluster import emit_traps
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.graph import AccessGraph, Service
from apps.compiler.surroundings import ClusterSurroundings
from apps.rollout.cluster.settings import NETWORK, SMI, settings_of
from apps.rollout.drivers.kubernetes.kinds import TRAFFIC_TARGETS
from apps.rollout.emitting import COMMON, Emitted
from apps.rollout.models import DriverName, PendingChange, Production, Revision, Shard, Target, TargetArtifact
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.cluster.beside import beside
from apps.rollout.services.cluster.driving import AGREED, HELD
from apps.rollout.services.evidence import record_target
from apps.rollout.services.holding import hold_target
from apps.rollout.services.targets import BadTarget, get_target
from apps.rollout.snapshots import from_json
from apps.rollout.surroundings import cluster_surroundings

NETWORK_POLICIES = "networkpolicies.networking.k8s.io"
MOST = 1000
"""So many names are kept of each."""
FEW_REVISIONS, MOST_TRAPS = 10, 20
WAITS = (
    "Its first objects in {cluster} close {service} to everybody they do not name. An operator looks at the plan and"
    " agrees."
)


class NothingWaits(Refusal):
    code = "nothing_waits"
    default_message = "None of these waits for a yes any more."


@dataclass(frozen=True, slots=True)
class Closing:
    """A service that waits for a yes: what would be brought, what there is to know, and who may call it then.

    ``more``: so many more may call it than are named.
    """

    service: str
    paths: tuple[str, ...]
    sentences: tuple[str, ...]
    allowed: tuple[str, ...]
    more: int = 0


def traps_of(target: Target, slices: Mapping[str, AccessGraph], at: datetime) -> list[dict[str, object]]:
    """What there is to know of the change from what was compiled before to ``slices``."""
    if target.driver != DriverName.KUBERNETES:
        return []
    before = {row.service: from_json(row.graph) for row in Shard.objects.filter(target=target, service__in=slices)}
    around = cluster_surroundings(target, at)
    others, there = beside(target, slices, around), _there(target, slices)
    return [
        {**asdict(trap), "severity": trap.severity.value, "service": service}
        for service, after in sorted(slices.items())
        for trap in _traps(service, before.get(service, AccessGraph()), after, around, others, _had(there, service))
    ]


def _had(there: Mapping[str, Collection[str]], service: str) -> frozenset[str]:
    """The emitters that close with the first object, and open or cut off with the last, by what they have there."""
    kinds = there.get(service, ())
    return frozenset(name for name, kind in ((NETWORK, NETWORK_POLICIES), (SMI, TRAFFIC_TARGETS)) if kind in kinds)


def traps_lately(target: Target) -> list[tuple[int, dict[str, str]]]:
    """Those of the newest revisions, each with its number."""
    rows = Revision.objects.filter(target=target).order_by("-number")[:FEW_REVISIONS]
    return [(number, trap) for number, traps in rows.values_list("number", "traps") for trap in traps][:MOST_TRAPS]


def _traps(
    service: str,
    before: AccessGraph,
    after: AccessGraph,
    around: ClusterSurroundings,
    others: Mapping[str, Service],
    had: Collection[str] = (),
) -> tuple[Trap, ...]:
    found = after.services.get(service) or before.services.get(service)
    if found is None:
        return ()
    own = after if service in after.services else before
    graph = replace(own, services={**others, **own.services})
    return emit_traps(graph, before, after, found, around, had)


def held(target: Target, made: Mapping[str, Sequence[Artifact]]) -> dict[str, str]:
    """Services whose objects wait for a yes, each with a sentence that says so."""
    if target.driver != DriverName.KUBERNETES or target.production == Production.AUTOMATIC:
        return {}
    kinds = _closing_kinds(target)
    closing = {
        service: {_kind(artifact.path) for artifact in artifacts} & kinds
        for service, artifacts in made.items()
        if service != COMMON and service not in target.facts.get(AGREED, {})
    }
    there = _there(target, [service for service, found in closing.items() if found])
    return {
        service: WAITS.format(cluster=target.name, service=service)
        for service, found in closing.items()
        if found - there.get(service, frozenset())
    }


def _closing_kinds(target: Target) -> frozenset[str]:
    smi = {TRAFFIC_TARGETS} if settings_of(target.config).closes_by_first else set()
    return frozenset({NETWORK_POLICIES, *smi})


def _kind(path: str) -> str:
    return path.split("/")[1] if path.count("/") == 2 else ""


def _there(target: Target, services: Collection[str]) -> dict[str, frozenset[str]]:
    """The kinds of objects each service has in the revision before, and had closed with already."""
    rows = TargetArtifact.objects.filter(target=target, service__in=services).exclude(sha256="")
    found: dict[str, set[str]] = {}
    for service, path in rows.values_list("service", "path"):
        found.setdefault(service, set()).add(_kind(path))
    return {service: frozenset(kinds) for service, kinds in found.items()}


def remember(target: Target, emitted: Emitted, stopped: Collection[str], dirty: Collection[str], at: datetime) -> None:
    """Keep with the target what would be closed, to be looked at. The caller has opened a transaction."""
    before = target.facts.get(HELD, {})
    kept = {service: said for service, said in before.items() if service not in dirty}
    fresh = {service: _told(target, emitted, service, at) for service in stopped}
    if {**kept, **fresh} != before:
        held_row = hold_target(target.pk)
        held_row.facts = {**held_row.facts, HELD: {**kept, **fresh}}
        held_row.save(update_fields=["facts"])


def _told(target: Target, emitted: Emitted, service: str, at: datetime) -> dict[str, object]:
    graph = emitted.slices[service]
    around = cluster_surroundings(target, at)
    traps = _traps(service, AccessGraph(), graph, around, beside(target, {service: graph}, around))
    allowed = sorted({row.subject for row in Pdp(graph).entitlements(service, int(at.timestamp()))})
    return {
        "paths": [artifact.path for artifact in emitted.artifacts[service]][:MOST],
        "sentences": [trap.sentence for trap in traps],
        "allowed": allowed[:MOST],
        "more": max(0, len(allowed) - MOST),
    }


def closings(target: Target, *, after: str = "", limit: int | None = None) -> list[Closing]:
    """What waits for a yes, as of when it was compiled last, by service."""
    held = target.facts.get(HELD, {})
    return [
        Closing(
            service=service,
            paths=tuple(held[service]["paths"]),
            sentences=tuple(held[service]["sentences"]),
            allowed=tuple(held[service]["allowed"]),
            more=held[service]["more"],
        )
        for service in sorted(service for service in held if service > after)[:limit]
    ]


def agree(*, slug: str, services: Collection[str], actor: Actor, at: datetime) -> Target:
    """Let these services be closed in the cluster to everybody their objects do not name. The caller pokes the target.

    Raises PersonNeeded for anybody but a person (or a command), NothingWaits for what does not wait.
    """
    if not actor.id.startswith(("person:", "operator")):
        raise PersonNeeded
    with transaction.atomic():
        target = (
            Target.objects.select_for_update(of=("self",)).select_related("environment").get(pk=get_target(slug).pk)
        )
        if target.driver != DriverName.KUBERNETES:
            raise BadTarget(f"{target.name} is no Kubernetes cluster.")
        waiting = target.facts.get(HELD, {})
        if not services or set(services) - waiting.keys():
            raise NothingWaits
        left = {service: told for service, told in waiting.items() if service not in services}
        said = {service: {"by": actor.name[:200], "at": at.isoformat()} for service in services}
        target.facts = {**target.facts, HELD: left, AGREED: {**target.facts.get(AGREED, {}), **said}}
        target.save(update_fields=["facts"])
        rows = PendingChange.objects.filter(target=target, service__in=services)
        rows.update(retry_at=at, error="")
        record_target("closing.agreed", target, actor=actor, at=at, after={"services": sorted(services)})
    return target
