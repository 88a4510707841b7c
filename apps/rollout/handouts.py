"""Files that somebody else applies: a door beside a service, a pod that probes, a baseline. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml
from django.conf import settings

from apps.catalog import selectors as catalog
from apps.compiler.emitters.cluster import agent, injection, networkpolicy, probe_pod, sidecar
from apps.compiler.emitters.cluster import machine as on_machines
from apps.compiler.emitters.cluster.calls import PRIVATE, BadCall, Calls, between_machines, in_cluster
from apps.compiler.emitters.cluster.objects import Account, Object, is_label
from apps.compiler.emitters.cluster.sidecar import Beside, Caller, Sidecar
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


@dataclass(frozen=True, slots=True)
class Calling:
    """What is to be secured of a workload's own calls: those to ``services``, by slug with their ``host:port`` or ''.

    ``every`` adds every service of the mesh, ``leave`` names networks whose connections are left alone, ``inside`` the
    only ones in which they are turned at all, where that is not every private one.
    """

    services: Mapping[str, str] = field(default_factory=dict)
    every: bool = False
    leave: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()


NO_CALLING = Calling()


@dataclass(frozen=True, slots=True)
class Wanted:
    """``what`` is a service's slug, or ``namespace/account`` for a workload that only calls.

    ``shut`` false puts a door beside the service and turns nobody to it yet.
    """

    what: str
    image: str = ""
    calling: Calling = NO_CALLING
    shut: bool = True


def door(*, target_slug: str, wanted: Wanted, at: datetime) -> Files:
    """A kustomize component that puts a sidecar beside a workload's pods."""
    target = get_target(target_slug)
    beside, sidecar_of = _sidecar(target, wanted)
    return sidecar.kustomization(beside, _around(target, at), sidecar_of)


def injected(*, target_slug: str, wanted: Wanted, workload: Mapping[str, Any], at: datetime) -> tuple[Object, Object]:
    """The ConfigMap of a sidecar, and a Deployment (or its like) with the sidecar in it."""
    target = get_target(target_slug)
    beside, sidecar_of = _sidecar(target, wanted)
    try:
        return injection.injected(workload, beside, _around(target, at), sidecar_of)
    except injection.CannotInject as error:
        raise BadTarget(str(error)) from error


def machine(*, target_slug: str, wanted: Wanted, node: str, at: datetime) -> Files:
    """A sidecar for a machine that runs the workload by itself, by the paths the files belong to."""
    target = get_target(target_slug)
    beside, sidecar_of = _sidecar(target, wanted, on_machine=True)
    found = on_machines.files(beside, _around(target, at), sidecar_of, node)
    return {path.lstrip("/"): text for path, text in found.items()}


def _sidecar(target: Target, wanted: Wanted, *, on_machine: bool = False) -> tuple[Beside, Sidecar]:
    beside = _beside(target, wanted.what)
    out = _calls(target, sidecar.place(beside).namespace, wanted, on_machine=on_machine)
    return beside, Sidecar(wanted.image, _mesh_of(target), calls=out, shut=wanted.shut)


def _beside(target: Target, what: str) -> Beside:
    namespace, slash, account = what.partition("/")
    if not slash:
        return _service(target, what)
    if not (is_label(namespace) and is_label(account)):
        raise BadTarget("Name the account as namespace/name, such as shop/cart.")
    return Caller(namespace, account, f"spiffe://{settings.SALLYPORT_TRUST_DOMAIN}/ns/{namespace}/sa/{account}")


def _calls(target: Target, namespace: str, wanted: Wanted, *, on_machine: bool) -> Calls:
    calling = wanted.calling
    exposed = catalog.graph_services(None if calling.every else list(calling.services), target.environment.slug)
    others = [one for slug, one in exposed.items() if one.mesh is not None and slug != wanted.what]
    unknown = calling.services.keys() - {one.id for one in others}
    if unknown:
        raise BadTarget(f"{min(unknown)} is no other service that the mesh of {target.environment.slug} exposes.")
    told = {slug: place for slug, place in calling.services.items() if place}
    try:
        ways = between_machines(others, told) if on_machine else in_cluster(others, namespace, told)
        return Calls(ways, calling.inside or PRIVATE, calling.leave)
    except BadCall as error:
        raise BadTarget(str(error)) from error


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
