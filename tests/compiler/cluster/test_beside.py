"""What is printed for copying: a door beside a service, and the probe pod. Golden, valid, and no more than it needs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from apps.compiler.emitters.cluster import agent, networkpolicy, probe_pod, sidecar
from apps.compiler.emitters.cluster import machine as machines
from apps.compiler.emitters.cluster.calls import Calls, between_machines, in_cluster
from apps.compiler.emitters.cluster.objects import Account
from apps.compiler.graph import Variant
from apps.compiler.surroundings import ClusterSurroundings
from tests.compiler import estate
from tests.compiler.estate import PAYMENTS

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "SALLYPORT_REWRITE_GOLDEN"

CLUSTER = ClusterSurroundings("east", "https://console.shop.test", "shop.test", frozenset({"smi"}))
IMAGE = "registry.shop.test/sallyport-door:1"
DOOR = sidecar.Sidecar(IMAGE, "mesh", calls=Calls(in_cluster([estate.CART], "shop", {})))
TILL = sidecar.Sidecar("", "mesh", calls=Calls(between_machines([estate.CART], {"cart": "10.20.0.7:9201"})))
CART = Account("shop", "cart")
PROBE = probe_pod.ProbePod(IMAGE)
AGENT = agent.ClusterAgent(
    IMAGE,
    "agent",
    {"shop": [("networking.k8s.io", "networkpolicies"), ("access.smi-spec.io", "traffictargets")]},
    ("traffictargets.access.smi-spec.io", "networkpolicies.networking.k8s.io"),
    {"keys": [{"kty": "EC", "kid": "bundle-1"}]},
)

PLAIN: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "payments", "namespace": "shop"},
    "spec": {
        "selector": {"matchLabels": {"app": "payments"}},
        "template": {
            "metadata": {"labels": {"app": "payments"}},
            "spec": {"containers": [{"name": "payments", "image": "shop/payments:7"}]},
        },
    },
}


def merged(base: Any, change: Any) -> Any:
    """A strategic merge, as far as it is needed: objects by key, lists of named things by name."""
    if isinstance(base, dict) and isinstance(change, dict):
        return {key: merged(base.get(key), change.get(key)) for key in base.keys() | change.keys()}
    if isinstance(base, list) and isinstance(change, list):
        by_name = {one["name"]: one for one in base}
        return list({**by_name, **{one["name"]: merged(by_name.get(one["name"]), one) for one in change}}.values())
    return base if change is None else change


def printed() -> dict[str, str]:
    files = {
        f"door_{name}": text
        for name, text in {
            **sidecar.kustomization(PAYMENTS, CLUSTER, DOOR),
            **{f"machine_{Path(path).name}": text for path, text in machine().items()},
        }.items()
    }
    probe = {f"probe_{one['kind'].lower()}.json": sidecar.written(one) for one in probe_objects()}
    inside = {f"agent_{one['kind'].lower()}.json": sidecar.written(one) for one in agent_objects()}
    return {**files, **probe, **inside}


def machine() -> dict[str, str]:
    return dict(machines.files(PAYMENTS, CLUSTER, TILL, "till-1"))


def agent_objects(*, by_account: bool = True) -> tuple[dict[str, Any], ...]:
    return agent.objects(CLUSTER, replace(AGENT, by_account=by_account))


def probe_objects() -> tuple[dict[str, Any], ...]:
    return probe_pod.objects(CART, CLUSTER, PROBE)


@pytest.mark.parametrize("name", sorted(printed()))
def test_golden(name: str) -> None:
    if os.environ.get(REWRITE) == "1":
        (GOLDEN / name).write_text(printed()[name])
    assert printed()[name] == (GOLDEN / name).read_text()


def test_a_deployment_with_the_patch_is_valid_and_keeps_what_it_had() -> None:
    whole = merged(PLAIN, sidecar.patch(PAYMENTS, DOOR))
    kubernetes_validate.validate(whole, "1.31", strict=True)
    pod = whole["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["payments", "sallyport-door"]
    assert whole["spec"]["template"]["metadata"]["labels"] == {
        "app": "payments",
        "app.kubernetes.io/name": "payments",
        "injector.nsm.nginx.com/auto-inject": "disabled",
    }
    assert whole["spec"]["selector"] == PLAIN["spec"]["selector"]


def test_other_objects_are_valid() -> None:
    for one in (sidecar.config_map(PAYMENTS, CLUSTER, DOOR), *probe_objects(), *agent_objects()):
        kubernetes_validate.validate(one, "1.31", strict=True)


def test_only_the_part_that_ends_at_once_may_touch_the_network_and_only_that() -> None:
    pod = sidecar.patch(PAYMENTS, DOOR)["spec"]["template"]["spec"]
    [first], [door] = pod["initContainers"], pod["containers"]
    assert first["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    for container in (door, *probe_objects()[1]["spec"]["template"]["spec"]["containers"]):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["runAsNonRoot"]
    assert not any("privileged" in one["securityContext"] for one in (first, door))


def test_no_secret_is_printed_and_every_file_that_is_spoken_of_is_there() -> None:
    files = sidecar.kustomization(PAYMENTS, CLUSTER, DOOR)
    component = json.loads(files["kustomization.yaml"])
    assert {*component["resources"], *(one["path"] for one in component["patches"])} == files.keys() - {
        "kustomization.yaml"
    }
    volumes = json.loads(files["patch.json"])["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["configMap"]["name"] == json.loads(files["config-map.json"])["metadata"]["name"]
    assert "Secret" not in {json.loads(text).get("kind") for text in files.values()}


def test_every_port_of_the_application_is_turned_to_the_door() -> None:
    assert "tcp dport { 9202 } redirect to :9102" in sidecar.redirection(PAYMENTS, DOOR)
    two = replace(PAYMENTS, variants=(Variant("v2", 9212),))
    assert "tcp dport { 9202, 9212 } redirect to :9102" in sidecar.redirection(two, DOOR)
    with pytest.raises(sidecar.NoDoor):
        sidecar.redirection(replace(PAYMENTS, mesh=None), DOOR)


def test_a_door_can_stand_there_before_anybody_is_turned_to_it() -> None:
    rules = sidecar.redirection(PAYMENTS, replace(DOOR, shut=False))
    assert "prerouting" not in rules
    assert "hook output" in rules


def test_the_probe_pod_is_its_workload_and_never_takes_its_calls() -> None:
    settings, deployment = probe_objects()
    template = deployment["spec"]["template"]
    assert template["spec"]["serviceAccountName"] == "cart"
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "cart"
    assert template["metadata"]["labels"]["injector.nsm.nginx.com/auto-inject"] == "enabled"
    [container] = template["spec"]["containers"]
    assert container["readinessProbe"]["exec"]["command"] == ["false"]
    assert json.loads(settings["data"]["probe.json"])["workloads"] == ["spiffe://shop.test/ns/shop/sa/cart"]
    plain = probe_pod.objects(CART, replace(CLUSTER, emitters=frozenset({"networkpolicy"})), PROBE)
    assert "injector.nsm.nginx.com/auto-inject" not in plain[1]["spec"]["template"]["metadata"]["labels"]


def test_the_agent_may_do_what_it_needs_where_it_needs_it_and_nothing_else() -> None:
    roles = [one for one in agent_objects() if one["kind"] == "Role"]
    assert [(one["metadata"]["namespace"], one["rules"]) for one in roles] == [
        (
            "shop",
            [
                {"apiGroups": [group], "resources": [plural], "verbs": ["get", "list", "create", "patch", "delete"]}
                for group, plural in (
                    ("access.smi-spec.io", "traffictargets"),
                    ("networking.k8s.io", "networkpolicies"),
                )
            ],
        )
    ]
    assert not {one["kind"] for one in agent_objects()} & {"ClusterRole", "ClusterRoleBinding", "Secret", "Service"}
    (deployment,) = (one for one in agent_objects() if one["kind"] == "Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_agent_shows_a_token_for_this_console_alone_or_one_of_ours() -> None:
    def token(*, by_account: bool) -> Any:
        spec = agent_objects(by_account=by_account)[-1]["spec"]["template"]["spec"]
        return next(one for one in spec["volumes"] if one["name"] == "token")

    [source] = token(by_account=True)["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "audience": "https://console.shop.test",
        "expirationSeconds": 3600,
        "path": "node.token",
    }
    assert token(by_account=False)["secret"]["secretName"] == "sallyport-agent-token"


def test_nothing_of_it_bears_the_labels_by_which_the_console_removes_what_is_its_own() -> None:
    printed = [sidecar.config_map(PAYMENTS, CLUSTER, DOOR), *probe_objects(), *agent_objects()]
    found = [*printed, networkpolicy.baseline("shop")]
    for one in found:
        assert not {"app.kubernetes.io/managed-by", "sallyport.dev/cluster"} & one["metadata"]["labels"].keys()
