"""What a cluster lets us do, and the least it has to let us do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from apps.rollout.drivers.kubernetes.api import ClusterApi
from apps.rollout.drivers.kubernetes.kinds import KINDS, Kind, Scope, scopes_of
from apps.rollout.drivers.kubernetes.read import at_once

VERBS = ("get", "list", "watch", "create", "patch", "delete")
"""Applying needs ``patch``, and ``create`` where the object is not there yet."""

ACCOUNT = HOME = "sallyport"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Permission:
    """A question to the cluster and its answer; ``kind`` is a key of ``KINDS``, ``reason`` the cluster's own words."""

    namespace: str
    kind: str
    verb: str
    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AccessReview:
    """``server_version`` as the cluster tells it (``v1.32.1``); ``missing``: keys of kinds the cluster does not serve,
    which have no permissions in ``permissions``.
    """

    server_version: str
    missing: tuple[str, ...]
    permissions: tuple[Permission, ...]

    @property
    def refused(self) -> tuple[Permission, ...]:
        return tuple(one for one in self.permissions if not one.allowed)

    @property
    def suffices(self) -> bool:
        return not self.missing and not self.refused


def missing_kinds(api: ClusterApi, kinds: Iterable[Kind]) -> tuple[str, ...]:
    """Keys of those the cluster does not serve in the version we speak."""
    asked = list(kinds)
    return tuple(kind.key for kind, there in zip(asked, at_once(api.serves, asked), strict=True) if not there)


def review(api: ClusterApi, scopes: Sequence[Scope]) -> AccessReview:
    version = api.server_version()
    missing = missing_kinds(api, dict.fromkeys(KINDS[scope.kind] for scope in scopes))

    def ask(question: tuple[Scope, str]) -> Permission:
        scope, verb = question
        allowed, reason = api.allows(KINDS[scope.kind], scope.namespace, verb)
        return Permission(scope.namespace, scope.kind, verb, allowed, reason)

    there = [scope for scope in scopes if scope.kind not in missing]
    questions = [(scope, verb) for scope in there for verb in VERBS]
    return AccessReview(version, missing, tuple(at_once(ask, questions)))


def rbac_manifest(
    namespaces: Sequence[str],
    kinds: Sequence[str] = tuple(KINDS),
    *,
    account: str = ACCOUNT,
    home: str = HOME,
    verifier: str = "",
) -> str:
    """YAML to be applied by an administrator: a ServiceAccount ``account`` in namespace ``home`` with a token Secret,
    and in each of ``namespaces`` a Role that allows just what the driver does, bound to it.

    ``verifier`` is the namespace our verifier runs in: only there is a Deployment allowed, since who may make one
    anywhere may run as any service account of that namespace.
    """
    documents: list[Mapping[str, Any]] = [
        _named("v1", "Namespace", home, None),
        _named("v1", "ServiceAccount", account, home),
        {
            **_named("v1", "Secret", f"{account}-token", home, {"kubernetes.io/service-account.name": account}),
            "type": "kubernetes.io/service-account-token",
        },
    ]
    inside: defaultdict[str, list[Kind]] = defaultdict(list)
    for scope in scopes_of(kinds, namespaces, verifier):
        inside[scope.namespace].append(KINDS[scope.kind])
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    for namespace, held in inside.items():
        role = {"apiGroup": _RBAC, "kind": "Role", "name": account}
        bound = {"roleRef": role, "subjects": [subject]}
        documents.append({**_named(f"{_RBAC}/v1", "Role", account, namespace), "rules": _rules(held)})
        documents.append({**_named(f"{_RBAC}/v1", "RoleBinding", account, namespace), **bound})
    return "---\n".join(yaml.dump(document, sort_keys=False, Dumper=_Plain) for document in documents)


def _rules(kinds: Iterable[Kind]) -> list[Mapping[str, Any]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for kind in kinds:
        groups[kind.group].append(kind.plural)
    return [
        {"apiGroups": [group], "resources": sorted(plurals), "verbs": list(VERBS)}
        for group, plurals in sorted(groups.items())
    ]


def _named(
    version: str, kind: str, name: str, namespace: str | None, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name}
    if namespace is not None:
        meta["namespace"] = namespace
    if annotations:
        meta["annotations"] = dict(annotations)
    return {"apiVersion": version, "kind": kind, "metadata": meta}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
