"""Access as Kubernetes NetworkPolicy objects: who may open a connection to a service's pods, and to which port.

Facts from the Kubernetes documentation "Network Policies" (networking.k8s.io/v1): allow only, order-free; a pod is
isolated in a direction once any policy of that direction selects it, so a service without callers has a policy too,
one that lets nobody in. A selector for namespaces and one for pods in the same element means both; two elements mean
either. Only the first form is emitted.

Addresses outside are let in where a service's pods are reached from outside past any ingress, and nowhere else: an
``ipBlock`` stands alone in its element, and knows an address, not who calls. Where the policy leads out it leads to
services; it knows no address outside that anybody may be sent to.

No method, path, person or ServiceAccount can be seen here. A pod is known by its namespace and its label
``app.kubernetes.io/name``: a service's slug, and where it calls, the name of its account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from apps.compiler.emitters.cluster.objects import (
    NAME_LABEL,
    Account,
    Object,
    handout_labels,
    has_doors,
    label_value,
    labels,
    made,
    object_name,
    openings,
    server_account,
    service_name,
    unseen,
)
from apps.compiler.emitters.cluster.traps import Trap, ends_by_console
from apps.compiler.graph import AccessGraph, Service
from apps.compiler.lint import Severity
from apps.compiler.surroundings import ClusterSurroundings
from apps.compiler.words import listed
from apps.compiler.words import service_name as spoken

VERSION, KIND = "networking.k8s.io/v1", "NetworkPolicy"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Kubernetes itself puts it on every namespace."""

DNS: Object = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
"""Without names nobody finds a service: where a namespace may send nothing out, this comes with what it may."""

ROUTE_CHECKERS = frozenset({"smi"})
"""Emitters beside which somebody looks at methods and paths of every call between pods."""


def objects(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    """One policy where the service is, and one in each namespace of its callers that is closed towards the outside."""
    if service.mesh is None or server_account(service, surroundings) is None:
        return ()
    callers = callers_of(graph, service, surroundings)
    shut: dict[str, list[Account]] = defaultdict(list)
    for account in callers:
        if account.namespace in surroundings.isolated:
            shut[account.namespace].append(account)
    out = (_egress(service, namespace, own, surroundings) for namespace, own in sorted(shut.items()))
    return (_ingress(service, callers, surroundings), *out)


def callers_of(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Account, ...]:
    """The accounts that may reach the service's port, in order. ``graph`` may be a slice."""
    return tuple(sorted({opening.account for opening in openings(graph, service, surroundings)}))


def baseline(namespace: str, *, egress: bool = False) -> Object:
    """Nothing may enter the namespace's pods, with ``egress`` nor leave them, unless another policy says so.

    Never emitted by itself: an administrator puts it in force, knowing what else runs in the namespace.
    """
    kinds = ["Ingress", "Egress"] if egress else ["Ingress"]
    spec = {"podSelector": {}, "policyTypes": kinds}
    return made(VERSION, KIND, namespace, "sallyport-baseline", handout_labels(), spec=spec)


def _ingress(service: Service, callers: Sequence[Account], surroundings: ClusterSurroundings) -> Object:
    """Without a rule nobody is let in; a rule without ``from`` would let everybody in."""
    blocks = [{"ipBlock": {"cidr": block}} for block in surroundings.outside.get(service.id, ())]
    peers = [*(_pods(account) for account in callers), *blocks]
    rules = [{"from": peers, "ports": _ports(service, surroundings)}] if peers else []
    spec = {"podSelector": _own(service), "policyTypes": ["Ingress"], "ingress": rules}
    return _policy(_namespace(service), object_name(service.id), service, surroundings, spec)


def _egress(service: Service, namespace: str, callers: Iterable[Account], surroundings: ClusterSurroundings) -> Object:
    names = sorted({label_value(account.name) for account in callers})
    there = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: _namespace(service)}},
        "podSelector": _own(service),
    }
    spec = {
        "podSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": names}]},
        "policyTypes": ["Egress"],
        "egress": [{"to": [there], "ports": _ports(service, surroundings)}, DNS],
    }
    return _policy(namespace, object_name(service.id, "out"), service, surroundings, spec)


def _policy(
    namespace: str, name: str, service: Service, surroundings: ClusterSurroundings, spec: Mapping[str, object]
) -> Object:
    return made(VERSION, KIND, namespace, name, labels(surroundings, service.id), spec=spec)


def _pods(account: Account) -> Object:
    """One element: pods of that label in that namespace, and no others."""
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: account.namespace}},
        "podSelector": {"matchLabels": {NAME_LABEL: label_value(account.name)}},
    }


def _own(service: Service) -> Object:
    return {"matchLabels": {NAME_LABEL: service_name(service.id)}}


def _ports(service: Service, surroundings: ClusterSurroundings) -> list[Object]:
    """Ports of the pod, not of its Service: the usual version's and those of the versions beside it.

    Where doors of ours stand before the pods, theirs as well: the ingress calls them there. A door asks everybody.
    """
    usual = [] if service.mesh is None else [service.mesh.upstream_port]
    if service.mesh is not None and has_doors(surroundings):
        usual.append(service.mesh.port)
    numbers = {*usual, *(variant.upstream_port for variant in service.variants)}
    return [{"protocol": "TCP", "port": number} for number in sorted(numbers)]


def _namespace(service: Service) -> str:
    return "" if service.mesh is None else service.mesh.namespace


def traps(
    graph: AccessGraph, before: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> tuple[Trap, ...]:
    """``service`` as it is after the change, or was before it where it is gone."""
    was, now = (_applies(part, service.id, surroundings) for part in (before, after))
    found = [*_of_selection(was, now, service, after, surroundings)]
    if now is None:
        return (*found, *_not_expressed(service, after, surroundings))
    ends = ends_by_console(after, now, surroundings.at)
    found += [*_of_labels(now, surroundings), *_of_others(graph, after, now, surroundings)]
    return (*found, *_of_callers(after, now, surroundings), *_of_addresses(now, surroundings), *ends)


def _applies(part: AccessGraph, service_id: str, surroundings: ClusterSurroundings) -> Service | None:
    """The service if it has a policy."""
    found = part.services.get(service_id)
    return found if found is not None and server_account(found, surroundings) is not None else None


def _of_selection(
    was: Service | None, now: Service | None, service: Service, after: AccessGraph, surroundings: ClusterSurroundings
) -> Iterator[Trap]:
    name = spoken(after, service.id)
    if was is None and now is not None:
        callers = [f"{one.namespace}/{one.name}" for one in callers_of(after, now, surroundings)]
        callers += surroundings.outside.get(now.id, ())
        left = f"only {listed(callers)} can" if callers else "nobody can"
        ports = listed(str(port["port"]) for port in _ports(now, surroundings))
        sentence = (
            f"The first NetworkPolicy isolates the pods of {name}: {left} connect to them, on port {ports}; "
            "whoever else does today, and every other port, is cut off."
        )
        yield Trap("netpol_isolates", sentence)
        yield Trap(
            "netpol_unenforced",
            "A NetworkPolicy does nothing where the cluster's network plugin does not enforce it. "
            "Believe it when a probe that must be refused was refused.",
            Severity.NOTE,
        )
    if was is not None and now is None:
        sentence = (
            f"{name} has no NetworkPolicy any more: unless a baseline stands there, everybody can reach its pods."
        )
        yield Trap("netpol_reopens", sentence)


def _not_expressed(service: Service, after: AccessGraph, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    found = after.services.get(service.id)
    if found is not None and found.mesh is not None:
        sentence = (
            f"{spoken(after, found.id)} answers as {found.mesh.workload}, which is no ServiceAccount of "
            f"{surroundings.trust_domain} in {found.mesh.namespace}: it gets no NetworkPolicy."
        )
        yield Trap("netpol_foreign_service", sentence, Severity.ERROR)


def _of_labels(service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    account = server_account(service, surroundings)
    if account is not None and account.name != service_name(service.id):
        sentence = (
            f"Pods of {service.name or service.id} are labelled {service_name(service.id)} and run as {account.name}. "
            "A NetworkPolicy sees the label alone, so where they call others they are not known."
        )
        yield Trap("netpol_label_differs", sentence, Severity.ERROR)


def _of_others(
    graph: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> Iterator[Trap]:
    """Services whose pods carry the label by which a caller is known, and which are not that caller."""
    callers = {(one.namespace, label_value(one.name)): one for one in callers_of(after, service, surroundings)}
    for other in sorted(graph.services.values(), key=lambda one: one.id):
        meant = callers.get((_namespace(other), service_name(other.id)))
        if meant is not None and server_account(other, surroundings) not in (None, meant):
            sentence = (
                f"{meant.namespace}/{meant.name} is known by the label {label_value(meant.name)}, which pods of "
                f"{other.name or other.id} carry too: they can connect to {spoken(after, service.id)} as well."
            )
            yield Trap("netpol_label_taken", sentence, Severity.ERROR)


def _of_addresses(service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    """What an address does not say, and whose address a pod sees."""
    if service.id not in surroundings.outside:
        return
    name, blocks = service.name or service.id, surroundings.outside[service.id]
    if not blocks:
        sentence = f"Nobody outside reaches the pods of {name}: no address is open at its host, or no list guards it."
        yield Trap("netpol_no_address", sentence, Severity.NOTE)
        return
    guarded = has_doors(surroundings)
    asks = "The door beside the pods asks who." if guarded else "Nothing else in this cluster asks who."
    sentence = f"Whoever comes from {listed(blocks)} can connect to {name}: an address is not an identity. {asks}"
    yield Trap("netpol_address_alone", sentence, Severity.NOTE if guarded else Severity.WARNING)
    yield Trap(
        "netpol_translated",
        f"Pods of {name} see a caller's own address only if nobody stands in for it. Behind a balancer, an ingress "
        "or a node (externalTrafficPolicy: Cluster) they see that one's: then these addresses match nobody, and a "
        "block that holds the node's lets everybody in.",
    )


def _of_callers(after: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Trap]:
    name = spoken(after, service.id)
    for subject in unseen(after, service, surroundings):
        sentence = f"{subject} may call {name}, but is no ServiceAccount of this cluster: its packets are dropped."
        yield Trap("netpol_unseen_caller", sentence, Severity.ERROR)
    wide = sorted(_reach_more(after, service, surroundings))
    if wide:
        checked = bool(ROUTE_CHECKERS & surroundings.emitters or has_doors(surroundings))
        who = listed(f"{one.namespace}/{one.name}" for one in wide)
        last = "The sidecar checks routes." if checked else "Nothing else in this cluster checks routes."
        sentence = f"{who} may call some routes of {name} only; the port is open to them for all. {last}"
        yield Trap("netpol_whole_port", sentence, Severity.NOTE if checked else Severity.WARNING)


def _reach_more(after: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Account]:
    """Callers to whom the port opens more than their grants do."""
    everything = {(route.id, method) for route in service.routes for method in route.methods}
    held: dict[Account, set[tuple[str, str]]] = defaultdict(set)
    for opening in openings(after, service, surroundings):
        held[opening.account].update((opening.route, method) for method in opening.methods)
    yield from (account for account, ways in held.items() if ways != everything)
