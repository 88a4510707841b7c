"""What a target knows besides the graph: keys, names, addresses. Given to the emitters, never read by decide()."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A P-256 public key: ``jwk`` has kty, crv, x, y (base64url); ``spki_pem`` is the same key as PEM."""

    kid: str
    jwk: Mapping[str, str]
    spki_pem: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A P-256 private key for ES256; ``jwk`` has kty, crv, x, y, d."""

    kid: str
    jwk: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EdgeSurroundings:
    """``salt`` keys the subject hashes of the EdgeKV items; ``namespace`` is the EdgeKV namespace they live in.

    ``kv_token_ref`` names (by reference, it is no secret in itself) the EdgeKV access token that reads them; an account
    of the older kind has the token itself, ``kv_token_value``, instead. ``edge_url`` is where browsers find a host.
    """

    issuer: str
    audience: str
    token_keys: tuple[VerifyKey, ...]
    context_issuer: str
    context_audience: str
    context_key: SigningKey
    salt: str
    namespace: str
    console_url: str
    kv_token_ref: str = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a reference, not the token
    edge_url: str = "https://{host}"
    kv_token_value: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class MeshSurroundings:
    """``identities`` maps the lower-case hex SHA-1 fingerprint of an issued certificate to its SPIFFE id.

    ``listen`` is where doors listen on their nodes: an IPv4 address, or ``*`` where callers are on other machines.

    ``ingress_workload`` and ``edge_workload`` are the SPIFFE ids of the ingress and of the edge's client certificate.
    """

    mesh_id: str
    console_url: str
    ingress_port: int
    ingress_workload: str
    edge_workload: str
    context_keys: tuple[VerifyKey, ...]
    context_issuer: str
    context_audience: str
    identities: Mapping[str, str] = field(default_factory=dict)
    listen: str = LOOPBACK


@dataclass(frozen=True, slots=True)
class ClusterSurroundings:
    """A Kubernetes cluster as an operator described it. ``emitters`` are those of ``CLUSTER_EMITTERS`` it takes.

    ``access_control`` (``allow`` or ``deny``) and ``mtls`` (``off``, ``permissive`` or ``strict``) are the modes of an
    NGINX Service Mesh. ``plus`` tells whether the ingress controller runs NGINX Plus. ``verifier`` is our verifier's
    ``namespace/service:port``, ``gateway`` the ``namespace/name`` of a Gateway, ``ingress_class`` the class of the
    ingress controller, ``tls_secret`` and ``client_ca_secret`` names of Secrets beside each VirtualServer.
    ``isolated`` are namespaces whose pods may send nothing out unless a policy says so. ``at`` is the moment compiled
    for: objects know no time, so what has not started by then or has ended is not in them (at 0 nothing has started).
    ``ingress`` is the controller's ``namespace/service account``, and ``verifier_image`` an NGINX with njs.
    ``upstream_tls_secret`` and ``upstream_ca_secret`` are Secrets beside each service: what the ingress shows and
    trusts where sidecars of ours stand before the pods; without them it speaks to the pods themselves.
    ``outside`` are blocks of addresses, by service, from which its pods are reached past any ingress: those whose host
    is guarded and which somebody opened, at ``at``. A service that is reached so and opened to none has an empty tuple.
    """

    cluster: str
    console_url: str
    trust_domain: str
    emitters: frozenset[str] = frozenset()
    access_control: str = "allow"
    mtls: str = "permissive"
    plus: bool = False
    verifier: str = ""
    gateway: str = ""
    ingress_class: str = "nginx"
    tls_secret: str = ""
    client_ca_secret: str = ""
    isolated: frozenset[str] = frozenset()
    context_keys: tuple[VerifyKey, ...] = ()
    context_issuer: str = ""
    context_audience: str = ""
    at: int = 0
    ingress: str = "nginx-ingress/nginx-ingress"
    verifier_image: str = "nginxinc/nginx-unprivileged:1.29"
    upstream_tls_secret: str = ""
    upstream_ca_secret: str = ""
    outside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


CLUSTER_EMITTERS = ("smi", "nic", "networkpolicy", "gateway")
