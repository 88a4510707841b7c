"""A pod that makes probes from inside a cluster, as one of its workloads: what to apply, for copying.

It runs as the workload's ServiceAccount and carries its label, because that is who it is to a mesh and to a
NetworkPolicy. It never says it is ready, so that no Service sends it anybody's calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.compiler.emitters.cluster.objects import (
    NAME_LABEL,
    Account,
    Object,
    handout_labels,
    label_value,
    legal_name,
    made,
)
from apps.compiler.emitters.cluster.sidecar import SECRETS, SETTINGS, unprivileged, written
from apps.compiler.surroundings import ClusterSurroundings

PROBE_LABEL = "sallyport.dev/probe"
INJECT = "injector.nsm.nginx.com/auto-inject"
"""With it NGINX Service Mesh gives the pod its identity (nginxinc/nginx-service-mesh, release notes 2.0.0)."""


@dataclass(frozen=True, slots=True)
class ProbePod:
    """``secret`` names a Secret in the namespace with ``node.token``; ``image`` is that of a door (``Sidecar``)."""

    image: str
    secret: str = "sallyport-probe"  # noqa: S105 - the name of a Secret


def objects(account: Account, surroundings: ClusterSurroundings, pod: ProbePod) -> tuple[Object, ...]:
    """Its settings and the Deployment that keeps it running."""
    name = legal_name(f"sp-probe-{account.name}")
    own = {**handout_labels(), PROBE_LABEL: label_value(account.name)}
    data = {"probe.json": written(_settings(account, surroundings))}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {PROBE_LABEL: label_value(account.name)}},
        "template": {
            "metadata": {"labels": {**own, NAME_LABEL: label_value(account.name), **_injection(surroundings)}},
            "spec": _pod(account, name, pod),
        },
    }
    return (
        made("v1", "ConfigMap", account.namespace, name, own, data=data),
        made("apps/v1", "Deployment", account.namespace, name, own, spec=spec),
    )


def _settings(account: Account, surroundings: ClusterSurroundings) -> Object:
    return {
        "console": surroundings.console_url,
        "node": f"probe-{account.namespace}-{account.name}",
        "token_file": f"{SECRETS}/node.token",
        "workloads": [f"spiffe://{surroundings.trust_domain}/ns/{account.namespace}/sa/{account.name}"],
    }


def _injection(surroundings: ClusterSurroundings) -> dict[str, str]:
    return {INJECT: "enabled"} if "smi" in surroundings.emitters else {}


def _pod(account: Account, name: str, pod: ProbePod) -> Object:
    return {
        "serviceAccountName": account.name,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "probe",
                "image": pod.image,
                "command": ["python", "-m", "apps.meshagent.probe_pod", "--config", f"{SETTINGS}/probe.json"],
                "readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 300},
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "securityContext": unprivileged(),
                "volumeMounts": [
                    {"name": "settings", "mountPath": SETTINGS, "readOnly": True},
                    {"name": "secret", "mountPath": SECRETS, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "settings", "configMap": {"name": name}},
            {"name": "secret", "secret": {"secretName": pod.secret, "defaultMode": 0o444}},
        ],
    }
