"""What the real server fills in or leaves out of built-in kinds; of custom ones nothing is filled in here."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from apps.localcluster.http import Obj
from apps.localcluster.kinds import Resource

_POLICIES = ("networking.k8s.io", "networkpolicies")
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
TOKEN_TYPE, ACCOUNT = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"


def tidied(resource: Resource, obj: Obj) -> Obj:
    if resource.store == _POLICIES and isinstance(obj.get("spec"), dict):
        return {**obj, "spec": _policy(obj["spec"])}
    if resource.store == ("", "secrets"):
        return _secret(obj)
    if resource.store == ("", "namespaces"):
        meta = obj["metadata"]
        labels = {**(meta.get("labels") or {}), _NAMESPACE_LABEL: meta["name"]}
        return {**obj, "metadata": {**meta, "labels": labels}, "status": {"phase": "Active"}}
    return obj


def _secret(obj: Obj) -> Obj:
    """Texts are encoded; one for a service account has a token for it."""
    texts = {name: _encoded(str(text)) for name, text in (obj.get("stringData") or {}).items()}
    found = {name: value for name, value in obj.items() if name != "stringData"}
    data = {**(obj.get("data") or {}), **texts}
    if account_of(obj):
        namespace = obj["metadata"].get("namespace", "")
        data = {"namespace": _encoded(namespace), "token": _encoded(secrets.token_urlsafe(32)), **data}
    return {**found, "data": data} if data else found


def account_of(secret: Obj) -> str:
    """The name of the service account it holds a token for, if it is of that type."""
    named = (secret["metadata"].get("annotations") or {}).get(ACCOUNT, "")
    return str(named) if secret.get("type") == TOKEN_TYPE else ""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


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
