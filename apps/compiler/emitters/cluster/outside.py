"""What the ingress emitters share: addresses, what no caller may say in our name, and the traps of any ingress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from apps.compiler.emitters.cluster import treatments, verifier
from apps.compiler.emitters.cluster.objects import has_doors, is_label
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.graph import AccessGraph, EdgeExposure, Service
from apps.compiler.lint import Severity
from apps.compiler.surroundings import ClusterSurroundings

Own = Callable[[AccessGraph, Service, ClusterSurroundings], Iterator[Trap]]
Told = Callable[[AccessGraph, AccessGraph, AccessGraph, Service, ClusterSurroundings], tuple[Trap, ...]]

TOKEN_HEADER = "Txn-Token"  # noqa: S105 - the name of a header
TELLING = ("X-Sallyport-Subject", "X-Sallyport-Actor", "X-Sallyport-Grant")
"""What our doors tell an application about a call."""

SPOKEN_IN_OUR_NAME = (
    "Forwarded",
    "Remote-User",
    "X-Client-Cert",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-User",
    "X-HTTP-Method-Override",
    "X-Original-URL",
    "X-Remote-User",
    "X-Rewrite-URL",
    "X-Sallyport-Probe",
)
"""Headers that no caller may bring to an application. An ingress knows no families of names, so these are listed."""


def exposed(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Service, ...]:
    """The services an ingress stands before, in order of id."""
    found = (service for service in graph.services.values() if verifier.is_asked(service, surroundings))
    return tuple(sorted(found, key=lambda service: service.id))


def host_of(edge: EdgeExposure) -> str:
    return edge.host.lower()


def jwks(surroundings: ClusterSurroundings) -> str:
    """The public keys of context tokens, as one JSON Web Key Set."""
    keys = sorted(surroundings.context_keys, key=lambda key: key.kid)
    found = [{**key.jwk, "kid": key.kid, "alg": "ES256", "use": "sig"} for key in keys]
    return json.dumps({"keys": found}, sort_keys=True, separators=(",", ":"))


def traps_with(own: Own) -> Told:
    """The traps of an ingress: what holds for either, then what is its ``own``; nothing where the service is gone."""

    def traps(
        graph: AccessGraph, before: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
    ) -> tuple[Trap, ...]:
        now = after.services.get(service.id)
        if now is None:
            return ()
        return (*_of_either(graph, after, now, surroundings), *own(after, now, surroundings))

    return traps


def _of_either(
    graph: AccessGraph, after: AccessGraph, service: Service, surroundings: ClusterSurroundings
) -> Iterator[Trap]:
    """``service`` is the one after the change."""
    name = service.name or service.id
    if service.is_tcp:
        sentence = f"{name} is plain TCP, which this ingress is not asked to let in: nothing here is about it."
        yield Trap("tcp_left_out", sentence, Severity.NOTE)
        return
    if service.edge is None or service.mesh is None:
        return
    if not surroundings.verifier:
        yield Trap("no_verifier", f"No verifier is named, so nothing lets anybody in to {name}.", Severity.ERROR)
        return
    if not is_label(service.mesh.namespace):
        yield Trap(
            "no_namespace", f"{name} stands in '{service.mesh.namespace}', which is no namespace.", Severity.ERROR
        )
        return
    yield from _same_address(graph, service)
    if "smi" not in surroundings.emitters and not has_doors(surroundings):
        sentence = f"The ingress asks about calls to {name}; whoever reaches its pods past the ingress is not asked."
        yield Trap("pods_unguarded", sentence, Severity.WARNING)
    if any(treatments.limited(rule) for rule in treatments.running(after, service, surroundings)):
        sentence = f"Each of {verifier.REPLICAS} verifiers counts the calls of a minute for itself."
        yield Trap("counted_apart", sentence, Severity.NOTE)


def _same_address(graph: AccessGraph, service: Service) -> Iterator[Trap]:
    for other in sorted(graph.services.values(), key=lambda one: one.id):
        if other.id == service.id or other.edge is None or service.edge is None:
            continue
        if (host_of(other.edge), other.edge.base_path) == (host_of(service.edge), service.edge.base_path):
            sentence = (
                f"{service.name or service.id} and {other.name or other.id} have one address: neither is reached."
            )
            yield Trap("address_shared", sentence, Severity.ERROR)
