"""From graph to artifacts, for each kind of target, one service at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters import cluster
from apps.compiler.emitters.edgekv import ItemTooLargeError, emit_item
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.emitters.nginx import emit_shard, emit_static
from apps.compiler.graph import AccessGraph
from apps.compiler.slices import service_slice
from apps.rollout.models import DriverName, Target
from apps.rollout.surroundings import (
    EdgeSalt,
    cluster_surroundings,
    edge_surroundings,
    mesh_place,
    mesh_surroundings,
    secret_of,
)

COMMON = ""
"""The name of what is common to all services, where a service's slug is expected."""

Emit = Callable[[AccessGraph, str], tuple[Artifact, ...]]


@dataclass(frozen=True, slots=True)
class Emitters:
    """``common`` compiles from the exposures of all services, ``service`` from the slice of one."""

    common: Callable[[AccessGraph], tuple[Artifact, ...]]
    service: Emit


def emitters_of(target: Target, at: datetime) -> Emitters:
    """Keys, certificates and tokens stand in what is common alone, and are read when that is compiled."""
    if target.driver == DriverName.AKAMAI:
        salt = EdgeSalt(secret_of(target)["salt"])

        def item(graph: AccessGraph, service: str) -> tuple[Artifact, ...]:
            return (emit_item(graph, service, salt),) if graph.services[service].edge else ()

        return Emitters(lambda graph: emit_code(graph, edge_surroundings(target)), item)
    if target.driver == DriverName.KUBERNETES:
        around = cluster_surroundings(target, at)
        return Emitters(
            lambda graph: cluster.emit_common(graph, around),
            lambda graph, service: cluster.emit_service(graph, service, around),
        )
    place = mesh_place(target)
    return Emitters(
        lambda graph: emit_static(graph, mesh_surroundings(target, at)),
        lambda graph, service: emit_shard(graph, service, place),
    )


@dataclass(frozen=True, slots=True)
class Emitted:
    """Artifacts by service (``COMMON`` for what they share), the slices they came from, and what could not be made."""

    artifacts: Mapping[str, tuple[Artifact, ...]]
    slices: Mapping[str, AccessGraph]
    refused: Mapping[str, str]


def emit_services(emit: Emit, graph: AccessGraph, services: Iterable[str]) -> Emitted:
    """A service that is not in the graph is gone: it has no artifacts."""
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    slices: dict[str, AccessGraph] = {}
    refused: dict[str, str] = {}
    for service in sorted(services):
        slices[service] = service_slice(graph, service) if service in graph.services else AccessGraph()
        try:
            artifacts[service] = emit(slices[service], service) if service in graph.services else ()
        except ItemTooLargeError as error:
            refused[service] = str(error)
    return Emitted(artifacts, slices, refused)
