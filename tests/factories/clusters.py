"""A Kubernetes cluster with all that its pages show."""

from __future__ import annotations

import json
from datetime import datetime

from apps.identity import vault
from apps.rollout.models import Drift, Node, Sight, Target
from tests.factories import access

CONTESTED = "shop/networkpolicies.networking.k8s.io/sp-payments.json"
ACCOUNT = "system:serviceaccount:sallyport:sallyport-agent"
CONFIG = {"emitters": ["networkpolicy", "smi"], "namespaces": ["shop"]}
FACTS = {
    "server_version": "v1.32.1",
    "conflicts": {CONTESTED: [{"manager": "kubectl", "field": ".spec.ingress"}]},
    "held": {
        "payments": {
            "paths": [CONTESTED],
            "sentences": ["payments is closed to every pod that is not named."],
            "allowed": ["workload:spiffe://shop.test/ns/shop/sa/cart"],
            "more": 0,
        }
    },
}


def pulled_target(at: datetime, slug: str = "inside") -> Target:
    """One that lets nobody in, as its agent saw it a minute ago: an object was changed by hand."""
    config = {**CONFIG, "server": "", "reached": "agent"}
    target = cluster_target(at, slug, name="Inner cluster", delivery="pulled", config=config, checked_at=at)
    Sight.objects.get_or_create(target=target, defaults={"held": 11, "seen_at": at})
    enrolled = {"token_hash": slug, "enrolled_at": at, "issuer": "prod", "account": ACCOUNT}
    Node.objects.get_or_create(target=target, name="agent", defaults={**enrolled, "last_seen_at": at})
    seen = {"expected": "a" * 64, "observed": "b" * 64, "found_at": at, "seen_at": at}
    told = {"detail": "The object was changed.", "opens": True, "diff": "-  from: cart\n+  from: all\n"}
    Drift.objects.get_or_create(target=target, path=CONTESTED, defaults={**seen, **told})
    return target


def cluster_target(at: datetime, slug: str = "cluster", **more: object) -> Target:
    """Connected with a token, with somebody else in the way and a service that waits for a yes."""
    secret = {"token": "cluster-token-1234", "ca_pem": "", "kubeconfig": "", "context": "", "salt": "00"}
    target, _ = Target.objects.get_or_create(
        slug=slug,
        defaults={
            "name": "Shop cluster",
            "driver": "kubernetes",
            "point": "mesh",
            "production": "approved",
            "environment": access.environment(),
            "config": {**CONFIG, "server": "https://127.0.0.1:1", "reached": "token"},
            "facts": FACTS,
            "secret_sealed": vault.seal(json.dumps(secret).encode()),
            "created_at": at,
            **more,
        },
    )
    return target
