"""Access as Kubernetes objects: what an emitter can say of one service, what services share, and what to watch for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.cluster import gateway, networkpolicy, nic, smi
from apps.compiler.emitters.cluster.objects import Object, as_artifact
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.graph import AccessGraph, Service
from apps.compiler.surroundings import CLUSTER_EMITTERS, ClusterSurroundings

Objects = Callable[[AccessGraph, Service, ClusterSurroundings], tuple[Object, ...]]
Common = Callable[[AccessGraph, ClusterSurroundings], tuple[Object, ...]]
Traps = Callable[[AccessGraph, AccessGraph, AccessGraph, Service, ClusterSurroundings], tuple[Trap, ...]]


def _nothing(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Emitter:
    """``objects`` of one service, ``common`` to all, and ``traps`` of a change.

    Traps are told from the whole graph, and the service's slice before and after.
    """

    objects: Objects
    traps: Traps
    common: Common = _nothing


EMITTERS: dict[str, Emitter] = {
    "smi": Emitter(smi.objects, smi.traps),
    "nic": Emitter(nic.objects, nic.traps, nic.common),
    "networkpolicy": Emitter(networkpolicy.objects, networkpolicy.traps),
    "gateway": Emitter(gateway.objects, gateway.traps, gateway.common),
}
"""In the order of ``CLUSTER_EMITTERS``. Each is a module of this package."""


def _chosen(surroundings: ClusterSurroundings) -> list[Emitter]:
    return [EMITTERS[name] for name in CLUSTER_EMITTERS if name in surroundings.emitters and name in EMITTERS]


def emit_service(graph: AccessGraph, service_id: str, surroundings: ClusterSurroundings) -> tuple[Artifact, ...]:
    """The objects of one service, from its slice or a larger graph, by every emitter the cluster takes."""
    service = graph.services[service_id]
    found = chain.from_iterable(one.objects(graph, service, surroundings) for one in _chosen(surroundings))
    return _artifacts(found)


def emit_common(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Artifact, ...]:
    """What services share. Of the graph only the exposures matter."""
    found = chain.from_iterable(one.common(graph, surroundings) for one in _chosen(surroundings))
    return _artifacts(found)


def _artifacts(objects: chain[Object]) -> tuple[Artifact, ...]:
    """By path, each once: two emitters may need the same object."""
    found = {artifact.path: artifact for artifact in map(as_artifact, objects)}
    return tuple(found[path] for path in sorted(found))


def emit_traps(
    graph: AccessGraph, before: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> tuple[Trap, ...]:
    """What a reviewer of the change from ``before`` to ``after`` (slices of the service) must know."""
    told = [one.traps(graph, before, after, service, surroundings) for one in _chosen(surroundings)]
    return tuple(dict.fromkeys(chain.from_iterable(told)))
