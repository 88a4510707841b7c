"""What a cluster lets us do, and the least it has to let us do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from apps.rollout.drivers.kubernetes_api import ClusterApi
from apps.rollout.drivers.kubernetes_kinds import KINDS, Kind
from apps.rollout.drivers.kubernetes_read import at_once

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


def review(api: ClusterApi, kinds: Sequence[Kind], namespaces: Sequence[str]) -> AccessReview:
    version = api.server_version()
    missing = missing_kinds(api, kinds)

    def ask(question: tuple[str, Kind, str]) -> Permission:
        namespace, kind, verb = question
        allowed, reason = api.allows(kind, namespace, verb)
        return Permission(namespace, kind.key, verb, allowed, reason)

    there = [kind for kind in kinds if kind.key not in missing]
    questions = [(namespace, kind, verb) for namespace in namespaces for kind in there for verb in VERBS]
    return AccessReview(version, missing, tuple(at_once(ask, questions)))


def rbac_manifest(
    namespaces: Sequence[str], kinds: Sequence[str] = tuple(KINDS), *, account: str = ACCOUNT, home: str = HOME
) -> str:
    """YAML to be applied by an administrator: a ServiceAccount ``account`` in namespace ``home`` with a token Secret,
    and in each of ``namespaces`` a Role that allows just what the driver does, bound to it.
    """
    documents: list[Mapping[str, Any]] = [
        _named("v1", "Namespace", home, None),
        _named("v1", "ServiceAccount", account, home),
        {
            **_named("v1", "Secret", f"{account}-token", home, {"kubernetes.io/service-account.name": account}),
            "type": "kubernetes.io/service-account-token",
        },
    ]
    rules = _rules([KINDS[key] for key in kinds])
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    for namespace in namespaces:
        role = {"apiGroup": _RBAC, "kind": "Role", "name": account}
        bound = {"roleRef": role, "subjects": [subject]}
        documents.append({**_named(f"{_RBAC}/v1", "Role", account, namespace), "rules": rules})
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
