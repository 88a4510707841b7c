"""The estate of the compiler's tests as a cluster sees it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.cluster import emit_common, emit_service
from apps.compiler.emitters.cluster.objects import Object
from apps.compiler.graph import AccessGraph
from apps.compiler.slices import split
from apps.compiler.surroundings import ClusterSurroundings
from tests.agreement.forge import KeyPair
from tests.compiler.estate import HOUR, NIGHT

KEY = KeyPair.of("context-1", 0x3333)
SURROUNDINGS = ClusterSurroundings(
    cluster="blue",
    console_url="https://console.shop.test",
    trust_domain="shop.test",
    emitters=frozenset({"smi", "nic", "gateway"}),
    access_control="allow",
    mtls="strict",
    verifier="sallyport/sp-verifier:8080",
    gateway="gateways/outside",
    tls_secret="host-tls",
    client_ca_secret="edge-ca",
    context_keys=(KEY.verifying,),
    context_issuer="edge:test",
    context_audience="mesh:test",
    at=NIGHT + HOUR,
)


def emitted(graph: AccessGraph, surroundings: ClusterSurroundings = SURROUNDINGS) -> tuple[Artifact, ...]:
    """Everything a cluster gets, each service compiled from its own slice."""
    shards = [one for service, part in split(graph) for one in emit_service(part, service, surroundings)]
    return (*emit_common(graph, surroundings), *shards)


def parsed(artifacts: Iterable[Artifact]) -> tuple[Object, ...]:
    return tuple(json.loads(artifact.content) for artifact in artifacts)


def of_kind(objects: Iterable[Object], kind: str) -> dict[str, Object]:
    """By name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}
