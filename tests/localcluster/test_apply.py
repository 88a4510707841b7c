"""Server-side apply: who owns what, who is in whose way, and what goes when it is no longer said."""

from __future__ import annotations

from typing import Any

from tests.localcluster.cluster import LocalCluster
from tests.localcluster.manifests import (
    CONFIG_MAPS,
    NIC,
    POLICIES,
    TARGETS,
    account,
    config_map,
    named,
    network_policy,
    nic_policy,
    target,
)


def owned(obj: dict[str, Any], manager: str) -> dict[str, Any]:
    rows = [row for row in obj["metadata"]["managedFields"] if row["manager"] == manager]
    assert len(rows) == 1
    return dict(rows[0]["fieldsV1"])


def test_what_is_not_there_is_made(cluster: LocalCluster, namespace: str) -> None:
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    made = cluster.apply(path, config_map(namespace, "a", color="red"))
    assert (made.status_code, made.json()["data"]) == (201, {"color": "red"})
    assert owned(made.json(), "one") == {"f:data": {"f:color": {}}}
    assert cluster.apply(path, config_map(namespace, "a", color="blue")).status_code == 200


def test_the_same_again_changes_nothing(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    first = cluster.apply(path, target(namespace, "a", "web")).json()
    assert cluster.apply(path, target(namespace, "a", "web")).json() == first


def test_a_field_of_somebody_else_is_a_conflict_that_names_them(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    cluster.apply(path, target(namespace, "a", "web"), "argocd")
    refused = cluster.apply(path, target(namespace, "a", "pay"), "sallyport")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/json"
    assert refused.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "argocd": .spec.sources',
        "reason": "Conflict",
        "details": {
            "causes": [
                {"reason": "FieldManagerConflict", "message": 'conflict with "argocd"', "field": ".spec.sources"}
            ]
        },
        "code": 409,
    }


def test_an_edit_by_hand_is_in_the_way_of_an_apply(cluster: LocalCluster, namespace: str) -> None:
    path = f"{POLICIES.format(namespace)}/a"
    cluster.apply(path, network_policy(namespace, "a", "web"), "sallyport")
    cluster.merge(path, {"spec": {"ingress": [{}]}}, "kubectl-edit")
    refused = cluster.apply(path, network_policy(namespace, "a", "web"), "sallyport").json()
    assert refused["details"]["causes"][0]["field"] == ".spec.ingress"
    assert refused["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using networking.k8s.io/v1: .spec.ingress'
    )


def test_force_takes_the_field_over(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    cluster.apply(path, target(namespace, "a", "web"), "argocd")
    taken = cluster.apply(path, target(namespace, "a", "pay"), "sallyport", force="true").json()
    assert taken["spec"]["sources"] == [account("pay", namespace)]
    assert "f:sources" not in owned(taken, "argocd")["f:spec"]
    assert "f:sources" in owned(taken, "sallyport")["f:spec"]


def test_the_same_value_is_owned_by_both(cluster: LocalCluster, namespace: str) -> None:
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    cluster.apply(path, config_map(namespace, "a", color="red"), "one")
    both = cluster.apply(path, config_map(namespace, "a", color="red"), "two").json()
    assert owned(both, "one") == owned(both, "two")
    left = cluster.apply(path, config_map(namespace, "a"), "one").json()
    assert left["data"] == {"color": "red"}


def test_what_is_no_longer_said_goes(cluster: LocalCluster, namespace: str) -> None:
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    cluster.apply(path, config_map(namespace, "a", color="red", size="big"), "one")
    cluster.apply(path, config_map(namespace, "a", shape="round"), "two")
    left = cluster.apply(path, config_map(namespace, "a", size="big"), "one").json()
    assert left["data"] == {"size": "big", "shape": "round"}


def test_a_list_with_keys_is_shared_entry_by_entry(cluster: LocalCluster, namespace: str) -> None:
    path = f"{NIC.format(namespace)}/a"
    cluster.apply(path, nic_policy(namespace, "a", steps=[{"name": "x", "value": "1"}]), "one")
    both = cluster.apply(path, nic_policy(namespace, "a", steps=[{"name": "y", "value": "2"}]), "two").json()
    assert both["spec"]["steps"] == [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]
    entry = owned(both, "two")["f:spec"]["f:steps"]
    assert entry == {'k:{"name":"y"}': {".": {}, "f:name": {}, "f:value": {}}}
    left = cluster.apply(path, nic_policy(namespace, "a", steps=[]), "two").json()
    assert left["spec"]["steps"] == [{"name": "x", "value": "1"}]


def test_a_set_is_shared_value_by_value(cluster: LocalCluster, namespace: str) -> None:
    path = f"{NIC.format(namespace)}/a"
    cluster.apply(path, nic_policy(namespace, "a", tags=["x"]), "one")
    both = cluster.apply(path, nic_policy(namespace, "a", tags=["y"]), "two").json()
    assert both["spec"]["tags"] == ["x", "y"]
    left = cluster.apply(path, nic_policy(namespace, "a", accessControl={"allow": ["10.0.0.0/8"]}), "one").json()
    assert left["spec"] == {"tags": ["y"], "accessControl": {"allow": ["10.0.0.0/8"]}}


def test_an_atomic_mapping_has_one_owner(cluster: LocalCluster, namespace: str) -> None:
    path = f"{NIC.format(namespace)}/a"
    cluster.apply(path, nic_policy(namespace, "a", pair={"left": "1"}), "one")
    refused = cluster.apply(path, nic_policy(namespace, "a", pair={"right": "2"}), "two")
    assert refused.json()["details"]["causes"][0]["field"] == ".spec.pair"


def test_a_dry_run_says_what_would_be_and_leaves_it(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    tried = cluster.apply(path, target(namespace, "a", "web"), dryRun="All")
    assert (tried.status_code, tried.json()["spec"]["sources"]) == (201, [account("web", namespace)])
    assert cluster.call("GET", path).status_code == 404


def test_an_apply_without_a_manager_is_refused(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    refused = cluster.apply(path, target(namespace, "a"), "")
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )


def test_an_apply_of_what_is_not_there_says_its_name(cluster: LocalCluster, namespace: str) -> None:
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}}}
    refused = cluster.apply(f"{POLICIES.format(namespace)}/a", body)
    assert (refused.status_code, "name must be provided" in refused.json()["message"]) == (400, True)


def test_an_apply_into_no_namespace_is_refused(cluster: LocalCluster) -> None:
    refused = cluster.apply(f"{TARGETS.format('nowhere')}/a", target("nowhere", "a"))
    assert (refused.status_code, refused.json()["message"]) == (404, 'namespaces "nowhere" not found')


def test_an_older_version_than_there_is_is_refused(cluster: LocalCluster, namespace: str) -> None:
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    cluster.apply(path, config_map(namespace, "a", color="red"))
    stale = named("v1", "ConfigMap", namespace, "a", data={})
    stale["metadata"]["resourceVersion"] = "1"
    refused = cluster.apply(path, stale)
    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
