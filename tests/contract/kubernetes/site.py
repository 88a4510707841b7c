"""The cluster under test: the stand-in, or a real one, and a hand that changes things in it beside the driver."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
from lightkube.config.client_adapter import Client, ConnectionParams

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import Desired, Observed, Plan
from apps.rollout.drivers.kubernetes.compare import CLUSTER, MANAGED_BY, OURS, SERVICE
from apps.rollout.drivers.kubernetes.connection import config_of
from apps.rollout.drivers.kubernetes.driver import ClusterApi, ClusterConfig, ClusterConnection, KubernetesDriver
from apps.rollout.drivers.kubernetes.kinds import KINDS, Ref
from tests.localcluster.cluster import eventually
from tests.localcluster.definitions import DEFINITIONS
from tests.localcluster.manifests import named, network_policy, target

REAL, KUBECONFIG = "SALLYPORT_TEST_CLUSTER", "KUBECONFIG"
"""The suite runs against the cluster of KUBECONFIG only when the other variable is set to ``yes`` as well."""

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
TARGETS = "traffictargets.access.smi-spec.io"
GROUPS = "httproutegroups.specs.smi-spec.io"
POLICIES = "networkpolicies.networking.k8s.io"
CHOSEN = (GROUPS, TARGETS, POLICIES)
HOME = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Obj = dict[str, Any]


def real_connection() -> ClusterConnection | None:
    if os.environ.get(REAL) != "yes" or not os.environ.get(KUBECONFIG):
        return None
    return ClusterConnection(kubeconfig=Path(os.environ[KUBECONFIG]).read_text())


class Hand:
    """Somebody else with all rights."""

    def __init__(self, connection: ClusterConnection) -> None:
        params = ConnectionParams(timeout=httpx2.Timeout(30), trust_env=False)
        self._client: httpx2.Client = Client(config_of(connection), params)

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json", **params: str) -> Any:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind} if body is not None else {}
        return self._client.request(method, path, params=params, content=content, headers=headers)

    def apply(self, obj: Obj, manager: str = "argocd") -> Obj:
        answer = self.call("PATCH", address(obj), obj, APPLY, fieldManager=manager, force="true")
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def merge(self, obj: Obj, patch: Obj, manager: str = "kubectl-edit") -> None:
        answer = self.call("PATCH", address(obj), patch, MERGE, fieldManager=manager)
        assert answer.status_code == 200, answer.text

    def get(self, obj: Obj) -> Obj | None:
        answer = self.call("GET", address(obj))
        return dict(answer.json()) if answer.status_code == 200 else None

    def delete(self, obj: Obj) -> None:
        self.call("DELETE", address(obj)).raise_for_status()

    def furnish(self) -> list[str]:
        """The definitions that are not there yet; the names of those that were made."""
        made = []
        for one in DEFINITIONS:
            if self.call("GET", f"{HOME}/{one['metadata']['name']}").status_code == 404:
                self.call("POST", HOME, one).raise_for_status()
                made.append(one["metadata"]["name"])
        for one in DEFINITIONS:
            spec = one["spec"]
            path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
            eventually(lambda path=path: self.call("GET", path).status_code == 200)
        return made

    def namespace(self) -> str:
        name = f"sallyport-test-{uuid.uuid4().hex[:8]}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.call("POST", "/api/v1/namespaces", body).raise_for_status()
        return name

    def close(self) -> None:
        self._client.close()


def address(obj: Obj) -> str:
    kind = next(one for one in KINDS.values() if one.kind == obj["kind"] and one.api_version == obj["apiVersion"])
    meta = obj["metadata"]
    base = "/apis" if kind.group else "/api"
    return f"{base}/{kind.api_version}/namespaces/{meta['namespace']}/{kind.plural}/{meta['name']}"


# -- what is brought -------------------------------------------------------------------------------------------------
def ours(obj: Obj, service: str = "cart", cluster: str = "test") -> Obj:
    labels = {MANAGED_BY: OURS, CLUSTER: cluster, SERVICE: service}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def artifact(obj: Obj, service: str = "cart", cluster: str = "test") -> Artifact:
    kind = next(one for one in KINDS.values() if one.kind == obj["kind"])
    path = Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"]).path
    content = json.dumps(ours(obj, service, cluster), sort_keys=True, separators=(",", ":")).encode()
    return Artifact.of(path, "application/json", content)


def group(namespace: str, name: str, *paths: str) -> Obj:
    matches = [{"name": f"m{number}", "pathRegex": f"^{path}$"} for number, path in enumerate(paths)]
    return named("specs.smi-spec.io/v1alpha3", "HTTPRouteGroup", namespace, name, spec={"matches": matches})


def service_objects(namespace: str, service: str, *callers: str) -> tuple[Artifact, ...]:
    """What one service with these callers has: a route group, a target and a network policy."""
    rules = [{"kind": "HTTPRouteGroup", "name": f"sp-{service}"}]
    made = (
        group(namespace, f"sp-{service}", "/cart"),
        target(namespace, f"sp-{service}", *callers, to=service, rules=rules),
        network_policy(namespace, f"sp-{service}", *callers),
    )
    return tuple(artifact(one, service) for one in made)


class Counting:
    """How often what was asked: ``PATCH dry``, ``PATCH``, ``GET`` of one, ``LIST`` and so on."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.order: list[str] = []

    def __call__(self, answer: httpx2.Response) -> None:
        request = answer.request
        word = request.method
        if "dryRun" in request.url.params:
            word += " dry"
        if request.method == "GET":
            word = "LIST" if "limit" in request.url.params else "GET"
        self.seen[word] += 1
        self.order.append(f"{word} {request.url.path.rsplit('/', 2)[-2]}")

    def reset(self) -> None:
        self.seen.clear()
        self.order.clear()


def config(*namespaces: str, **more: Any) -> ClusterConfig:
    return ClusterConfig(cluster="test", namespaces=namespaces, kinds=CHOSEN, **more)


def plan_of(driver: KubernetesDriver, puts: Iterable[Artifact], deletes: Iterable[str] = (), number: int = 1) -> Plan:
    return driver.plan(Desired(number, f"d{number}", tuple(puts), tuple(deletes)), Observed())


def driver_for(api: ClusterApi, *namespaces: str, **more: Any) -> KubernetesDriver:
    return KubernetesDriver(api, config(*namespaces, **more))
