"""Trouble on demand, and what policies of a cluster refuse."""

from __future__ import annotations

import pytest
import requests

from tests.localcluster.cluster import LocalCluster
from tests.localcluster.manifests import CONFIG_MAPS, config_map


def test_a_fault_is_used_up(cluster: LocalCluster, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    cluster.faults({"method": "GET", "path": ".*/configmaps", "status": 429, "times": 1, "retry_after": 7})
    refused = cluster.call("GET", path)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert refused.json()["details"] == {"retryAfterSeconds": 7}
    assert cluster.call("GET", path).status_code == 200


def test_some_may_go_by_before(cluster: LocalCluster, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    cluster.faults({"path": ".*/configmaps", "status": 503, "skip": 1})
    assert [cluster.call("GET", path).status_code for _ in range(3)] == [200, 503, 200]


def test_an_answer_may_be_cut_after_the_work_is_done(cluster: LocalCluster, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    cluster.faults({"method": "POST", "path": ".*", "status": 0, "cut": True})
    with pytest.raises(requests.RequestException):
        cluster.call("POST", path, config_map(namespace, "a"))
    assert cluster.call("GET", f"{path}/a").status_code == 200


def test_an_answer_may_say_no_after_the_work_is_done(cluster: LocalCluster, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    cluster.faults({"method": "POST", "path": ".*", "status": 500, "after": True})
    assert cluster.call("POST", path, config_map(namespace, "a")).status_code == 500
    assert cluster.call("GET", f"{path}/a").status_code == 200


def test_a_proxy_before_the_server_answers_in_its_own_words(cluster: LocalCluster) -> None:
    cluster.faults({"path": "/version", "status": 502})
    answer = cluster.call("GET", "/version")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


def test_a_policy_refuses_what_it_is_about(cluster: LocalCluster, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    policy = {"webhook": "guard.example.com", "message": "no red", "resource": "configmaps.core", "name": ".*/red"}
    cluster.faults(admission=[policy])
    refused = cluster.apply(f"{path}/red", config_map(namespace, "red"), dryRun="All")
    assert refused.status_code == 403
    assert refused.json()["message"] == 'admission webhook "guard.example.com" denied the request: no red'
    assert cluster.apply(f"{path}/blue", config_map(namespace, "blue")).status_code == 201


def test_only_json_sets_a_fault(cluster: LocalCluster) -> None:
    cluster.standin()
    refused = requests.post(f"{cluster.url}/__localcluster/faults", data="{}", timeout=5)
    assert refused.status_code == 400
    wrong = requests.post(f"{cluster.url}/__localcluster/faults", json={"rules": [{"status": 500}]}, timeout=5)
    assert wrong.json()["message"] == "not a fault: 'path'"
