"""What a target's artifacts hold besides the graph: keys, names and addresses."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.compiler.addresses import merge
from apps.compiler.surroundings import LOOPBACK, ClusterSurroundings, EdgeSurroundings, MeshSurroundings
from apps.identity import vault
from apps.rollout.cluster.settings import NETWORK, ClusterSettings, settings_of
from apps.rollout.models import Delivery, EdgeToken, Point, Target
from apps.trust import selectors as trust
from apps.trust.models import Purpose

DEFAULT_NAMESPACE = "sallyport"
DISTRUSTED = "distrusted"
"""In a mesh's ``facts``: fingerprints of certificates that nodes held which were removed, in whichever mesh."""


def secret_of(target: Target) -> dict[str, str]:
    """The target's credentials and salt, decrypted. Never log it."""
    secret: dict[str, str] = json.loads(vault.unseal(target.secret_sealed))
    return secret


def namespace_of(target: Target) -> str:
    """The EdgeKV namespace its items are in."""
    return str(target.config.get("namespace", DEFAULT_NAMESPACE))


def edge_surroundings(target: Target) -> EdgeSurroundings:
    return EdgeSurroundings(
        issuer=settings.SALLYPORT_URL,
        audience=settings.SALLYPORT_EDGE_AUDIENCE,
        token_keys=trust.verify_keys(Purpose.EDGE_TOKEN),
        context_issuer=context_issuer(target.slug),
        context_audience=context_audience(),
        context_key=trust.active_key(Purpose.CONTEXT),
        salt=secret_of(target)["salt"],
        namespace=namespace_of(target),
        console_url=settings.SALLYPORT_URL,
        kv_token_ref=target.facts["kv_token_ref"],
        edge_url=settings.SALLYPORT_EDGE_URL,
        kv_token_value=_token_value(target),
    )


def _token_value(target: Target) -> str:
    """The token itself, for an account whose EdgeKV knows only those. Never log it."""
    token = EdgeToken.objects.filter(target=target, uuid=target.facts["kv_token_ref"]).first()
    return vault.unseal(token.value_sealed).decode() if token is not None and token.value_sealed else ""


@dataclass(frozen=True, slots=True)
class EdgeSalt:
    """All that the items of an edge depend on besides the graph."""

    salt: str


def mesh_surroundings(target: Target, at: datetime) -> MeshSurroundings:
    return replace(
        mesh_place(target),
        context_keys=trust.verify_keys(Purpose.CONTEXT),
        context_issuer=context_issuer(_edge_before(target, target.config["edge"])),
        identities={**trust.identities(at=at), **dict.fromkeys(target.facts.get(DISTRUSTED, ()), "")},
    )


def mesh_place(target: Target) -> MeshSurroundings:
    """Without the keys and certificates, which the part of a service does not depend on; nothing is read for it."""
    return MeshSurroundings(
        mesh_id=settings.SALLYPORT_MESH_ID,
        console_url=settings.SALLYPORT_URL,
        ingress_port=target.config["ingress_port"],
        ingress_workload=target.config["ingress_workload"],
        edge_workload=target.config["edge_workload"],
        context_keys=(),
        context_issuer=context_issuer(target.config["edge"]),
        context_audience=context_audience(),
        listen=target.config.get("listen", LOOPBACK),
    )


def cluster_surroundings(target: Target, at: datetime) -> ClusterSurroundings:
    chosen = settings_of(target.config)
    return ClusterSurroundings(
        cluster=target.slug,
        console_url=settings.SALLYPORT_URL,
        trust_domain=settings.SALLYPORT_TRUST_DOMAIN,
        emitters=frozenset(chosen.emitters),
        access_control=chosen.access_control,
        mtls=chosen.mtls,
        plus=chosen.plus,
        verifier=chosen.verifier,
        gateway=chosen.gateway,
        ingress_class=chosen.ingress_class,
        tls_secret=chosen.tls_secret,
        client_ca_secret=chosen.client_ca_secret,
        isolated=frozenset(chosen.isolated),
        context_keys=trust.verify_keys(Purpose.CONTEXT) if chosen.edge else (),
        context_issuer=context_issuer(_edge_before(target, chosen.edge)) if chosen.edge else "",
        context_audience=context_audience() if chosen.edge else "",
        at=int(at.timestamp()),
        ingress=chosen.ingress,
        verifier_image=chosen.verifier_image,
        upstream_tls_secret=chosen.upstream_tls_secret,
        upstream_ca_secret=chosen.upstream_ca_secret,
        outside=_outside(target, chosen, at),
    )


def _outside(target: Target, chosen: ClusterSettings, at: datetime) -> dict[str, tuple[str, ...]]:
    """What the lists of the guarded hosts let in just now, by service; nothing is asked where none is reached so."""
    if not chosen.direct or NETWORK not in chosen.emitters:
        return {}
    environment, moment = target.environment.slug, int(at.timestamp())
    graph = access.address_graph(environment_slug=environment, at=at)
    found = {}
    for slug, service in catalog.graph_services(chosen.direct, environment).items():
        guarded = graph.hosts.get(service.edge.host) if service.edge is not None else None
        opened = [one for one in graph.openings if guarded and one.host == guarded.host and one.is_open(moment)]
        blocks = merge([*(guarded.always if guarded else ()), *(block for one in opened for block in one.blocks)])
        found[slug] = tuple(str(block) for block in blocks)
    return found


def _edge_before(target: Target, named: str) -> str:
    """The edge that was named, or the one that came when it was taken out."""
    if not Target.objects.filter(slug=named, delivery=Delivery.REMOVED).exists():
        return named
    there = Target.objects.filter(environment=target.environment_id, point=Point.EDGE)
    now = there.exclude(delivery=Delivery.REMOVED).first()
    return now.slug if now else named


def context_issuer(edge: str) -> str:
    return f"edge:{edge}"


def context_audience() -> str:
    return f"mesh:{settings.SALLYPORT_MESH_ID}"
