"""What clients other than the driver rely on: OpenAPI documents, tokens in Secrets, strategic merge patches."""

from __future__ import annotations

import base64
from typing import Any

from tests.localcluster.cluster import LocalCluster, eventually
from tests.localcluster.manifests import CONFIG_MAPS, TARGETS, config_map, named, target

STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


def document(cluster: LocalCluster, home: str) -> dict[str, Any]:
    paths = cluster.call("GET", "/openapi/v3").json()["paths"]
    found: dict[str, Any] = cluster.call("GET", paths[home]["serverRelativeURL"]).json()
    return found


def test_there_is_a_document_for_each_group_and_version(cluster: LocalCluster) -> None:
    cluster.since(24)
    found = document(cluster, "apis/access.smi-spec.io/v1alpha2")
    (path,) = found["paths"]
    assert path == "/apis/access.smi-spec.io/v1alpha2/namespaces/{namespace}/traffictargets/{name}"
    patch = found["paths"][path]["patch"]
    assert {"dryRun", "fieldValidation", "force"} <= {one["name"] for one in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "TrafficTarget"
    schema = found["components"]["schemas"]["io.smi-spec.access.v1alpha2.TrafficTarget"]
    assert "sources" in schema["properties"]["spec"]["properties"]
    assert "/api/v1/namespaces/{name}" in document(cluster, "api/v1")["paths"]


def test_no_document_is_there_of_what_is_not_served(cluster: LocalCluster) -> None:
    assert cluster.call("GET", "/openapi/v3/apis/nobody.example.com/v1").status_code == 404


def test_a_secret_holds_a_token_of_its_service_account(cluster: LocalCluster, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    secret = named("v1", "Secret", namespace, "robot-token", type="kubernetes.io/service-account-token")
    secret["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "robot"}
    cluster.call("POST", f"{base}/serviceaccounts", named("v1", "ServiceAccount", namespace, "robot"))
    assert cluster.call("POST", f"{base}/secrets", secret).status_code == 201
    held = eventually(lambda: cluster.call("GET", f"{base}/secrets/robot-token").json().get("data"))
    token = base64.b64decode(held["token"]).decode()
    refused = cluster.call("GET", f"{base}/pods", token=token)
    assert (refused.status_code, f"system:serviceaccount:{namespace}:robot" in refused.json()["message"]) == (403, True)
    cluster.merge(f"{base}/secrets/robot-token", {"metadata": {"labels": {"a": "b"}}})
    assert cluster.call("GET", f"{base}/pods", token=token).status_code == 403, "the token stays as it was"
    cluster.call("DELETE", f"{base}/serviceaccounts/robot")
    eventually(lambda: cluster.call("GET", f"{base}/pods", token=token).status_code == 401)


def test_a_strategic_merge_is_made_where_it_is_a_plain_one(cluster: LocalCluster, namespace: str) -> None:
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    cluster.apply(path, config_map(namespace, "a", one="1", two="2"))
    patched = cluster.call("PATCH", path, {"data": {"two": None, "three": "3"}}, headers=STRATEGIC)
    assert patched.json()["data"] == {"one": "1", "three": "3"}
    custom = f"{TARGETS.format(namespace)}/a"
    cluster.apply(custom, target(namespace, "a", "web"))
    assert cluster.call("PATCH", custom, {"spec": {}}, headers=STRATEGIC).status_code == 415
    services = f"/api/v1/namespaces/{namespace}/services"
    cluster.call("POST", services, named("v1", "Service", namespace, "a", spec={"ports": [{"port": 80}]}))
    cluster.standin()
    for patch in ({"spec": {"ports": [{"port": 81}]}}, {"spec": {"$retainKeys": ["ports"]}}):
        assert cluster.call("PATCH", f"{services}/a", patch, headers=STRATEGIC).status_code == 415


def test_what_a_webhook_changes_is_stored_so(cluster: LocalCluster, namespace: str) -> None:
    cluster.faults(admission=[{"change": {"data": {"by": "webhook"}}, "resource": "configmaps.core"}])
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    made = cluster.apply(path, config_map(namespace, "a", one="1")).json()
    assert (made["data"], cluster.call("GET", path).json()["data"]) == ({"one": "1", "by": "webhook"},) * 2
