"""A cluster as a target, with a stand-in for its API server behind it."""

from __future__ import annotations

from typing import Any

from apps.access.models import Grant
from apps.audit.actors import Actor
from apps.rollout.drivers.kubernetes.kinds import KINDS
from apps.rollout.models import Target
from apps.rollout.services.cluster import closing
from apps.rollout.services.cluster.connecting import TOKEN, Way
from apps.rollout.services.targets import TargetSpec
from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.rollout.world import Hands

OLGA = Actor("person:olga", "Olga")
CART = "spiffe://shop.test/ns/shop/sa/cart"
POLICY = "shop/networkpolicies.networking.k8s.io/sp-payments.json"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
BUILT_IN = ("", "apps", "networking.k8s.io")


def _definition(key: str) -> dict[str, Any]:
    kind = KINDS[key]
    approved = {"api-approved.kubernetes.io": "unapproved, for tests"}
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": key, "annotations": approved},
        "spec": {
            "group": kind.group,
            "names": {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural},
            "scope": "Namespaced",
            "versions": [
                {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


DEFINITIONS = [_definition(key) for key, kind in KINDS.items() if kind.group not in BUILT_IN]


def cluster_spec(place: LocalCluster | str, *emitters: str, slug: str = "cluster", **config: object) -> TargetSpec:
    """Of a cluster, or of an address where none answers."""
    url, authority = (place, "") if isinstance(place, str) else (place.url, place.ca_pem)
    return TargetSpec(
        slug=slug,
        name="Shop cluster",
        driver="kubernetes",
        config={
            "emitters": list(emitters or ("networkpolicy",)),
            "namespaces": ["shop"],
            "server": url,
            "reached": "token",
            **config,
        },
        credentials={"token": ADMIN, "ca_pem": authority},
    )


def by_token(cluster: LocalCluster, token: str = ADMIN, *, host: str = "127.0.0.1") -> Way:
    return Way(TOKEN, server=cluster.url.replace("127.0.0.1", host), token=token, ca_pem=cluster.ca_pem)


def agreed(hands: Hands, *services: str, slug: str = "cluster") -> Target:
    """What waits for a yes has one, and is brought there."""
    hands.work()
    waiting = services or tuple(one.service for one in closing.closings(Target.objects.get(slug=slug)))
    target = closing.agree(slug=slug, services=waiting, actor=OLGA, at=hands.clock())
    hands.work()
    target.refresh_from_db()
    return target


def policy(cluster: LocalCluster, name: str = "sp-payments") -> dict[str, Any] | None:
    answer = cluster.call("GET", f"{POLICIES}/{name}")
    return dict(answer.json()) if answer.status_code == 200 else None


def callers(cluster: LocalCluster) -> list[str]:
    """Who the policy of payments lets in."""
    found = policy(cluster)
    rules = found["spec"].get("ingress", []) if found else []
    return [one["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for rule in rules for one in rule["from"]]


def told(grant: Grant) -> str:
    """What is said of the mesh door."""
    return Grant.objects.get(pk=grant.pk).doors.get(point="mesh").detail


def sweep(cluster: LocalCluster) -> None:
    for kind in KINDS.values():
        base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        path = f"{base}/namespaces/shop/{kind.plural}"
        answer = cluster.call("GET", path)
        for row in answer.json().get("items", []) if answer.status_code == 200 else []:
            cluster.call("DELETE", f"{path}/{row['metadata']['name']}")
