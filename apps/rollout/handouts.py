"""Files that somebody else applies: a door beside a service, a pod that probes, a baseline. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import yaml
from django.conf import settings

from apps.catalog import selectors as catalog
from apps.compiler.emitters.cluster import agent, networkpolicy, probe_pod, sidecar
from apps.compiler.emitters.cluster.objects import Account, Object
from apps.compiler.graph import Service
from apps.compiler.surroundings import ClusterSurroundings
from apps.rollout.cluster.settings import settings_of
from apps.rollout.drivers.kubernetes.kinds import KINDS, scopes_of
from apps.rollout.models import DriverName, Target
from apps.rollout.services.cluster.driving import kinds_of
from apps.rollout.services.targets import BadTarget, get_target
from apps.rollout.surroundings import cluster_surroundings
from apps.trust import selectors as trust
from apps.trust.models import Purpose

AGENT_NODE = "agent"
"""How the agent of a cluster is called among its nodes."""

Files = Mapping[str, str]
"""Contents by relative path."""


def door(*, target_slug: str, service_slug: str, image: str, at: datetime) -> Files:
    """A kustomize component that puts a door beside a service's pods."""
    target = get_target(target_slug)
    service, around = _service(target, service_slug), _around(target, at)
    return sidecar.kustomization(service, around, sidecar.Sidecar(image, _mesh_of(target)))


def machine(*, target_slug: str, service_slug: str, node: str, at: datetime) -> Files:
    """A door for a machine that runs the service by itself, by the paths the files belong to."""
    target = get_target(target_slug)
    service, around = _service(target, service_slug), _around(target, at)
    found = sidecar.machine(service, around, sidecar.Sidecar("", _mesh_of(target)), node)
    return {path.lstrip("/"): text for path, text in found.items()}


def probe(*, target_slug: str, account: str, image: str, at: datetime) -> Files:
    """``account`` is ``namespace/name``."""
    target = _cluster(target_slug)
    namespace, slash, name = account.partition("/")
    if not (namespace and slash and name):
        raise BadTarget("Name the account as namespace/name, such as shop/cart.")
    made = probe_pod.objects(Account(namespace, name), cluster_surroundings(target, at), probe_pod.ProbePod(image))
    return {"probe.json": _listed(made)}


def cluster_agent(*, target_slug: str, image: str, by_account: bool, at: datetime) -> Files:
    """The agent of a cluster that the console does not call, with all it may do there."""
    target = _cluster(target_slug)
    if not target.is_pulled:
        raise BadTarget(f"The console itself writes to {target.name}: no agent is needed there.")
    chosen = settings_of(target.config)
    kinds = kinds_of(chosen)
    rights: dict[str, list[tuple[str, str]]] = {namespace: [] for namespace in chosen.namespaces}
    for scope in scopes_of(kinds, chosen.namespaces, chosen.verifier_namespace):
        rights[scope.namespace].append((KINDS[scope.kind].group, KINDS[scope.kind].plural))
    made = agent.ClusterAgent(image, AGENT_NODE, rights, kinds, trust.jwks(Purpose.BUNDLE), by_account)
    found = agent.objects(cluster_surroundings(target, at), made)
    return {"agent.yaml": "---\n".join(yaml.dump(one, sort_keys=False, Dumper=_Readable) for one in found)}


def baseline(*, target_slug: str, namespace: str, egress: bool) -> Files:
    _cluster(target_slug)
    return {"baseline.json": sidecar.written(networkpolicy.baseline(namespace, egress=egress))}


class _Readable(yaml.SafeDumper):
    """Settings inside an object keep their lines."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def _listed(objects: tuple[Object, ...]) -> str:
    return sidecar.written({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def _cluster(slug: str) -> Target:
    target = get_target(slug)
    if target.driver != DriverName.KUBERNETES:
        raise BadTarget(f"{target.name} is no Kubernetes cluster.")
    return target


def _service(target: Target, slug: str) -> Service:
    found = catalog.graph_services([slug], target.environment.slug).get(slug)
    if found is None or found.mesh is None:
        raise BadTarget(f"{slug} is no service that the mesh of {target.environment.slug} exposes.")
    if found.is_tcp:
        raise BadTarget(f"{found.name} is plain TCP, and a door of ours speaks HTTP.")
    return found


def _mesh_of(target: Target) -> str:
    """The NGINX mesh of the environment: a door takes its policy from there."""
    mesh = Target.objects.filter(environment=target.environment, driver=DriverName.NGINX).first()
    if mesh is None:
        raise BadTarget(
            f"{target.environment.slug} has no target with driver nginx, which doors take their policy from."
        )
    return mesh.slug


def _around(target: Target, at: datetime) -> ClusterSurroundings:
    if target.driver == DriverName.KUBERNETES:
        return cluster_surroundings(target, at)
    return ClusterSurroundings(target.slug, settings.SALLYPORT_URL, settings.SALLYPORT_TRUST_DOMAIN)
