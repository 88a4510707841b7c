"""Access as Kubernetes objects: what an emitter can say of one service, what services share, and what to watch for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.cluster import gateway, networkpolicy, nic, smi
from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object, as_artifact
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.emitters.edgekv import ItemTooLargeError
from apps.compiler.graph import AccessGraph, Service
from apps.compiler.lint import Severity
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
    """The objects of one service, from its slice or a larger graph, by every emitter the cluster takes.

    Raises ItemTooLargeError where one of them would be larger than an API server takes.
    """
    return _artifacts(_objects(graph, graph.services[service_id], surroundings))


def emit_common(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Artifact, ...]:
    """What services share. Of the graph only the exposures matter."""
    return _artifacts(_common(graph, surroundings))


def _objects(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Object]:
    return chain.from_iterable(one.objects(graph, service, surroundings) for one in _chosen(surroundings))


def _common(graph: AccessGraph, surroundings: ClusterSurroundings) -> Iterator[Object]:
    return chain.from_iterable(one.common(graph, surroundings) for one in _chosen(surroundings))


def _artifacts(objects: Iterable[Object]) -> tuple[Artifact, ...]:
    """By path, each once: two emitters may need the same object."""
    found = {artifact.path: artifact for artifact in map(as_artifact, objects)}
    return tuple(found[path] for path in sorted(found))


def emit_traps(
    graph: AccessGraph,
    before: AccessGraph,
    after: AccessGraph,
    service: Service,
    surroundings: ClusterSurroundings,
    had: Collection[str] | None = None,
) -> tuple[Trap, ...]:
    """What a reviewer of the change from ``before`` to ``after`` (slices of the service) must know.

    ``graph`` is as much of the whole as there is: what two services have in common is only seen where both are in it.
    ``had`` names the emitters whose objects of the service are there: to one that was not chosen until now everything
    is new, and by one that no longer is everything is taken away. None where the choice stayed as it was.
    """
    told: list[tuple[Trap, ...]] = []
    for name in CLUSTER_EMITTERS:
        chosen, had_some = name in surroundings.emitters, had is None or name in had
        if chosen or (had is not None and had_some):
            was, now = before if had_some else AccessGraph(), after if chosen else AccessGraph()
            told.append(EMITTERS[name].traps(graph, was, now, service, surroundings))
    return tuple(dict.fromkeys((*chain.from_iterable(told), *_faults(after, service, surroundings))))


def _faults(after: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Trap, ...]:
    """What an API server or a controller would not take, or would take for something else."""
    found = after.services.get(service.id)
    if found is None:
        return ()
    try:
        objects = tuple(_objects(after, found, surroundings))
    except ItemTooLargeError as error:
        return (Trap("too_large", str(error), Severity.ERROR),)
    return lint_objects(objects, plus=surroundings.plus, beside=_common(after, surroundings))
