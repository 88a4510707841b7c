"""The agent of a cluster that lets nobody in: what an administrator applies, for copying.

It gets the least it needs: a Role in each namespace it keeps, nothing in the one it runs in, no Service, and one volume
to remember by. With a projected token it carries no secret of ours at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.compiler.emitters.cluster.objects import Account, Object, handout_labels, made
from apps.compiler.emitters.cluster.sidecar import SECRETS, SETTINGS, USER, unprivileged, written
from apps.compiler.surroundings import ClusterSurroundings

VERBS = ("get", "list", "create", "patch", "delete")
"""It looks by itself now and then, so it watches nothing."""
MEMORY = "/var/lib/sallyport"
TOKEN_SECONDS = 3600
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class ClusterAgent:
    """``rights`` are pairs of group and plural by namespace, ``kinds`` the same as the agent calls them.

    ``bundle_keys`` is the JWK set it believes. ``by_account``: it shows a token its cluster made for the console; else
    one from the Secret ``secret``.
    """

    image: str
    node: str
    rights: Mapping[str, Sequence[tuple[str, str]]]
    kinds: Sequence[str]
    bundle_keys: Mapping[str, object]
    by_account: bool = True
    account: Account = field(default=Account("sallyport", "sallyport-agent"))
    secret: str = "sallyport-agent-token"  # noqa: S105 - the name of a Secret


def objects(surroundings: ClusterSurroundings, agent: ClusterAgent) -> tuple[Object, ...]:
    """In the order in which they are applied."""
    home, name = agent.account
    own = handout_labels()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home, "labels": own}}
    data = {"agent.json": written(_settings(surroundings, agent)), "keys.json": written(agent.bundle_keys)}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    return (
        namespace,
        made("v1", "ServiceAccount", home, name, own),
        made("v1", "ConfigMap", home, name, own, data=data),
        made("v1", "PersistentVolumeClaim", home, name, own, spec=claim),
        *(one for place, held in sorted(agent.rights.items()) for one in _role(place, held, agent.account)),
        made("apps/v1", "Deployment", home, name, own, spec=_deployment(surroundings, agent)),
    )


def _settings(surroundings: ClusterSurroundings, agent: ClusterAgent) -> Object:
    return {
        "console": surroundings.console_url,
        "node": agent.node,
        "target": surroundings.cluster,
        "namespaces": sorted(agent.rights),
        "kinds": list(agent.kinds),
        "token_file": f"{SECRETS}/node.token",
        "bundle_keys": f"{SETTINGS}/keys.json",
        "memory_file": f"{MEMORY}/memory.json",
    }


def _role(namespace: str, held: Sequence[tuple[str, str]], account: Account) -> tuple[Object, Object]:
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for group, plural in held:
        groups[group].add(plural)
    rules = [
        {"apiGroups": [group], "resources": sorted(plurals), "verbs": list(VERBS)}
        for group, plurals in sorted(groups.items())
    ]
    role = {"apiGroup": _RBAC, "kind": "Role", "name": account.name}
    subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    own, version = handout_labels(), f"{_RBAC}/v1"
    return (
        made(version, "Role", namespace, account.name, own, rules=rules),
        made(version, "RoleBinding", namespace, account.name, own, roleRef=role, subjects=[subject]),
    )


def _deployment(surroundings: ClusterSurroundings, agent: ClusterAgent) -> Object:
    """One at a time: two would undo what the other remembers."""
    label = {**handout_labels(), "sallyport.dev/agent": surroundings.cluster}
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"sallyport.dev/agent": surroundings.cluster}},
        "template": {"metadata": {"labels": label}, "spec": _pod(surroundings, agent)},
    }


def _pod(surroundings: ClusterSurroundings, agent: ClusterAgent) -> Object:
    name = agent.account.name
    return {
        "serviceAccountName": name,
        "securityContext": {"fsGroup": USER},
        "containers": [
            {
                "name": "agent",
                "image": agent.image,
                "command": ["python", "-m", "apps.meshagent.cluster_agent", "--config", f"{SETTINGS}/agent.json"],
                "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": unprivileged(),
                "volumeMounts": [
                    {"name": "settings", "mountPath": SETTINGS, "readOnly": True},
                    {"name": "token", "mountPath": SECRETS, "readOnly": True},
                    {"name": "memory", "mountPath": MEMORY},
                ],
            }
        ],
        "volumes": [
            {"name": "settings", "configMap": {"name": name}},
            {"name": "token", **_token(surroundings, agent)},
            {"name": "memory", "persistentVolumeClaim": {"claimName": name}},
        ],
    }


def _token(surroundings: ClusterSurroundings, agent: ClusterAgent) -> Object:
    """What the console knows it by."""
    if not agent.by_account:
        return {"secret": {"secretName": agent.secret, "defaultMode": 0o440}}
    token = {"audience": surroundings.console_url, "expirationSeconds": TOKEN_SECONDS, "path": "node.token"}
    return {"projected": {"sources": [{"serviceAccountToken": token}]}}
