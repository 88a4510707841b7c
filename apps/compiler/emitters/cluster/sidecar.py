"""A door of ours beside a service's pods, and beside those that only call: what to add to them, for copying.

The door is the node agent with its NGINX, as on any node of an NGINX mesh target; it takes its policy from there.
What arrives for the application's port is turned to the door in the kernel, so that nobody passes it by, whatever
the application listens on. The door itself reaches the application over the loopback, which is left alone. What the
application sends to services of the mesh is turned to the same NGINX (``calls``).

Nothing here is applied by the console. Whoever owns the workload puts it in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from apps.compiler.emitters.cluster import calls
from apps.compiler.emitters.cluster.calls import NO_CALLS, Calls
from apps.compiler.emitters.cluster.objects import (
    NAME_LABEL,
    Object,
    handout_labels,
    label_value,
    made,
    object_name,
    service_name,
)
from apps.compiler.graph import Service
from apps.compiler.surroundings import ClusterSurroundings

ROOT, SETTINGS, SECRETS = "/var/lib/sallyport", "/etc/sallyport", "/etc/sallyport-secret"
TABLE = "sallyport"
USER = 26262
"""Nobody's number but the door's, and not root's: whatever runs under it is not turned back to the door."""

OLD_MESH = {"injector.nsm.nginx.com/auto-inject": "disabled"}
"""Keeps NGINX Service Mesh from putting a second sidecar in: the two would turn each other's packets."""


class NoDoor(ValueError):
    """A service that the mesh does not expose has no door."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A workload that calls services and is none: it gets no door, only what its calls need.

    ``name`` is that of its account and of its Deployment.
    """

    namespace: str
    name: str
    workload: str


Beside: TypeAlias = Service | Caller
"""What a sidecar stands beside."""


@dataclass(frozen=True, slots=True)
class Place:
    """``name`` is that of its Deployment, ``node`` the one it is enrolled by.

    ``door`` is the port of its door, and ``ports`` are those that lead there.
    """

    id: str
    namespace: str
    name: str
    workload: str
    node: str
    door: int | None = None
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sidecar:
    """``image`` holds Python, Sallyport's source, NGINX with njs and nftables (see the guide).

    ``target`` is the NGINX mesh whose policy the door takes, ``secret`` the name of a Secret beside the workload with
    ``node.token``, ``bundle-keys.json`` and ``telemetry.token``. ``calls`` are those of its workload that are secured.
    With ``shut`` false nobody is turned to the door yet: the application is reached as before, and the door besides.
    """

    image: str
    target: str
    secret: str = ""
    calls: Calls = NO_CALLS
    shut: bool = True


def place(beside: Beside) -> Place:
    """Raises NoDoor for a service that the mesh does not expose."""
    if isinstance(beside, Caller):
        node = f"{beside.namespace}-{beside.name}"
        return Place(beside.name, beside.namespace, beside.name, beside.workload, node)
    mesh = beside.mesh
    if mesh is None:
        raise NoDoor(beside.id)
    ports = sorted({mesh.upstream_port, *(variant.upstream_port for variant in beside.variants)})
    name = service_name(beside.id)
    return Place(beside.id, mesh.namespace, name, mesh.workload, name, mesh.port, tuple(ports))


def redirection(beside: Beside, sidecar: Sidecar, user: str = str(USER)) -> str:
    """Rules for nftables: connections from outside to the application end at its door, and what it sends to services
    of the mesh begins at the NGINX beside it. Loading them again is safe.

    Other ports are not touched, and the loopback is not. Over IPv6 nobody listens there, so that is closed.
    """
    return (
        f"table inet {TABLE}\ndelete table inet {TABLE}\n"
        f"table inet {TABLE} {{\n{_arriving(place(beside), sidecar)}{calls.chain(sidecar.calls, user)}}}\n"
    )


def _arriving(found: Place, sidecar: Sidecar) -> str:
    if found.door is None or not sidecar.shut:
        return ""
    return (
        "  chain prerouting {\n"
        "    type nat hook prerouting priority dstnat; policy accept;\n"
        f'    iifname != "lo" fib daddr type local tcp dport {{ {", ".join(map(str, found.ports))} }} '
        f"redirect to :{found.door}\n"
        "  }\n"
    )


def agent_settings(beside: Beside, surroundings: ClusterSurroundings, sidecar: Sidecar, node: str) -> Object:
    """What the node agent is told, as its configuration file."""
    found = place(beside)
    told: Object = {
        "console": surroundings.console_url,
        "node": node,
        "target": sidecar.target,
        "root": ROOT,
        "token_file": f"{SECRETS}/node.token",
        "bundle_keys": f"{SECRETS}/bundle-keys.json",
        "workloads": [found.workload],
    }
    if found.door is not None:
        url = f"{surroundings.console_url}/telemetry/v1/events"
        told["ship"] = {"url": url, "token_file": f"{SECRETS}/telemetry.token"}
    if sidecar.calls.ways:
        told["calls"] = calls.settings(sidecar.calls, found.workload)
    return told


def config_map(beside: Beside, surroundings: ClusterSurroundings, sidecar: Sidecar) -> Object:
    """The agent's configuration and the redirection, beside the workload."""
    found = place(beside)
    settings = agent_settings(beside, surroundings, sidecar, found.node)
    data = {"agent.json": written(settings), "redirect.nft": redirection(beside, sidecar)}
    return made("v1", "ConfigMap", found.namespace, object_name(found.id, "door"), handout_labels(), data=data)


def patch(beside: Beside, sidecar: Sidecar) -> Object:
    """A strategic merge patch for the workload's Deployment, as kustomize and ``kubectl patch`` take it."""
    found = place(beside)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": found.name, "namespace": found.namespace},
        "spec": {"template": template(beside, sidecar)},
    }


def template(beside: Beside, sidecar: Sidecar) -> Object:
    """What a pod template gets besides what it has."""
    found = place(beside)
    name = object_name(found.id, "door")
    return {
        "metadata": {"labels": {NAME_LABEL: label_value(found.name), **OLD_MESH}},
        "spec": {
            "initContainers": [_turning(sidecar)],
            "containers": [_door(found.door, sidecar)],
            "volumes": [
                {"name": "sallyport-settings", "configMap": {"name": name}},
                {"name": "sallyport-secret", "secret": {"secretName": sidecar.secret or name, "defaultMode": 0o444}},
                {"name": "sallyport-root", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            ],
        },
    }


def _turning(sidecar: Sidecar) -> Object:
    """The only part with a right over the network, its own pod's alone; it ends before the rest starts."""
    return {
        "name": "sallyport-redirect",
        "image": sidecar.image,
        "command": ["nft", "-f", f"{SETTINGS}/redirect.nft"],
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        },
        "volumeMounts": [{"name": "sallyport-settings", "mountPath": SETTINGS, "readOnly": True}],
    }


def _door(port: int | None, sidecar: Sidecar) -> Object:
    told: Object = {
        "name": "sallyport-door",
        "image": sidecar.image,
        "command": ["python", "-m", "apps.meshagent", "--config", f"{SETTINGS}/agent.json"],
        "readinessProbe": {"exec": {"command": ["test", "-s", f"{ROOT}/run/nginx.pid"]}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": unprivileged(),
        "volumeMounts": [
            {"name": "sallyport-settings", "mountPath": SETTINGS, "readOnly": True},
            {"name": "sallyport-secret", "mountPath": SECRETS, "readOnly": True},
            {"name": "sallyport-root", "mountPath": ROOT},
        ],
    }
    if port is not None:
        told["ports"] = [{"name": "sallyport", "containerPort": port, "protocol": "TCP"}]
        told["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 5}
    return told


def unprivileged() -> Object:
    """A container that runs as nobody in particular and can gain nothing, as the restricted pod standard asks."""
    return {
        "runAsUser": USER,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def kustomization(beside: Beside, surroundings: ClusterSurroundings, sidecar: Sidecar) -> Mapping[str, str]:
    """Files of a kustomize component by name; JSON is YAML too."""
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["config-map.json"],
        "patches": [{"path": "patch.json"}],
    }
    return {
        "kustomization.yaml": written(component),
        "config-map.json": written(config_map(beside, surroundings, sidecar)),
        "patch.json": written(patch(beside, sidecar)),
    }


def written(found: Mapping[str, object]) -> str:
    """As a person reads it, the same bytes each time."""
    return json.dumps(found, indent=2, sort_keys=True) + "\n"
