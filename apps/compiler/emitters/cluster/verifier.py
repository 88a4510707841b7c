"""The verifier: the service that an ingress asks about each call. NGINX with our own scripts, as manifests.

What services share (scripts, keys, addresses) is one ConfigMap, and each service's policy another, so that a grant
changes one object. The pod takes a change over by itself, as soon as the kubelet has brought it.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources

from apps.compiler.emitters.cluster.objects import NAME_LABEL, Account, Object, is_label, labels, made, object_name
from apps.compiler.emitters.edgekv import ItemTooLargeError, item_key
from apps.compiler.emitters.nginx import emit_static, policy_maps, upstream_key
from apps.compiler.emitters.nginx_text import Form
from apps.compiler.graph import AccessGraph, Service
from apps.compiler.surroundings import ClusterSurroundings, MeshSurroundings

NAME = "sp-verifier"
TABLES = ("denied.map", "grants.map", "guards.map", "limits.map", "routes.map", "traffic.map")
LARGEST = 1_000_000
"""Bytes of one ConfigMap: the API server takes no more than 1 MiB of one object."""

REPLICAS = 2
USER = 101
_ASSETS = resources.files("apps.compiler.emitters") / "assets" / "verifier"
_TEXTS = {asset.name: asset.read_text() for asset in _ASSETS.iterdir()}


def place(surroundings: ClusterSurroundings) -> tuple[Account, int]:
    """Namespace and name of the verifier's Kubernetes Service, and its port; raises ValueError where there is none."""
    namespace, slash, rest = surroundings.verifier.partition("/")
    name, colon, port = rest.partition(":")
    if not (namespace and slash and name and colon and port.isdecimal()):
        raise ValueError(f"A verifier is namespace/service:port, not '{surroundings.verifier}'.")
    return Account(namespace, name), int(port)


def is_asked(service: Service, surroundings: ClusterSurroundings) -> bool:
    """Whether an ingress has to ask about calls of a service: it is reachable from outside, and there is a verifier.

    A namespace that Kubernetes does not know by that name has nothing in it that could be reached, and an ingress
    leads to no plain TCP.
    """
    there = service.mesh is not None and not service.is_tcp and is_label(service.mesh.namespace)
    return service.edge is not None and there and surroundings.verifier != ""


def address(service: Service, ingress: str) -> str:
    """The path under which an ingress of one kind (``nic`` or ``gateway``) asks about a service."""
    return f"/{ingress}/{upstream_key(service.id)}"


def common(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """Scripts, Deployment and Service. Of the graph only the exposures matter."""
    if not surroundings.verifier:
        return ()
    (namespace, name), port = place(surroundings)
    asked = sorted(service.id for service in graph.services.values() if is_asked(service, surroundings))
    files = _files(graph, surroundings, port)
    told = labels(surroundings)
    selector = {NAME_LABEL: name}
    own = {**told, **selector}
    data = {_key(path): text for path, text in files.items()}
    template = {"metadata": {"labels": own}, "spec": _pod(asked, sorted(files), surroundings, port)}
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": selector}, "template": template}
    ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
    return (
        made("v1", "ConfigMap", namespace, NAME, told, data=data),
        made("apps/v1", "Deployment", namespace, name, own, spec=spec),
        made("v1", "Service", namespace, name, own, spec={"selector": selector, "ports": ports}),
    )


def policy(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """What one service's calls are decided by, with every grant's own times: the verifier knows the clock."""
    if not is_asked(service, surroundings):
        return ()
    (namespace, _), _ = place(surroundings)
    texts = policy_maps(graph, service)
    data = {name: texts.get(name, "") for name in TABLES}
    size = sum(map(len, data.values()))
    if size > LARGEST:
        raise ItemTooLargeError(f"The policy of {service.id} takes {size} bytes; one ConfigMap holds {LARGEST}.")
    told = labels(surroundings, service.id)
    return (made("v1", "ConfigMap", namespace, _policy_name(service.id), told, data=data),)


def _policy_name(service_id: str) -> str:
    return object_name(service_id, "policy")


def _key(path: str) -> str:
    return path.replace("/", "-")


def _mesh(surroundings: ClusterSurroundings) -> MeshSurroundings:
    """The same scripts stand in a mesh of ours; what they ask of a peer there, the ingress asks here."""
    namespace, _, account = surroundings.ingress.partition("/")
    return MeshSurroundings(
        mesh_id=surroundings.cluster,
        console_url=surroundings.console_url,
        ingress_port=0,
        ingress_workload=f"spiffe://{surroundings.trust_domain}/ns/{namespace}/sa/{account}",
        edge_workload="",
        context_keys=surroundings.context_keys,
        context_issuer=surroundings.context_issuer,
        context_audience=surroundings.context_audience,
    )


def _files(graph: AccessGraph, surroundings: ClusterSurroundings, port: int) -> dict[str, str]:
    """By path in the pod."""
    static = {artifact.path: artifact.content.decode() for artifact in emit_static(graph, _mesh(surroundings))}
    shared = {path: text for path, text in static.items() if path in {"mesh.json", "traffic.conf"}}
    scripts = {path: text for path, text in static.items() if path.startswith("js/")}
    values = {"port": str(port), "health_port": str(health_port(port)), "key_set": _key_set(surroundings)}
    return {
        **shared,
        **scripts,
        "js/verifier.js": _TEXTS["verifier.js"],
        "nginx.conf": Form(_TEXTS["nginx.conf"]).substitute(values),
        "start.sh": _TEXTS["start.sh"],
    }


def health_port(port: int) -> int:
    """Where the verifier says that it lives: the port after the one where it is asked."""
    return port + 1


def _key_set(surroundings: ClusterSurroundings) -> str:
    keys = sorted((key.kid, key.spki_pem) for key in surroundings.context_keys)
    names = [surroundings.context_issuer, surroundings.context_audience]
    return hashlib.sha256(json.dumps([keys, names]).encode()).hexdigest()[:16]


def _pod(asked: list[str], files: list[str], surroundings: ClusterSurroundings, port: int) -> dict[str, object]:
    shared: dict[str, object] = {"name": NAME, "items": [{"key": _key(path), "path": path} for path in files]}
    sources = [{"configMap": shared}, *map(_policy_source, asked)]
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(surroundings, port)],
        "volumes": [
            {"name": "conf", "projected": {"sources": sources}},
            {"name": "work", "emptyDir": {"sizeLimit": "128Mi"}},
        ],
    }


def _policy_source(service: str) -> dict[str, object]:
    """One that is not there yet leaves its service closed, and does not keep the pod from starting."""
    items = [{"key": name, "path": f"services/{item_key(service)}/{name}"} for name in TABLES]
    return {"configMap": {"name": _policy_name(service), "items": items, "optional": True}}


def _container(surroundings: ClusterSurroundings, port: int) -> dict[str, object]:
    return {
        "name": "verifier",
        "image": surroundings.verifier_image,
        "command": ["/bin/sh", "/etc/sallyport/start.sh"],
        "ports": [{"name": "http", "containerPort": port}, {"name": "health", "containerPort": health_port(port)}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "health"}, "periodSeconds": 5},
        "livenessProbe": {"tcpSocket": {"port": "health"}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "conf", "mountPath": "/etc/sallyport", "readOnly": True},
            {"name": "work", "mountPath": "/run/sallyport"},
        ],
    }
