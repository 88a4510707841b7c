"""Files that somebody else applies are written from what the console knows, hold no secret, and say what is missing."""

from __future__ import annotations

import json
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from apps.audit.actors import SYSTEM
from apps.rollout.cluster.settings import ClusterSettings
from apps.rollout.models import DriverName, Target
from apps.rollout.services.targets import TargetSpec, ensure_target
from tests.factories import access
from tests.factories.pages import mesh_target


@pytest.fixture
def shop(db: None) -> access.Shop:
    return access.shop()


@pytest.fixture
def cluster(shop: access.Shop, at: datetime) -> Target:
    spec = TargetSpec("east", "East", DriverName.KUBERNETES, ClusterSettings(("networkpolicy",), ("shop",)).config)
    return ensure_target(spec=spec, actor=SYSTEM, at=at)


def written(folder: Path, *arguments: str) -> dict[str, str]:
    call_command("write_handout", *arguments[:1], str(folder), *arguments[1:])
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_door_for_pods_takes_its_policy_from_the_mesh_of_the_environment(
    tmp_path: Path, cluster: Target, at: datetime
) -> None:
    mesh_target(at)
    files = written(tmp_path, "east", "--door", "payments", "--image", "shop/door:1")
    assert files.keys() == {"kustomization.yaml", "config-map.json", "patch.json"}
    settings = json.loads(json.loads(files["config-map.json"])["data"]["agent.json"])
    assert settings["target"] == "mesh"
    assert settings["workloads"] == ["spiffe://shop.test/ns/shop/sa/payments"]
    assert '"image": "shop/door:1"' in files["patch.json"]


def test_a_door_for_a_machine_needs_no_cluster(tmp_path: Path, shop: access.Shop, at: datetime) -> None:
    mesh_target(at)
    files = written(tmp_path, "mesh", "--machine", "payments", "--node", "till-1")
    assert json.loads(files["etc/sallyport/agent.json"])["node"] == "till-1"
    assert "etc/systemd/system/sallyport-door.service" in files


def test_a_workload_is_told_of_the_services_it_calls_and_of_no_others(
    tmp_path: Path, cluster: Target, at: datetime
) -> None:
    mesh_target(at)
    files = written(tmp_path / "one", "east", "--door", "front/web", "--call", "payments=payments.shop.svc:80")
    settings = json.loads(json.loads(files["config-map.json"])["data"]["agent.json"])
    assert settings["workloads"] == ["spiffe://shop.test/ns/front/sa/web"]
    assert settings["calls"]["ways"].keys() == {"payments"}
    assert settings["calls"]["ways"]["payments"]["at"] == "payments.shop.svc:80"
    every = written(tmp_path / "every", "east", "--door", "payments", "--call-all")
    ways = json.loads(json.loads(every["config-map.json"])["data"]["agent.json"]).get("calls", {"ways": {}})["ways"]
    assert "payments" not in ways


def test_a_deployment_is_read_and_printed_with_a_sidecar(
    cluster: Target, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_target(at)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "payments"}, "spec": {"ports": []}}
    pod = {"metadata": {"labels": {"app": "payments"}}, "spec": {"containers": [{"name": "payments", "image": "p:7"}]}}
    spec = {"selector": {"matchLabels": {"app": "payments"}}, "template": pod}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "payments"}, "spec": spec}
    given = yaml.safe_dump_all([service, deployment])

    def printed(*arguments: str) -> list[Any]:
        out = StringIO()
        monkeypatch.setattr("sys.stdin", StringIO(given))
        call_command("inject_door", "east", *arguments, stdout=out)
        return list(yaml.safe_load_all(out.getvalue()))

    found = printed("payments", "--image", "shop/door:1")
    assert [one["kind"] for one in found] == ["Service", "ConfigMap", "Deployment"]
    assert found[0] == service
    names = [one["name"] for one in found[2]["spec"]["template"]["spec"]["containers"]]
    assert sorted(names) == ["payments", "sallyport-door"]
    with pytest.raises(CommandError, match="0 of the documents read could be meant"):
        printed("payments", "--name", "other")
    given = "a: [b"
    with pytest.raises(CommandError, match="is no YAML"):
        printed("payments")


def test_a_probe_pod_and_a_baseline_are_a_clusters(tmp_path: Path, cluster: Target, at: datetime) -> None:
    [probe] = written(tmp_path / "probe", "east", "--probe", "shop/cart").values()
    assert [one["kind"] for one in json.loads(probe)["items"]] == ["ConfigMap", "Deployment"]
    [baseline] = written(tmp_path / "base", "east", "--baseline", "shop", "--egress").values()
    assert json.loads(baseline)["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    mesh_target(at)
    with pytest.raises(CommandError, match="is no Kubernetes cluster"):
        written(tmp_path, "mesh", "--baseline", "shop")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--door", "payments"), "has no target with driver nginx"),
        (("--door", "nothing"), "nothing is no service that the mesh of"),
        (("--probe", "cart"), "Name the account as namespace/name"),
        (("--door", "Shop/cart"), "Name the account as namespace/name"),
        (("--door", "front/web", "--call", "nothing"), "nothing is no other service that the mesh of"),
        (("--door", "front/web", "--call", "payments=nowhere"), "The place of payments is host:port"),
        (("--door", "front/web", "--call", "payments", "--leave", "here"), "here is no network"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, cluster: Target, arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        written(tmp_path, "east", *arguments)


def test_the_agent_of_a_cluster_is_printed_with_the_keys_it_believes_and_no_secret(
    tmp_path: Path, cluster: Target
) -> None:
    with pytest.raises(CommandError, match="The console itself writes to East"):
        written(tmp_path, "east", "--agent")
    Target.objects.update(delivery="pulled")
    [printed] = written(tmp_path, "east", "--agent", "--image", "shop/agent:1").values()
    items = {one["kind"]: one for one in yaml.safe_load_all(printed)}
    settings = json.loads(items["ConfigMap"]["data"]["agent.json"])
    assert (settings["target"], settings["namespaces"]) == ("east", ["shop"])
    assert settings["kinds"] == ["networkpolicies.networking.k8s.io"]
    keys = json.loads(items["ConfigMap"]["data"]["keys.json"])["keys"]
    assert keys
    assert not any("d" in key for key in keys)
    assert "Secret" not in items
    assert items["Role"]["rules"][0]["resources"] == ["networkpolicies"]
