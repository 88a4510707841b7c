"""A Kubernetes cluster with all that its pages show."""

from __future__ import annotations

import json
from datetime import datetime

from apps.identity import vault
from apps.rollout.models import Target
from tests.factories import access

CONTESTED = "shop/networkpolicies.networking.k8s.io/sp-payments.json"
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
