"""The demo's Kubernetes cluster: what the console is told of it, and the stand-in for its API server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from apps.rollout.cluster.settings import ClusterSettings, settings_of
from apps.rollout.drivers.kubernetes.access import rbac_manifest
from apps.rollout.drivers.kubernetes.kinds import KINDS, Kind
from apps.rollout.models import DriverName
from apps.rollout.services.cluster.driving import kinds_of
from apps.rollout.services.targets import TargetSpec, UnknownTarget, get_target

SLUG, NAMESPACE = "cluster", "outreach"
ACCOUNT, ADMIN = "system:serviceaccount:sallyport:sallyport", "you@shop.test"
CHOSEN = ClusterSettings(
    emitters=("networkpolicy", "nic", "smi"),
    namespaces=(NAMESPACE,),
    mtls="strict",
    verifier=f"{NAMESPACE}/sp-verifier:8080",
    tls_secret="shop-tls",  # noqa: S106  (the name of a Secret)
    client_ca_secret="edge-ca",  # noqa: S106  (the name of a Secret)
)
SERVED = frozenset({"core", "apps", "networking.k8s.io"})
"""Groups the API server knows without being told."""


def spec(*, url: str, token: str, edge: str) -> TargetSpec:
    """What the demo starts with; what somebody chose since stays as it is."""
    try:
        chosen = settings_of(get_target(SLUG).config)
    except UnknownTarget:
        chosen = replace(CHOSEN, edge=edge)
    return TargetSpec(
        slug=SLUG,
        name="Kubernetes (local)",
        driver=DriverName.KUBERNETES,
        config={**chosen.config, "server": url, "reached": "token"},
        credentials={"token": token},
    )


def configuration(state: Path, *, port: int, tokens: dict[str, str]) -> dict[str, Any]:
    """Of the stand-in: the console may do what its own manifest asks for and no more, an administrator everything."""
    return {
        "address": f"127.0.0.1:{port}",
        "state_dir": str(state / "cluster"),
        "namespaces": ["default", NAMESPACE],
        "definitions": [str(state / "cluster-kinds.yaml")],
        "tokens": {
            tokens["cluster_token"]: {"user": ACCOUNT, "rules": _rules()},
            tokens["cluster_admin_token"]: {"user": ADMIN, "groups": ["system:masters"]},
        },
    }


def _rules() -> list[dict[str, Any]]:
    manifest = rbac_manifest(CHOSEN.namespaces, kinds_of(CHOSEN), verifier=CHOSEN.verifier_namespace)
    roles = [one for one in yaml.safe_load_all(manifest) if one["kind"] == "Role"]
    return [{**rule, "namespaces": [role["metadata"]["namespace"]]} for role in roles for rule in role["rules"]]


def definitions() -> str:
    """Our own, as wide as may be, of every kind that is brought to a cluster: the real ones check what they hold."""
    found = [_definition(kind) for kind in KINDS.values() if (kind.group or "core") not in SERVED]
    return "\n---\n".join(json.dumps(one) for one in found)


def _definition(kind: Kind) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything}}
    version = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.key, "annotations": {"api-approved.kubernetes.io": "unapproved, for the demo"}},
        "spec": {
            "group": kind.group,
            "names": {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
