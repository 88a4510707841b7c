"""A door of ours beside a service, on Kubernetes and on a machine of its own: what to add to it, for copying.

The door is the node agent with its NGINX, as on any node of an NGINX mesh target; it takes its policy from there.
What arrives for the application's port is turned to the door in the kernel, so that nobody passes it by, whatever
the application listens on. The door itself reaches the application over the loopback, which is left alone.

Nothing here is applied by the console. Whoever owns the workload puts it in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

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
USER = 65532
"""Nobody in particular; not root."""


class NoDoor(ValueError):
    """A service that the mesh does not expose has no door."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """``image`` holds Python, Sallyport's source, NGINX with njs and nftables (see the guide).

    ``target`` is the NGINX mesh whose policy the door takes, ``secret`` the name of a Secret beside the workload with
    ``node.token``, ``bundle-keys.json`` and ``telemetry.token``.
    """

    image: str
    target: str
    secret: str = ""


def redirection(service: Service) -> str:
    """Rules for nftables: connections from outside to the application end at its door. Loading them again is safe.

    Other ports are not touched, and the loopback is not. Over IPv6 nobody listens there, so that is closed.
    """
    if service.mesh is None:
        raise NoDoor(service.id)
    ports = {service.mesh.upstream_port, *(variant.upstream_port for variant in service.variants)}
    return (
        f"table inet {TABLE}\ndelete table inet {TABLE}\n"
        f"table inet {TABLE} {{\n"
        "  chain prerouting {\n"
        "    type nat hook prerouting priority dstnat; policy accept;\n"
        f'    iifname != "lo" fib daddr type local tcp dport {{ {", ".join(map(str, sorted(ports)))} }} '
        f"redirect to :{service.mesh.port}\n"
        "  }\n"
        "}\n"
    )


def agent_settings(service: Service, surroundings: ClusterSurroundings, sidecar: Sidecar, node: str) -> Object:
    """What the node agent is told, as its configuration file."""
    if service.mesh is None:
        raise NoDoor(service.id)
    return {
        "console": surroundings.console_url,
        "node": node,
        "target": sidecar.target,
        "root": ROOT,
        "token_file": f"{SECRETS}/node.token",
        "bundle_keys": f"{SECRETS}/bundle-keys.json",
        "workloads": [service.mesh.workload],
        "ship": {
            "url": f"{surroundings.console_url}/telemetry/v1/events",
            "token_file": f"{SECRETS}/telemetry.token",
        },
    }


def config_map(service: Service, surroundings: ClusterSurroundings, sidecar: Sidecar) -> Object:
    """The agent's configuration and the redirection, beside the workload."""
    if service.mesh is None:
        raise NoDoor(service.id)
    settings = agent_settings(service, surroundings, sidecar, service_name(service.id))
    data = {"agent.json": written(settings), "redirect.nft": redirection(service)}
    name, namespace = object_name(service.id, "door"), service.mesh.namespace
    return made("v1", "ConfigMap", namespace, name, handout_labels(), data=data)


def patch(service: Service, surroundings: ClusterSurroundings, sidecar: Sidecar) -> Object:
    """A strategic merge patch for the service's Deployment, as kustomize and ``kubectl patch`` take it."""
    if service.mesh is None:
        raise NoDoor(service.id)
    name = object_name(service.id, "door")
    template = {
        "metadata": {"labels": {NAME_LABEL: label_value(service_name(service.id))}},
        "spec": {
            "initContainers": [_turning(sidecar)],
            "containers": [_door(service.mesh.port, sidecar)],
            "volumes": [
                {"name": "sallyport-settings", "configMap": {"name": name}},
                {"name": "sallyport-secret", "secret": {"secretName": sidecar.secret or name, "defaultMode": 0o444}},
                {"name": "sallyport-root", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            ],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service_name(service.id), "namespace": service.mesh.namespace},
        "spec": {"template": template},
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


def _door(port: int, sidecar: Sidecar) -> Object:
    return {
        "name": "sallyport-door",
        "image": sidecar.image,
        "command": ["python", "-m", "apps.meshagent", "--config", f"{SETTINGS}/agent.json"],
        "ports": [{"name": "sallyport", "containerPort": port, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": unprivileged(),
        "volumeMounts": [
            {"name": "sallyport-settings", "mountPath": SETTINGS, "readOnly": True},
            {"name": "sallyport-secret", "mountPath": SECRETS, "readOnly": True},
            {"name": "sallyport-root", "mountPath": ROOT},
        ],
    }


def unprivileged() -> Object:
    return {
        "runAsUser": USER,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def kustomization(service: Service, surroundings: ClusterSurroundings, sidecar: Sidecar) -> Mapping[str, str]:
    """Files of a kustomize component by name; JSON is YAML too."""
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["config-map.json"],
        "patches": [{"path": "patch.json"}],
    }
    return {
        "kustomization.yaml": written(component),
        "config-map.json": written(config_map(service, surroundings, sidecar)),
        "patch.json": written(patch(service, surroundings, sidecar)),
    }


def machine(service: Service, surroundings: ClusterSurroundings, sidecar: Sidecar, node: str) -> Mapping[str, str]:
    """Files for a machine that runs the service by itself, by the path they belong to."""
    unit = _UNIT.format(service=service.id, settings=SETTINGS, root=ROOT)
    return {
        f"{SETTINGS}/agent.json": written(agent_settings(service, surroundings, sidecar, node)),
        f"{SETTINGS}/redirect.nft": redirection(service),
        "/etc/systemd/system/sallyport-redirect.service": _REDIRECT_UNIT.format(settings=SETTINGS, table=TABLE),
        "/etc/systemd/system/sallyport-door.service": unit,
    }


def written(found: Mapping[str, object]) -> str:
    """As a person reads it, the same bytes each time."""
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


_REDIRECT_UNIT = """\
[Unit]
Description=Sallyport: connections to the application end at its door
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {settings}/redirect.nft
ExecStop=/usr/sbin/nft delete table inet {table}

[Install]
WantedBy=sysinit.target
"""

_UNIT = """\
[Unit]
Description=Sallyport: the door of {service}
Requires=sallyport-redirect.service
After=sallyport-redirect.service network-online.target
Wants=network-online.target

[Service]
User=sallyport
StateDirectory=sallyport
WorkingDirectory=/opt/sallyport
ExecStart=/opt/sallyport/.venv/bin/python -m apps.meshagent --config {settings}/agent.json
Restart=always
RestartSec=1
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ReadWritePaths={root}

[Install]
WantedBy=multi-user.target
"""
