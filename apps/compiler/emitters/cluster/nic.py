"""The way in through NGINX Ingress Controller: one VirtualServer per host, one VirtualServerRoute and its policies per
service. Every call is asked about at the verifier (``externalAuth``); raw configuration is never emitted.

The controller tells an external verifier nothing of the call but its headers, and those are the caller's. So method and
path stand in the address that is asked: NGINX fills its variables in there, out of the caller's reach.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from apps.compiler.emitters.cluster import treatments, verifier
from apps.compiler.emitters.cluster.objects import Object, has_doors, labels, made, object_name, service_name
from apps.compiler.emitters.cluster.outside import (
    SPOKEN_IN_OUR_NAME,
    TELLING,
    TOKEN_HEADER,
    exposed,
    host_of,
    jwks,
    traps_with,
)
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.emitters.nginx import server_name
from apps.compiler.graph import AccessGraph, Breaker, EdgeExposure, MeshExposure, Service
from apps.compiler.lint import Severity
from apps.compiler.surroundings import ClusterSurroundings

GROUP = "k8s.nginx.org/v1"
CLIENTS = "sp-clients"
"""The policy that asks for client certificates, beside the virtual servers."""

_USUAL = "usual"
_DEEPEST_CHAIN = 3


def objects(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """In the order in which they must be applied."""
    if service.edge is None or service.mesh is None or not verifier.is_asked(service, surroundings):
        return ()
    policies = tuple(_policies(graph, service, service.mesh, surroundings))
    names = [{"name": one["metadata"]["name"]} for one in policies if one["kind"] == "Policy"]
    routes = _routes(graph, service, service.edge, service.mesh, names, surroundings)
    return (*verifier.policy(graph, service, surroundings), *policies, *routes)


def _policies(
    graph: AccessGraph, service: Service, mesh: MeshExposure, surroundings: ClusterSurroundings
) -> Iterator[Object]:
    """Each exactly one thing, and all of them for where calls are answered: a nearer level drops a farther one's."""
    told, kind = labels(surroundings, service.id), surroundings.ingress_class

    def made_policy(suffix: str, **thing: object) -> Object:
        name = object_name(service.id, suffix)
        return made(GROUP, "Policy", mesh.namespace, name, told, spec={"ingressClassName": kind, **thing})

    (namespace, name), port = verifier.place(surroundings)
    asking = {
        "authURI": f"{verifier.address(service, 'nic')}/$request_method$request_uri",
        "authServiceName": f"{namespace}/{name}",
        "authServicePorts": [port],
    }
    yield made_policy("verify", externalAuth=asking)
    if surroundings.plus:
        keys = object_name(service.id, "keys")
        yield made(
            "v1", "Secret", mesh.namespace, keys, told, type="nginx.org/jwk", stringData={"jwk": jwks(surroundings)}
        )
        yield made_policy("token", jwt={"realm": "sallyport", "secret": keys, "token": "$http_txn_token"})
    if has_doors(surroundings):
        yield made_policy("upstream", egressMTLS=_upstream_tls(mesh, surroundings))
    rule = treatments.brake(graph, service, surroundings)
    if rule is not None and rule.calls_per_minute is not None:
        yield made_policy("brake", rateLimit=_brake(rule.calls_per_minute))


def _upstream_tls(mesh: MeshExposure, surroundings: ClusterSurroundings) -> dict[str, object]:
    return {
        "tlsSecret": surroundings.upstream_tls_secret,
        "trustedCertSecret": surroundings.upstream_ca_secret,
        "verifyServer": True,
        "verifyDepth": _DEEPEST_CHAIN,
        "serverName": True,
        "sslName": server_name(mesh.workload),
    }


def _brake(most: int) -> dict[str, object]:
    """Looser than the rule, which the verifier counts exactly: it spares the verifier, and answers 429."""
    return {
        "rate": f"{most}r/m",
        "key": "${http_txn_token}",
        "zoneSize": "10M",
        "burst": 2 * most,
        "noDelay": True,
        "rejectCode": 429,
    }


def _routes(
    graph: AccessGraph,
    service: Service,
    edge: EdgeExposure,
    mesh: MeshExposure,
    policies: list[dict[str, str]],
    surroundings: ClusterSurroundings,
) -> Iterator[Object]:
    told = labels(surroundings, service.id)
    for suffix, path in paths_of(edge):
        subroute = {"path": path, "policies": policies, **_action(graph, service, edge, surroundings)}
        spec = {
            "host": host_of(edge),
            "ingressClassName": surroundings.ingress_class,
            "upstreams": _upstreams(graph, service, mesh, surroundings),
            "subroutes": [subroute],
        }
        name = object_name(service.id, suffix)
        yield made(GROUP, "VirtualServerRoute", mesh.namespace, name, told, spec=spec)


def paths_of(edge: EdgeExposure) -> tuple[tuple[str, str], ...]:
    """Suffixes of the routes of a service, and their paths. A base path means whole segments, which a prefix without a
    slash at its end would not.
    """
    return (("", f"{edge.base_path}/"), ("base", f"={edge.base_path}")) if edge.base_path else (("", "/"),)


def _upstreams(
    graph: AccessGraph, service: Service, mesh: MeshExposure, surroundings: ClusterSurroundings
) -> list[dict[str, object]]:
    parts = treatments.shares(graph, service, surroundings)
    if not parts:
        found = [_upstream(_USUAL, service_name(service.id), mesh, surroundings)]
    else:
        found = [
            _upstream(
                part.variant or _USUAL,
                service_name(f"{service.id}-{part.variant or treatments.USUAL}"),
                mesh,
                surroundings,
            )
            for part in parts
        ]
    rule = treatments.breaker(graph, service, surroundings)
    breaker = None if rule is None else rule.breaker
    return found if breaker is None else [{**one, **_patience(breaker)} for one in found]


def _patience(breaker: Breaker) -> dict[str, object]:
    """As near as an upstream comes to a breaker: pods that cannot be reached are passed over, each by itself."""
    return {"max-fails": breaker.errors, "fail-timeout": f"{breaker.seconds}s"}


def _upstream(name: str, target: str, mesh: MeshExposure, surroundings: ClusterSurroundings) -> dict[str, object]:
    if not has_doors(surroundings):
        return {"name": name, "service": target, "port": mesh.upstream_port}
    return {"name": name, "service": target, "port": mesh.port, "tls": {"enable": True}}


def _action(
    graph: AccessGraph, service: Service, edge: EdgeExposure, surroundings: ClusterSurroundings
) -> dict[str, object]:
    parts = treatments.shares(graph, service, surroundings)
    if len(parts) < 2:
        return {"action": _proxy(parts[0].variant or _USUAL if parts else _USUAL, edge, surroundings)}
    splits = [{"weight": part.weight, "action": _proxy(part.variant or _USUAL, edge, surroundings)} for part in parts]
    return {"splits": splits}


def _proxy(upstream: str, edge: EdgeExposure, surroundings: ClusterSurroundings) -> dict[str, object]:
    """The context token goes on to a sidecar of ours, which asks again, and to nobody else."""
    taken = sorted({*SPOKEN_IN_OUR_NAME, *TELLING} | (set() if has_doors(surroundings) else {TOKEN_HEADER}))
    headers = {"pass": True, "set": [{"name": name, "value": ""} for name in taken]}
    rewrite = {"rewritePath": "/"} if edge.base_path else {}
    return {"proxy": {"upstream": upstream, "requestHeaders": headers, **rewrite}}


def common(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """The verifier, the question for client certificates, and a virtual server per host."""
    if not surroundings.verifier:
        return ()
    (namespace, _), _ = verifier.place(surroundings)
    told, kind = labels(surroundings), surroundings.ingress_class
    by_host: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for service in exposed(graph, surroundings):
        if service.edge is not None and service.mesh is not None:
            for suffix, path in paths_of(service.edge):
                route = f"{service.mesh.namespace}/{object_name(service.id, suffix)}"
                by_host[host_of(service.edge)].append((path, route))
    clients = {"clientCertSecret": surroundings.client_ca_secret, "verifyClient": "on", "verifyDepth": _DEEPEST_CHAIN}
    spec = {"ingressClassName": kind, "ingressMTLS": clients}
    asked = (made(GROUP, "Policy", namespace, CLIENTS, told, spec=spec),) if _asks_clients(surroundings) else ()
    servers = (_server(host, routes, namespace, surroundings) for host, routes in sorted(by_host.items()))
    return (*verifier.common(graph, surroundings), *asked, *servers)


def _asks_clients(surroundings: ClusterSurroundings) -> bool:
    return surroundings.tls_secret != "" and surroundings.client_ca_secret != ""


def _server(host: str, routes: list[tuple[str, str]], namespace: str, surroundings: ClusterSurroundings) -> Object:
    spec: dict[str, object] = {
        "host": host,
        "ingressClassName": surroundings.ingress_class,
        "routes": [{"path": path, "route": route} for path, route in sorted(routes)],
    }
    if surroundings.tls_secret:
        spec["tls"] = {"secret": surroundings.tls_secret}
    if _asks_clients(surroundings):
        spec["policies"] = [{"name": CLIENTS}]
    return made(GROUP, "VirtualServer", namespace, object_name(host, "host"), labels(surroundings), spec=spec)


def _own(after: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    if not verifier.is_asked(service, surroundings):
        return
    name = service.name or service.id
    if not _asks_clients(surroundings):
        sentence = f"Nothing asks who brings a context token to {name}: name a certificate and the edge's authority."
        yield Trap("edge_unproved", sentence, Severity.ERROR)
    if not surroundings.plus:
        sentence = "NGINX Plus could check a token's signature before the verifier is asked; this controller does not."
        yield Trap("plus_only", sentence, Severity.NOTE)
    yield Trap(
        "not_told", f"{name} is not told who calls: this ingress passes nothing on from a verifier.", Severity.NOTE
    )
    counted = treatments.running(after, service, surroundings)
    yield from treatments.traps(after, service, surroundings, counted, breaks=True)
    if treatments.breaker(after, service, surroundings) is not None:
        sentence = (
            f"The ingress passes over each pod of {name} by itself, counts only connections that fail or run out of "
            "time, never leaves the last pod alone, and sends the call to another pod instead of turning it away."
        )
        yield Trap("breaker_by_pod", sentence, Severity.WARNING)


traps = traps_with(_own)
