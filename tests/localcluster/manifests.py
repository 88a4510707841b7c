"""Objects and their addresses, for tests."""

from __future__ import annotations

from typing import Any

POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
TARGETS = "/apis/access.smi-spec.io/v1alpha2/namespaces/{}/traffictargets"
LIMITS = "/apis/specs.smi.nginx.com/v1alpha2/namespaces/{}/ratelimits"
NIC = "/apis/k8s.nginx.org/v1/namespaces/{}/policies"
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


def named(api_version: str, kind: str, namespace: str, name: str, **more: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": namespace}
    if labels := more.pop("labels", None):
        meta["labels"] = labels
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


def config_map(namespace: str, name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    return named("v1", "ConfigMap", namespace, name, labels=labels, data=data)


def account(name: str, namespace: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def target(namespace: str, name: str, *sources: str, to: str = "cart", **spec: Any) -> dict[str, Any]:
    said = {"destination": account(to, namespace), "sources": [account(one, namespace) for one in sources], **spec}
    return named("access.smi-spec.io/v1alpha2", "TrafficTarget", namespace, name, spec=said)


def limit(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    said = {"name": name, "destination": {"kind": "Service", "name": "cart"}, "rate": "10r/s", **spec}
    return named("specs.smi.nginx.com/v1alpha2", "RateLimit", namespace, name, spec=said)


def nic_policy(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return named("k8s.nginx.org/v1", "Policy", namespace, name, spec=spec)


def network_policy(namespace: str, name: str, *callers: str, **spec: Any) -> dict[str, Any]:
    peers = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": caller}}} for caller in callers]
    rules = [{"from": peers, "ports": [{"port": 8080}]}] if peers else []
    said = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}, "ingress": rules, **spec}
    return named("networking.k8s.io/v1", "NetworkPolicy", namespace, name, spec=said)
