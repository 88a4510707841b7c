"""What the emitters of Kubernetes objects share: names, labels, who is who in a cluster, and the bytes of an object.

An object knows no revision and no time: the same policy is the same bytes in every revision, and what counts is what
runs at the moment the cluster is compiled for (``ClusterSurroundings.at``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from apps.compiler.artifacts import Artifact
from apps.compiler.decide import Entitlement, Pdp
from apps.compiler.graph import AccessGraph, Point, Service, SubjectKind
from apps.compiler.surroundings import ClusterSurroundings

Object = dict[str, Any]
"""A Kubernetes object as its API takes it: apiVersion, kind, metadata and the rest."""

MANAGER = "sallyport"
MANAGED_BY = "app.kubernetes.io/managed-by"
CLUSTER_LABEL = "sallyport.dev/cluster"
SERVICE_LABEL = "sallyport.dev/service"
NAME_LABEL = "app.kubernetes.io/name"
"""By convention a service's pods carry its slug under this label, and its Kubernetes Service has its name."""

LONGEST_NAME = 63
PLURALS = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "Secret": "secrets",
    "Service": "services",
    "NetworkPolicy": "networkpolicies",
    "TrafficTarget": "traffictargets",
    "HTTPRouteGroup": "httproutegroups",
    "TCPRoute": "tcproutes",
    "TrafficSplit": "trafficsplits",
    "RateLimit": "ratelimits",
    "CircuitBreaker": "circuitbreakers",
    "Policy": "policies",
    "VirtualServer": "virtualservers",
    "VirtualServerRoute": "virtualserverroutes",
    "HTTPRoute": "httproutes",
    "ReferenceGrant": "referencegrants",
    "RateLimitPolicy": "ratelimitpolicies",
}
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_ILLEGAL = re.compile(r"[^a-z0-9]+")


class Account(NamedTuple):
    """A ServiceAccount: what a workload is, to Kubernetes."""

    namespace: str
    name: str


def legal_name(text: str, longest: int = LONGEST_NAME) -> str:
    """``text`` where it is a DNS label of that length, else a label made from it that no other text gets."""
    hashed = hashlib.sha256(text.encode()).hexdigest()[:10]
    if _LABEL.fullmatch(text) and len(text) <= longest and not _looks_hashed(text):
        return text
    stem = _ILLEGAL.sub("-", text.lower()).strip("-")[: longest - len(hashed) - 3].rstrip("-")
    return f"{stem or 'x'}-h{hashed}"


def _looks_hashed(text: str) -> bool:
    return re.search(r"-h[0-9a-f]{10}$", text) is not None


def object_name(service: str, suffix: str = "") -> str:
    """``sp-<slug>[-<suffix>]``. The slug and the suffix are told apart even where both hold hyphens."""
    plain = f"sp-{service}-{suffix}" if suffix else f"sp-{service}"
    if _LABEL.fullmatch(service) and len(plain) <= LONGEST_NAME and "-" not in service:
        return legal_name(plain)
    hashed = hashlib.sha256(service.encode()).hexdigest()[:8]
    return legal_name(f"sp-{service}-{hashed}-{suffix}" if suffix else f"sp-{service}-{hashed}")


def service_name(service: str) -> str:
    """The Kubernetes Service in front of a service's pods."""
    return legal_name(service)


def label_value(text: str) -> str:
    return legal_name(text)


def labels(surroundings: ClusterSurroundings, service: str = "") -> dict[str, str]:
    """Those of every object of ours; ``service`` is empty for what services share."""
    found = {MANAGED_BY: MANAGER, CLUSTER_LABEL: label_value(surroundings.cluster)}
    return {**found, SERVICE_LABEL: label_value(service)} if service else found


def handout_labels() -> dict[str, str]:
    """Those of what somebody else applies: without the ones by which the console knows, and removes, its own."""
    return {"app.kubernetes.io/part-of": MANAGER}


def made(version: str, kind: str, namespace: str, name: str, labelled: Mapping[str, str], **body: object) -> Object:
    """One namespaced object; ``body`` is what follows its metadata (``spec``, ``data``)."""
    metadata = {"name": name, "namespace": namespace, "labels": dict(labelled)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def as_artifact(found: Object) -> Artifact:
    """Canonical bytes under ``<namespace or ->/<plural>.<group or core>/<name>.json``."""
    group = found["apiVersion"].rpartition("/")[0] or "core"
    metadata = found["metadata"]
    path = f"{metadata.get('namespace') or '-'}/{PLURALS[found['kind']]}.{group}/{metadata['name']}.json"
    content = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Artifact.of(path, "application/json", content.encode())


def account_of(spiffe_id: str, trust_domain: str) -> Account | None:
    """The ServiceAccount behind ``spiffe://<trust domain>/ns/<namespace>/sa/<account>``; None for any other form."""
    prefix = f"spiffe://{trust_domain}/ns/"
    namespace, _, account = spiffe_id.removeprefix(prefix).partition("/sa/")
    legal = spiffe_id.startswith(prefix) and is_label(namespace) and is_label(account)
    return Account(namespace, account) if legal else None


def is_label(text: str) -> bool:
    """Whether Kubernetes takes it for the name of a namespace, an account or an object of ours."""
    return len(text) <= LONGEST_NAME and _LABEL.fullmatch(text) is not None


def server_account(service: Service, surroundings: ClusterSurroundings) -> Account | None:
    """The account that answers for a service: where its workload says, and in the namespace it says."""
    if service.mesh is None:
        return None
    found = account_of(service.mesh.workload, surroundings.trust_domain)
    return found if found is not None and found.namespace == service.mesh.namespace else None


def caller_account(subject: str, surroundings: ClusterSurroundings) -> Account | None:
    """The account of a workload's subject id; None for anybody else, and for one that Kubernetes cannot see."""
    kind, _, spiffe_id = subject.partition(":")
    return account_of(spiffe_id, surroundings.trust_domain) if kind == SubjectKind.WORKLOAD else None


def ingress_account(surroundings: ClusterSurroundings) -> Account:
    """Who calls, to Kubernetes, when a person or an agent comes through the ingress."""
    namespace, _, account = surroundings.ingress.partition("/")
    return Account(namespace, account)


def entitled(
    graph: AccessGraph, service: Service, surroundings: ClusterSurroundings, point: Point = Point.MESH
) -> tuple[Entitlement, ...]:
    """What runs there at the moment compiled for, guardrails and denials applied. A slice is enough."""
    found = Pdp(graph).entitlements(service.id, surroundings.at)
    return tuple(row for row in found if row.point is point)


def has_doors(surroundings: ClusterSurroundings) -> bool:
    """Whether doors of ours stand before the pods, and the ingress can show who it is and believe whom it reaches."""
    return surroundings.upstream_tls_secret != "" and surroundings.upstream_ca_secret != ""


def asked_at_ingress(surroundings: ClusterSurroundings) -> bool:
    """Whether an ingress asks the verifier about calls from outside, so that there is anything to ask."""
    return bool(surroundings.verifier and surroundings.emitters & {"nic", "gateway"})


class Opening(NamedTuple):
    """``account`` may call ``methods`` of ``route``."""

    account: Account
    route: str
    methods: frozenset[str]


def openings(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> Iterator[Opening]:
    """Who Kubernetes has to let through to a service.

    People and agents stand behind the ingress, so theirs is its account, where the service is exposed at the edge at
    all and there is something to ask: a connection of plain TCP does not say who is behind it. A workload that may call
    the same at both doors may come that way too. One that Kubernetes cannot see has no opening: ``unseen`` names it.
    """
    at_edge = {(row.subject, row.route): row.methods for row in entitled(graph, service, surroundings, Point.EDGE)}
    comes_in = service.edge is not None and not service.is_tcp
    for row in entitled(graph, service, surroundings):
        outside = row.methods
        if row.subject.startswith(f"{SubjectKind.WORKLOAD}:"):
            outside &= at_edge.get((row.subject, row.route), frozenset())
            account = caller_account(row.subject, surroundings)
            if account is not None:
                yield Opening(account, row.route, row.methods)
        if comes_in and outside:
            yield Opening(ingress_account(surroundings), row.route, outside)


def opened(
    graph: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> Mapping[Account, set[tuple[str, str]]]:
    """Routes and methods, by whom they are opened to."""
    found: dict[Account, set[tuple[str, str]]] = defaultdict(set)
    for opening in openings(graph, service, surroundings):
        found[opening.account].update((opening.route, method) for method in opening.methods)
    return found


def unseen(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[str, ...]:
    """Workloads that may call the service, and whose id is not that of a ServiceAccount of this cluster."""
    workloads = {row.subject for row in entitled(graph, service, surroundings)}
    return tuple(
        sorted(
            subject
            for subject in workloads
            if subject.startswith(f"{SubjectKind.WORKLOAD}:") and caller_account(subject, surroundings) is None
        )
    )
