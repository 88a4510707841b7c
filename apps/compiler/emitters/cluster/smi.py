"""The policy of one service for NGINX Service Mesh: TrafficTarget, HTTPRouteGroup, TCPRoute, TrafficSplit, RateLimit
and CircuitBreaker.

SMI knows callers by service account and only ever allows. One TrafficTarget holds all that one account may do to one
service; besides stands a target that lets nobody in, so that a service whose last grant ended stays closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain

from apps.compiler.emitters.cluster import treatments
from apps.compiler.emitters.cluster.objects import (
    Account,
    Object,
    asked_at_ingress,
    caller_account,
    labels,
    legal_name,
    made,
    object_name,
    opened,
    server_account,
    service_name,
    unseen,
)
from apps.compiler.emitters.cluster.regexes import NOTHING, Lane, lanes
from apps.compiler.emitters.cluster.traps import Trap, ends_by_console
from apps.compiler.graph import AccessGraph, Point, Service
from apps.compiler.lint import Severity
from apps.compiler.surroundings import ClusterSurroundings
from apps.compiler.words import listed, subject_name

ACCESS = "access.smi-spec.io/v1alpha2"
SPECS = "specs.smi-spec.io/v1alpha3"
SPLIT = "split.smi-spec.io/v1alpha3"
LIMITS = "specs.smi.nginx.com/v1alpha2"
BREAKERS = "specs.smi.nginx.com/v1alpha1"
NOBODY = "sallyport-nobody"
"""An account that must not exist: the source of the target that lets nobody in."""

CLOSED = "closed"


def objects(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """In the order in which they must be applied. Nothing for a service whose account Kubernetes cannot see."""
    server = server_account(service, surroundings)
    if server is None:
        return ()
    if service.is_tcp:
        return (*_tcp_route(service, server, surroundings), *_tcp_targets(graph, service, server, surroundings))
    known = tuple(lanes(service.routes))
    return (
        _route_group(service, server, known, surroundings),
        _closed(service, server, surroundings),
        *_targets(graph, service, server, known, surroundings),
        *_limits(graph, service, server, surroundings),
        *_breakers(graph, service, server, surroundings),
        *_split(graph, service, server, surroundings),
    )


def _tcp_route(service: Service, server: Account, surroundings: ClusterSurroundings) -> Iterator[Object]:
    """It says no more than that it is TCP: in v1alpha3 the port stands in the target."""
    told = labels(surroundings, service.id)
    yield made(SPECS, "TCPRoute", server.namespace, object_name(service.id), told, spec={})


def _tcp_targets(
    graph: AccessGraph, service: Service, server: Account, surroundings: ClusterSurroundings
) -> Iterator[Object]:
    """The one for nobody first, then one per account that may connect."""
    told, destination = labels(surroundings, service.id), {**_party(server), "port": _port(service)}
    rules = [{"kind": "TCPRoute", "name": object_name(service.id)}]
    nobody = Account(server.namespace, NOBODY)
    shut = {"destination": _party(server), "rules": rules, "sources": [_party(nobody)]}
    yield made(ACCESS, "TrafficTarget", server.namespace, object_name(service.id, CLOSED), told, spec=shut)
    for account in sorted(opened(graph, service, surroundings)):
        spec = {"destination": destination, "rules": rules, "sources": [_party(account)]}
        yield made(ACCESS, "TrafficTarget", server.namespace, target_name(service, account), told, spec=spec)


def match_names(lane: Lane) -> tuple[str, ...]:
    """How the paths of a lane are called in the route group."""
    return tuple(legal_name(f"{lane.route}-{lane.method.lower()}-{place}") for place in range(len(lane.patterns)))


def _route_group(service: Service, server: Account, known: Sequence[Lane], surroundings: ClusterSurroundings) -> Object:
    """Only the catalogue changes it, never a grant. The account's port has every route of ours, granted or not."""
    matches = [
        {"name": name, "methods": [lane.method], "pathRegex": pattern}
        for lane in known
        for name, pattern in zip(match_names(lane), lane.patterns, strict=True)
    ]
    matches.append({"name": CLOSED, "methods": ["GET"], "pathRegex": NOTHING})
    told = labels(surroundings, service.id)
    return made(SPECS, "HTTPRouteGroup", server.namespace, object_name(service.id), told, spec={"matches": matches})


def _closed(service: Service, server: Account, surroundings: ClusterSurroundings) -> Object:
    nobody = _party(Account(server.namespace, NOBODY))
    spec = {"destination": _party(server), "rules": [_rule(service, [CLOSED])], "sources": [nobody]}
    told = labels(surroundings, service.id)
    return made(ACCESS, "TrafficTarget", server.namespace, object_name(service.id, CLOSED), told, spec=spec)


def _targets(
    graph: AccessGraph,
    service: Service,
    server: Account,
    known: Sequence[Lane],
    surroundings: ClusterSurroundings,
) -> Iterator[Object]:
    """One per account that may call: all that it may do, most specific first. The account's other ports stay closed."""
    told = labels(surroundings, service.id)
    for account, open_lanes in sorted(opened(graph, service, surroundings).items()):
        names = list(chain.from_iterable(match_names(lane) for lane in known if lane[:2] in open_lanes))
        if names:
            destination = {**_party(server), "port": _port(service)}
            spec = {"destination": destination, "rules": [_rule(service, names)], "sources": [_party(account)]}
            yield made(ACCESS, "TrafficTarget", server.namespace, target_name(service, account), told, spec=spec)


def _port(service: Service) -> int:
    return service.mesh.upstream_port if service.mesh is not None else 0


def target_name(service: Service, account: Account) -> str:
    """Of the TrafficTarget that lets ``account`` in. The digest keeps apart accounts of one name in two namespaces."""
    told = hashlib.sha256(f"{account.namespace}/{account.name}".encode()).hexdigest()[:8]
    return object_name(service.id, f"from-{account.name}-{told}")


def _party(account: Account) -> dict[str, object]:
    return {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}


def _rule(service: Service, names: list[str]) -> dict[str, object]:
    return {"kind": "HTTPRouteGroup", "name": object_name(service.id), "matches": names}


def _limits(
    graph: AccessGraph, service: Service, server: Account, surroundings: ClusterSurroundings
) -> Iterator[Object]:
    """One per workload, since two of the same source and destination are refused: the strictest."""
    told = labels(surroundings, service.id)
    for rule in treatments.workload_limits(graph, service, surroundings):
        account = caller_account(rule.subject, surroundings)
        if account is not None:
            name = object_name(service.id, f"limit-{target_name(service, account).rpartition('-')[2]}")
            spec = {
                "name": name,
                "destination": {"kind": "Service", "name": service_name(service.id), "namespace": server.namespace},
                "sources": [{"kind": "Deployment", "name": account.name, "namespace": account.namespace}],
                "rate": f"{rule.calls_per_minute}r/m",
                "burst": rule.calls_per_minute,
                "delay": "nodelay",
            }
            yield made(LIMITS, "RateLimit", server.namespace, name, told, spec=spec)


def _breakers(
    graph: AccessGraph, service: Service, server: Account, surroundings: ClusterSurroundings
) -> Iterator[Object]:
    """One for each Service that answers: a split leads past the breaker of the Service it divides."""
    rule = treatments.breaker(graph, service, surroundings)
    if rule is None or rule.breaker is None:
        return
    told = labels(surroundings, service.id)
    for version in treatments.versions(graph, service, surroundings):
        answering = service_name(f"{service.id}-{version}" if version else service.id)
        destination = {"kind": "Service", "name": answering, "namespace": server.namespace}
        spec = {
            "destination": destination,
            "errors": rule.breaker.errors,
            "timeoutSeconds": rule.breaker.seconds,
        }
        name = object_name(service.id, f"breaker-{version}" if version else "breaker")
        yield made(BREAKERS, "CircuitBreaker", server.namespace, name, told, spec=spec)


def _breaker_traps(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    if treatments.breaker(graph, service, surroundings) is not None:
        sentence = (
            f"Each caller's sidecar counts the failures of {service.name or service.id} for itself, and only those "
            "that NGINX takes for failed attempts; the load balancing method random cannot have breakers."
        )
        yield Trap("breaker_by_caller", sentence, Severity.NOTE)


def _split(
    graph: AccessGraph, service: Service, server: Account, surroundings: ClusterSurroundings
) -> Iterator[Object]:
    parts = treatments.shares(graph, service, surroundings)
    if parts:
        backends = [
            {"service": service_name(f"{service.id}-{part.variant or treatments.USUAL}"), "weight": part.weight}
            for part in parts
        ]
        spec = {"service": service_name(service.id), "backends": backends}
        told = labels(surroundings, service.id)
        yield made(SPLIT, "TrafficSplit", server.namespace, object_name(service.id), told, spec=spec)


def traps(
    graph: AccessGraph, before: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> tuple[Trap, ...]:
    """What of this change opens or closes more than its sentence says: the first target closes, the last one opens."""
    now = after.services.get(service.id)
    closed_before = _is_closed(before, service, surroundings)
    closed_after = _is_closed(after, service, surroundings)
    return (
        *_mode(service, surroundings, closed_before=closed_before, closed_after=closed_after),
        *(() if now is None else _standing(graph, after, now, surroundings)),
        *ends_by_console(after, service, surroundings.at),
    )


def _is_closed(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> bool:
    found = graph.services.get(service.id)
    return found is not None and server_account(found, surroundings) is not None


def _mode(
    service: Service, surroundings: ClusterSurroundings, *, closed_before: bool, closed_after: bool
) -> Iterator[Trap]:
    name = service.name or service.id
    opens_alone = surroundings.access_control == "allow"
    if opens_alone and closed_after and not closed_before:
        sentence = f"The first target closes {name} to everybody it does not name, whoever called it until now."
        yield Trap("first_target_closes", sentence, Severity.WARNING)
    if opens_alone and closed_before and not closed_after:
        sentence = (
            f"The last targets of {name} go. Without any it would be open to the whole mesh, so one that lets nobody "
            "in is left there: nobody can call it through the mesh until somebody deletes that one by hand."
        )
        yield Trap("last_target_opens", sentence, Severity.ERROR)
    if surroundings.mtls != "strict" and closed_after:
        sentence = (
            f"The mesh takes mTLS as {surroundings.mtls}: a caller may come without a certificate, so that nobody is "
            f"proved and the targets of {name} do not hold."
        )
        yield Trap("identity_unproved", sentence, Severity.ERROR)


def _standing(
    graph: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> Iterator[Trap]:
    yield from _unseen(graph, after, service, surroundings)
    yield from _too_long(service)
    yield from _shared_account(graph, service, surroundings)
    yield from _ingress_unasked(after, service, surroundings)
    counted = treatments.workload_limits(after, service, surroundings)
    yield from treatments.traps(after, service, surroundings, counted, breaks=True)
    yield from _breaker_traps(after, service, surroundings)


def _unseen(
    graph: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> Iterator[Trap]:
    name = service.name or service.id
    if service.mesh is not None and server_account(service, surroundings) is None:
        sentence = (
            f"{name} answers as {service.mesh.workload}, which is no service account of this cluster: no targets."
        )
        yield Trap("server_unseen", sentence, Severity.ERROR)
        return
    callers = unseen(after, service, surroundings)
    if callers:
        names = listed(subject_name(graph, caller) for caller in callers)
        sentence = f"No service account of this cluster: {names}. They may call {name}, but the mesh keeps them out."
        yield Trap("caller_unseen", sentence, Severity.ERROR)


def _too_long(service: Service) -> Iterator[Trap]:
    cut = [] if service.is_tcp else [(lane.method, lane.route) for lane in lanes(service.routes) if lane.too_long]
    templates = {route.id: route.template for route in service.routes}
    if cut:
        names = listed(f"{method} {templates[route]}" for method, route in cut)
        sentence = f"NGINX takes no pattern as long as {names} of {service.name or service.id} needs: it is left out."
        yield Trap("pattern_too_long", f"{sentence} Nobody can call it through the mesh.", Severity.ERROR)


def _shared_account(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    mine = server_account(service, surroundings), _port(service)
    for other in sorted(graph.services.values(), key=lambda one: one.id):
        if (
            other.id != service.id
            and mine[0] is not None
            and mine == (server_account(other, surroundings), _port(other))
        ):
            names = f"{service.name or service.id} and {other.name or other.id}"
            sentence = f"{names} are one account on one port: whoever may call a path of one may call it on the other."
            yield Trap("account_shared", sentence, Severity.ERROR)


def _ingress_unasked(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    """People, or workloads, for whom the ingress is let through: now, or when what they hold begins."""
    comes_in = service.edge is not None and not service.is_tcp
    from_outside = comes_in and any(
        caller_account(grant.subject, surroundings) is None or grant.points == frozenset(Point)
        for grant in graph.grants
        if grant.service == service.id
    )
    if from_outside and not asked_at_ingress(surroundings):
        sentence = (
            "The mesh lets the ingress through to all that anybody outside may do; who it is must be asked at the "
            "ingress, and nothing here asks."
        )
        yield Trap("ingress_unasked", sentence, Severity.ERROR)
