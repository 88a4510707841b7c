"""A driver for a cluster's row, and what of a service is the cluster's business."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from apps.catalog import selectors as catalog
from apps.compiler.graph import Service
from apps.rollout.cluster.settings import ClusterSettings, settings_of
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.api import ClusterApi
from apps.rollout.drivers.kubernetes.connection import ClusterConnection
from apps.rollout.drivers.kubernetes.driver import ClusterConfig, KubernetesDriver
from apps.rollout.drivers.kubernetes.kinds import kinds_for
from apps.rollout.models import DriverName, Target
from apps.rollout.surroundings import secret_of

CONFLICTS, TAKEN, HELD, AGREED = "conflicts", "taken", "held", "closings"
"""In a target's ``facts``: objects somebody else manages, by path; those a person said to take over; services that wait
for a yes to being closed, and those whose closing a person agreed to."""
ORDER = "order"
"""In a target's ``facts``: the number of what a person said last, which an agent inside carries out once."""
IN_CLUSTER = "in_cluster"
CARRYING = frozenset({"smi", "networkpolicy"})
"""Emitters that say who may connect; the others speak of calls from outside."""


class ClusterNotConnected(VendorError):
    """The target has no way to its cluster yet, or the console does not call it."""


@contextmanager
def cluster_driver(target: Target) -> Iterator[KubernetesDriver]:
    """Raises VendorError; ClusterNotConnected when nobody said how it is reached, or an agent does all."""
    with closing(ClusterApi(connection_of(target))) as api:
        yield KubernetesDriver(api, cluster_config(target))


def connection_of(target: Target) -> ClusterConnection:
    """How the console calls the cluster. Raises ClusterNotConnected where it cannot, or must not."""
    if target.is_pulled:
        raise ClusterNotConnected("Kubernetes", 0, "is not called for this target: its agent calls the console")
    if target.config.get("reached") == IN_CLUSTER:
        return ClusterConnection(in_cluster=True)
    secret = secret_of(target)
    if secret.get("kubeconfig"):
        return ClusterConnection(kubeconfig=secret["kubeconfig"], context=secret.get("context", ""))
    if not secret.get("token") or not target.config.get("server"):
        raise ClusterNotConnected("Kubernetes", 0, "is not connected yet: give this target a credential")
    return ClusterConnection(url=str(target.config["server"]), token=secret["token"], ca_pem=secret.get("ca_pem", ""))


def cluster_config(target: Target) -> ClusterConfig:
    """Forced are the objects a person said to take over, and only while the one we were kept from is still there."""
    config = config_for(target.slug, settings_of(target.config), frozenset(target.facts.get(TAKEN, {})))
    return replace(config, access_control=access_control_of(target))


def access_control_of(target: Target) -> str:
    """The mesh's mode, as whoever removes objects has to know it.

    From a cluster that is taken out everything goes, also what keeps a service shut that nobody may call.
    """
    return "deny" if target.is_leaving else settings_of(target.config).access_control


def config_for(cluster: str, chosen: ClusterSettings, forced: frozenset[str] = frozenset()) -> ClusterConfig:
    return ClusterConfig(
        cluster=cluster,
        namespaces=chosen.namespaces,
        kinds=kinds_of(chosen),
        access_control=chosen.access_control,
        force_paths=forced,
        verifier=chosen.verifier_namespace,
    )


def kinds_of(chosen: ClusterSettings) -> tuple[str, ...]:
    """Keys of the kinds the chosen emitters write, in order and once."""
    return kinds_for(chosen.emitters, plus=chosen.plus)


def holds(target: Target, service: Service) -> bool:
    """Whether the service runs where this target enforces: by namespace in a cluster, elsewhere everything but plain
    TCP, which neither the edge nor a node of ours can carry.
    """
    if target.driver != DriverName.KUBERNETES:
        return not service.is_tcp
    return service.mesh is not None and service.mesh.namespace in settings_of(target.config).namespaces


def carries_tcp(*, environment: str, namespace: str) -> bool:
    """Whether some cluster says who may connect to pods of the namespace."""
    clusters = Target.objects.filter(environment__slug=environment, driver=DriverName.KUBERNETES)
    chosen = (settings_of(cluster.config) for cluster in clusters if cluster.is_kept)
    return any(namespace in one.namespaces and CARRYING & set(one.emitters) for one in chosen)


def held_of(target: Target, services: Collection[str]) -> set[str]:
    """Those of the services, by slug, that are this target's business."""
    if target.driver != DriverName.KUBERNETES:
        return set(services) - catalog.list_plain_tcp(services, target.environment.slug)
    found = catalog.graph_services(sorted(services), target.environment.slug)
    return {slug for slug, service in found.items() if holds(target, service)}
