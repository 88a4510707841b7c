"""What the real server fills in or leaves out of built-in kinds; of custom ones nothing is filled in here."""

from __future__ import annotations

import base64
from typing import Any

from apps.localcluster.http import Obj
from apps.localcluster.kinds import Resource

_POLICIES = ("networking.k8s.io", "networkpolicies")
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def tidied(resource: Resource, obj: Obj) -> Obj:
    if resource.store == _POLICIES and isinstance(obj.get("spec"), dict):
        return {**obj, "spec": _policy(obj["spec"])}
    if resource.store == ("", "secrets") and obj.get("stringData"):
        texts = {name: base64.b64encode(str(text).encode()).decode() for name, text in obj["stringData"].items()}
        kept = {name: value for name, value in obj.items() if name != "stringData"}
        return {**kept, "data": {**(obj.get("data") or {}), **texts}}
    if resource.store == ("", "namespaces"):
        meta = obj["metadata"]
        labels = {**(meta.get("labels") or {}), _NAMESPACE_LABEL: meta["name"]}
        return {**obj, "metadata": {**meta, "labels": labels}, "status": {"phase": "Active"}}
    return obj


def _policy(spec: Obj) -> Obj:
    """Empty lists go; protocols and policy types are filled in."""
    found: Obj = {"podSelector": {}, **spec}
    for direction in ("ingress", "egress"):
        rules = found.pop(direction, None)
        if rules:
            found[direction] = [_rule(rule) for rule in rules]
    if not found.get("policyTypes"):
        found["policyTypes"] = ["Ingress", *(["Egress"] if found.get("egress") else [])]
    return found


def _rule(rule: Any) -> Any:
    if not isinstance(rule, dict):
        return rule
    kept = {name: value for name, value in rule.items() if value}
    if isinstance(kept.get("ports"), list):
        kept["ports"] = [{"protocol": "TCP", **port} if isinstance(port, dict) else port for port in kept["ports"]]
    return kept
