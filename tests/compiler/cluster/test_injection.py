"""Somebody's own Deployment with a sidecar in it: complete, valid, twice the same, and refused where it would break."""

from __future__ import annotations

import copy
import json
from typing import Any

import kubernetes_validate
import pytest

from apps.compiler.emitters.cluster.calls import Calls, in_cluster
from apps.compiler.emitters.cluster.injection import CannotInject, injected
from apps.compiler.emitters.cluster.sidecar import USER, Caller, Sidecar, patch
from tests.compiler.cluster.test_beside import CLUSTER
from tests.compiler.estate import CART, PAYMENTS

SIDECAR = Sidecar("registry.shop.test/sallyport-door:1", "mesh", calls=Calls(in_cluster([CART], "shop", {})))
ASKED = {"httpGet": {"path": "/healthz", "port": "web"}, "periodSeconds": 3}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "payments", "namespace": "shop", "annotations": {"owner": "money"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "payments"}},
        "template": {
            "metadata": {"labels": {"app": "payments", "injector.nsm.nginx.com/auto-inject": "enabled"}},
            "spec": {
                "serviceAccountName": "payments",
                "securityContext": {"runAsNonRoot": True, "runAsUser": 1000},
                "initContainers": [{"name": "schema", "image": "shop/payments:7", "command": ["migrate"]}],
                "containers": [
                    {
                        "name": "payments",
                        "image": "shop/payments:7",
                        "ports": [{"name": "web", "containerPort": 9202}, {"name": "metrics", "containerPort": 9100}],
                        "livenessProbe": ASKED,
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 9202}},
                        "startupProbe": {"httpGet": {"path": "/metrics", "port": "metrics"}},
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
        },
    },
}


def changed(**parts: Any) -> dict[str, Any]:
    """The Deployment with parts of its pod replaced."""
    found = copy.deepcopy(DEPLOYMENT)
    found["spec"]["template"]["spec"].update(parts)
    return found


def with_container(**parts: Any) -> dict[str, Any]:
    return changed(containers=[{**DEPLOYMENT["spec"]["template"]["spec"]["containers"][0], **parts}])


def put_in(workload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return injected(workload, PAYMENTS, CLUSTER, SIDECAR)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_what_is_printed_is_valid_and_keeps_what_was_there(kind: str) -> None:
    given = {**DEPLOYMENT, "kind": kind}
    if kind == "StatefulSet":
        given = {**given, "spec": {**given["spec"], "serviceName": "payments"}}
    if kind == "DaemonSet":
        given = {**given, "spec": {name: part for name, part in given["spec"].items() if name != "replicas"}}
    before = copy.deepcopy(given)
    config_map, whole = put_in(given)
    assert given == before
    for one in (config_map, whole):
        kubernetes_validate.validate(one, "1.31", strict=True)
    pod = whole["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == ["sallyport-redirect", "schema"]
    assert {one["name"] for one in pod["containers"]} == {"payments", "sallyport-door"}
    assert {one["name"] for one in pod["volumes"]} >= {"data", "sallyport-settings"}
    assert whole["metadata"] == given["metadata"]
    assert whole["spec"]["template"]["metadata"]["labels"] == {
        "app": "payments",
        "app.kubernetes.io/name": "payments",
        "injector.nsm.nginx.com/auto-inject": "disabled",
    }


def test_the_kubelet_asks_the_sidecar_what_it_asked_the_application_and_only_that() -> None:
    config_map, whole = put_in(DEPLOYMENT)
    [container] = [one for one in whole["spec"]["template"]["spec"]["containers"] if one["name"] == "payments"]
    assert container["livenessProbe"] == {
        "httpGet": {"path": "/payments/livenessProbe", "port": 15020},
        "periodSeconds": 3,
    }
    assert container["startupProbe"] == {"httpGet": {"path": "/metrics", "port": "metrics"}}
    assert json.loads(config_map["data"]["agent.json"])["health"] == {
        "port": 15020,
        "checks": {"/payments/livenessProbe": "9202/healthz", "/payments/readinessProbe": "9202/ready"},
    }


def test_doing_it_again_changes_nothing() -> None:
    config_map, whole = put_in(DEPLOYMENT)
    assert put_in(whole) == (config_map, whole)


def test_what_somebody_changed_since_is_not_put_back() -> None:
    _, whole = put_in(DEPLOYMENT)
    [container] = [one for one in whole["spec"]["template"]["spec"]["containers"] if one["name"] == "payments"]
    del container["livenessProbe"]
    container["readinessProbe"]["httpGet"] = {"path": "/now", "port": 9202}
    config_map, _ = put_in(whole)
    assert json.loads(config_map["data"]["agent.json"])["health"]["checks"] == {"/payments/readinessProbe": "9202/now"}


def test_it_holds_what_the_patch_for_copying_holds() -> None:
    _, whole = put_in(DEPLOYMENT)
    ours = patch(PAYMENTS, SIDECAR)["spec"]["template"]["spec"]
    pod = whole["spec"]["template"]["spec"]
    for part in ("initContainers", "containers", "volumes"):
        assert all(one in pod[part] for one in ours[part])


def test_a_workload_that_only_calls_gets_no_door_and_no_rules_for_what_arrives() -> None:
    web = Caller("shop", "web", "spiffe://shop.test/ns/shop/sa/web")
    given = {**DEPLOYMENT, "metadata": {"name": "web"}}
    config_map, whole = injected(given, web, CLUSTER, SIDECAR)
    kubernetes_validate.validate(whole, "1.31", strict=True)
    rules = config_map["data"]["redirect.nft"]
    assert "hook output" in rules
    assert "prerouting" not in rules
    settings = json.loads(config_map["data"]["agent.json"])
    assert (settings["node"], settings["calls"]["as"]) == ("shop-web", web.workload)
    assert "health" not in settings
    assert "ship" not in settings


BAD = [
    ({**DEPLOYMENT, "kind": "CronJob"}, "not into a CronJob"),
    ({**DEPLOYMENT, "spec": {}}, "no pod template"),
    ({**DEPLOYMENT, "metadata": {"name": "payments", "namespace": "front"}}, "this Deployment is in front"),
    (changed(hostNetwork=True), "whole node's connections"),
    (changed(securityContext={"runAsUser": USER}), "whose calls nobody turns"),
    (with_container(securityContext={"runAsUser": USER}), "whose calls nobody turns"),
    (with_container(ports=[{"containerPort": 9102}]), "listens on 9102"),
    (with_container(ports=[{"containerPort": 15001}]), "listens on 15001"),
    (with_container(livenessProbe={"grpc": {"port": 9202}}), "cannot pass on"),
    (with_container(livenessProbe={"httpGet": {"path": "/x?y", "port": 9202}}), "cannot pass on"),
    (with_container(livenessProbe={"httpGet": {"scheme": "HTTPS", "port": 9202}}), "cannot pass on"),
    (
        {
            **DEPLOYMENT,
            "spec": {**DEPLOYMENT["spec"], "selector": {"matchLabels": {"app.kubernetes.io/name": "till"}}},
        },
        "labelled payments",
    ),
]


@pytest.mark.parametrize(("workload", "why"), BAD, ids=[why for _, why in BAD])
def test_what_would_break_or_open_a_way_past_is_refused_with_words(workload: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotInject, match=why):
        put_in(workload)
