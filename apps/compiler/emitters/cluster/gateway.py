"""The way in through NGINX Gateway Fabric: one HTTPRoute per service, asked about at the verifier (``ExternalAuth``).

The filter of the gateway's own tokens (AuthenticationFilter) reads the Authorization header only, which belongs to the
caller's own token; the edge's context token stands in a header of its own, so it is the verifier that reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from apps.compiler.emitters.cluster import treatments, verifier
from apps.compiler.emitters.cluster.objects import Account, Object, has_doors, labels, made, object_name, service_name
from apps.compiler.emitters.cluster.outside import (
    SPOKEN_IN_OUR_NAME,
    TELLING,
    TOKEN_HEADER,
    exposed,
    host_of,
    traps_with,
)
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.graph import AccessGraph, EdgeExposure, MeshExposure, Service
from apps.compiler.lint import Severity
from apps.compiler.surroundings import ClusterSurroundings

GATEWAY = "gateway.networking.k8s.io/v1"
GRANTS = "gateway.networking.k8s.io/v1beta1"
FABRIC = "gateway.nginx.org/v1alpha1"
CONSENT = "sp-may-ask"
"""The ReferenceGrant that lets routes of other namespaces ask the verifier."""


def objects(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """In the order in which they must be applied."""
    if service.edge is None or service.mesh is None or not _stands(service, surroundings):
        return ()
    told, name = labels(surroundings, service.id), object_name(service.id)
    gateway = _gateway(surroundings)
    rule: dict[str, object] = {
        "matches": [{"path": {"type": "PathPrefix", "value": service.edge.base_path or "/"}}],
        "filters": list(_filters(service, service.edge, surroundings)),
        "backendRefs": _backends(graph, service, service.mesh, surroundings),
    }
    spec = {
        "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
        "hostnames": [host_of(service.edge)],
        "rules": [rule],
    }
    route = made(GATEWAY, "HTTPRoute", service.mesh.namespace, name, told, spec=spec)
    return (
        *verifier.policy(graph, service, surroundings),
        route,
        *_brake(graph, service, service.mesh, surroundings),
    )


def _stands(service: Service, surroundings: ClusterSurroundings) -> bool:
    return verifier.is_asked(service, surroundings) and surroundings.gateway != ""


def _gateway(surroundings: ClusterSurroundings) -> Account:
    """Namespace and name of the Gateway."""
    namespace, _, name = surroundings.gateway.partition("/")
    return Account(namespace, name)


def _filters(service: Service, edge: EdgeExposure, surroundings: ClusterSurroundings) -> Iterator[dict[str, object]]:
    (namespace, name), port = verifier.place(surroundings)
    yield {
        "type": "ExternalAuth",
        "externalAuth": {
            "protocol": "HTTP",
            "backendRef": {"name": name, "namespace": namespace, "port": port},
            "http": {
                "path": verifier.address(service, "gateway"),
                "allowedHeaders": [TOKEN_HEADER, "X-Request-Id"],
                "allowedResponseHeaders": list(TELLING),
            },
        },
    }
    taken = sorted({*SPOKEN_IN_OUR_NAME, TOKEN_HEADER})
    yield {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": taken}}
    if edge.base_path:
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
        yield {"type": "URLRewrite", "urlRewrite": {"path": path}}


def _backends(
    graph: AccessGraph, service: Service, mesh: MeshExposure, surroundings: ClusterSurroundings
) -> list[dict[str, object]]:
    parts = treatments.shares(graph, service, surroundings)
    if not parts:
        return [{"name": service_name(service.id), "port": mesh.upstream_port}]
    return [
        {
            "name": service_name(f"{service.id}-{part.variant or treatments.USUAL}"),
            "port": mesh.upstream_port,
            "weight": part.weight,
        }
        for part in parts
    ]


def _brake(
    graph: AccessGraph, service: Service, mesh: MeshExposure, surroundings: ClusterSurroundings
) -> Iterator[Object]:
    """Looser than the rule, which the verifier counts exactly: it spares the verifier, and answers 429."""
    rule = treatments.brake(graph, service, surroundings)
    if rule is None or rule.calls_per_minute is None:
        return
    most = rule.calls_per_minute
    limit = {"rate": f"{most}r/m", "key": "$http_txn_token", "zoneSize": "10m", "burst": 2 * most, "noDelay": True}
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": object_name(service.id)}
    spec = {"targetRefs": [route], "rateLimit": {"local": {"rules": [limit]}, "rejectCode": 429}}
    told = labels(surroundings, service.id)
    yield made(FABRIC, "RateLimitPolicy", mesh.namespace, object_name(service.id, "brake"), told, spec=spec)


def common(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """The verifier, and its consent to be asked from the namespaces of services."""
    if not surroundings.verifier:
        return ()
    (namespace, name), _ = verifier.place(surroundings)
    found = exposed(graph, surroundings)
    elsewhere = sorted({one.mesh.namespace for one in found if one.mesh is not None} - {namespace})
    sources = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": other} for other in elsewhere]
    spec = {"from": sources, "to": [{"group": "", "kind": "Service", "name": name}]}
    told = labels(surroundings)
    consent = (made(GRANTS, "ReferenceGrant", namespace, CONSENT, told, spec=spec),) if sources else ()
    return (*verifier.common(graph, surroundings), *consent)


def _own(after: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    if not verifier.is_asked(service, surroundings):
        return
    name = service.name or service.id
    if not surroundings.gateway:
        yield Trap("no_gateway", f"No Gateway is named, so {name} is not reached from outside.", Severity.ERROR)
        return
    sentence = "Who may bring context tokens is up to the Gateway: let it ask for the edge's client certificate."
    yield Trap("edge_unproved", sentence, Severity.WARNING)
    if has_doors(surroundings):
        sentence = f"A door before the pods of {name} turns this gateway away, which shows it no certificate."
        yield Trap("door_shut", sentence, Severity.ERROR)
    counted = treatments.running(after, service, surroundings)
    yield from treatments.traps(after, service, surroundings, counted)


traps = traps_with(_own)
