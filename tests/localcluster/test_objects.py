"""Ordinary writes, versions, and what the server says when it does not write."""

from __future__ import annotations

from tests.localcluster.cluster import LocalCluster, eventually
from tests.localcluster.manifests import CONFIG_MAPS, POLICIES, TARGETS, config_map, network_policy, target


def create(cluster: LocalCluster, namespace: str, name: str, **data: str) -> dict[str, object]:
    answer = cluster.call("POST", CONFIG_MAPS.format(namespace), config_map(namespace, name, **data))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_what_is_there_is_not_made_again(cluster: LocalCluster, namespace: str) -> None:
    create(cluster, namespace, "a")
    refused = cluster.call("POST", CONFIG_MAPS.format(namespace), config_map(namespace, "a"))
    assert (refused.status_code, refused.json()["reason"]) == (409, "AlreadyExists")
    assert refused.json()["message"] == 'configmaps "a" already exists'


def test_what_is_not_there_is_not_found(cluster: LocalCluster, namespace: str) -> None:
    refused = cluster.call("GET", f"{TARGETS.format(namespace)}/a")
    assert refused.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'traffictargets.access.smi-spec.io "a" not found',
        "reason": "NotFound",
        "details": {"name": "a", "group": "access.smi-spec.io", "kind": "traffictargets"},
        "code": 404,
    }


def test_a_kind_nobody_defined_is_no_address(cluster: LocalCluster, namespace: str) -> None:
    refused = cluster.call("GET", f"/apis/none.example.com/v1/namespaces/{namespace}/things")
    assert (refused.status_code, refused.text) == (404, "404 page not found\n")


def test_of_two_updates_from_the_same_version_one_is_refused(cluster: LocalCluster, namespace: str) -> None:
    made = create(cluster, namespace, "a", color="red")
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    assert cluster.call("PUT", path, {**made, "data": {"color": "blue"}}).status_code == 200
    refused = cluster.call("PUT", path, {**made, "data": {"color": "green"}})
    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
    assert "the object has been modified" in refused.json()["message"]


def test_a_merge_takes_out_what_is_null(cluster: LocalCluster, namespace: str) -> None:
    create(cluster, namespace, "a", color="red", size="big")
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    merged = cluster.merge(path, {"data": {"color": None, "shape": "round"}})
    assert merged["data"] == {"size": "big", "shape": "round"}


def test_an_update_takes_what_it_changes_from_its_owner(cluster: LocalCluster, namespace: str) -> None:
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    cluster.apply(path, config_map(namespace, "a", color="red", size="big"), "one")
    merged = cluster.merge(path, {"data": {"color": "blue"}}, "hand")
    owned = {row["manager"]: (row["operation"], row["fieldsV1"]) for row in merged["metadata"]["managedFields"]}
    assert owned == {
        "one": ("Apply", {"f:data": {"f:size": {}}}),
        "hand": ("Update", {"f:data": {"f:color": {}}}),
    }


def test_the_generation_counts_changes_of_substance(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    cluster.apply(path, target(namespace, "a", "web"))
    assert cluster.merge(path, {"metadata": {"labels": {"x": "y"}}})["metadata"]["generation"] == 1
    assert cluster.merge(path, {"spec": {"sources": []}})["metadata"]["generation"] == 2


def test_a_status_is_written_by_itself(cluster: LocalCluster, namespace: str) -> None:
    path = f"{TARGETS.format(namespace)}/a"
    cluster.apply(path, target(namespace, "a", "web"))
    untouched = cluster.merge(path, {"status": {"state": "x"}})
    assert "status" not in untouched
    written = cluster.merge(f"{path}/status", {"status": {"state": "x"}, "spec": {"sources": []}}, "controller")
    assert (written["status"], len(written["spec"]["sources"])) == ({"state": "x"}, 1)
    cluster.since(22, custom=True)
    row = next(row for row in written["metadata"]["managedFields"] if row["manager"] == "controller")
    assert row["subresource"] == "status"


def test_a_delete_with_another_uid_is_refused(cluster: LocalCluster, namespace: str) -> None:
    create(cluster, namespace, "a")
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    refused = cluster.call("DELETE", path, {"preconditions": {"uid": "other"}})
    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
    done = cluster.call("DELETE", path)
    assert (done.status_code, done.json()["status"]) == (200, "Success")
    assert cluster.call("DELETE", path).status_code == 404


def test_a_finalizer_keeps_an_object_until_it_is_taken_off(cluster: LocalCluster, namespace: str) -> None:
    create(cluster, namespace, "a")
    path = f"{CONFIG_MAPS.format(namespace)}/a"
    cluster.merge(path, {"metadata": {"finalizers": ["example.com/hold"]}})
    cluster.call("DELETE", path)
    assert cluster.call("GET", path).json()["metadata"]["deletionTimestamp"]
    cluster.merge(path, {"metadata": {"finalizers": None}})
    assert cluster.call("GET", path).status_code == 404


def test_a_namespace_takes_with_it_what_is_in_it(cluster: LocalCluster, namespace: str) -> None:
    create(cluster, namespace, "a")
    assert cluster.call("DELETE", f"/api/v1/namespaces/{namespace}").status_code == 200
    eventually(lambda: cluster.call("GET", f"{CONFIG_MAPS.format(namespace)}/a").status_code == 404)


def test_a_network_policy_is_filled_in_as_by_the_real_server(cluster: LocalCluster, namespace: str) -> None:
    path = f"{POLICIES.format(namespace)}/a"
    made = cluster.apply(path, network_policy(namespace, "a", "web")).json()
    assert made["spec"]["policyTypes"] == ["Ingress"]
    assert made["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 8080}]
    emptied = cluster.apply(path, network_policy(namespace, "a")).json()
    assert "ingress" not in emptied["spec"]


def test_a_call_without_a_token_is_nobodys(cluster: LocalCluster) -> None:
    answer = cluster.http.get(f"{cluster.url}/api/v1/namespaces", timeout=5)
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")
