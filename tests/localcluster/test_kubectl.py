"""``kubectl`` as a client that is none of ours: what it does with a real server it does with ours, and sees us."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from apps.rollout.drivers.kubernetes.driver import ClusterApi, KubernetesDriver, rbac_manifest
from tests.contract.kubernetes.site import CHOSEN, artifact, driver_for, plan_of, service_objects
from tests.localcluster.certificates import own_certificate
from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.localcluster.definitions import DEFINITIONS
from tests.localcluster.manifests import network_policy, target

KUBECTL = shutil.which("kubectl")
EVENT = 'jsonpath={.type} {.object.metadata.name}{"\\n"}'
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on this machine")


@dataclass(frozen=True)
class Kubectl:
    """As one user of one cluster."""

    home: Path
    cluster: LocalCluster
    token: str = ADMIN

    def arguments(self, *arguments: str) -> list[str]:
        return [str(KUBECTL), "--kubeconfig", str(self._file()), "--cache-dir", str(self.home / "cache"), *arguments]

    def run(self, *arguments: str, given: object = None) -> subprocess.CompletedProcess[str]:
        document = given if isinstance(given, str) or given is None else json.dumps(given)
        return subprocess.run(
            self.arguments(*arguments),
            input=document,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def done(self, *arguments: str, given: object = None) -> str:
        ended = self.run(*arguments, given=given)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def refused(self, *arguments: str, given: object = None) -> str:
        ended = self.run(*arguments, given=given)
        assert ended.returncode != 0, ended.stdout
        return ended.stderr

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home)}

    def _file(self) -> Path:
        authority = base64.b64encode(self.cluster.ca_pem.encode()).decode()
        place = {"server": self.cluster.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": place}],
            "users": [{"name": "me", "user": {"token": self.token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "current-context": "here",
        }
        file = self.home / f"{self.token[:8]}.json"
        file.write_text(json.dumps(config))
        return file


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """With TLS: over plain HTTP kubectl sends no token."""
    directory = tmp_path_factory.mktemp("kubectl")
    certificate, key = own_certificate(directory)
    cluster = cluster_in(directory, certificate=str(certificate), key=str(key))
    cluster.start()
    cluster.load(DEFINITIONS)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(tmp_path_factory.mktemp("home"), cluster)


@pytest.fixture
def driver(cluster: LocalCluster) -> Iterator[KubernetesDriver]:
    api = ClusterApi(cluster.connection())
    yield driver_for(api, "shop")
    api.close()
    for path in ("networkpolicies.networking.k8s.io", "traffictargets.access.smi-spec.io"):
        plural, _, group = path.partition(".")
        version = "v1" if group == "networking.k8s.io" else "v1alpha2"
        cluster.call("DELETE", f"/apis/{group}/{version}/namespaces/shop/{plural}")


def managers(cluster: LocalCluster, name: str) -> set[str]:
    path = f"/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/{name}"
    return {row["manager"] for row in cluster.call("GET", path).json()["metadata"]["managedFields"]}


def test_it_applies_server_side_after_a_try_and_what_nobody_declared_is_refused(
    kubectl: Kubectl, driver: KubernetesDriver, cluster: LocalCluster
) -> None:
    both = "\n".join(json.dumps(one) for one in (network_policy("shop", "a", "web"), target("shop", "b", "web")))
    tried = kubectl.done("apply", "--server-side", "--dry-run=server", "-f", "-", given=both)
    assert tried.splitlines() == [
        "networkpolicy.networking.k8s.io/a serverside-applied (server dry run)",
        "traffictarget.access.smi-spec.io/b serverside-applied (server dry run)",
    ]
    assert kubectl.done("get", "networkpolicies,traffictargets", "-n", "shop", "-o", "name") == ""
    kubectl.done("apply", "--server-side", "-f", "-", given=both)
    assert managers(cluster, "a") == {"kubectl"}
    wrong = target("shop", "c", "web", sorces=[])
    assert "sorces" in kubectl.refused("apply", "--server-side", "-f", "-", given=wrong)


def test_it_is_told_that_we_manage_a_field_and_we_that_it_does(
    kubectl: Kubectl, driver: KubernetesDriver, cluster: LocalCluster
) -> None:
    ours = artifact(network_policy("shop", "sp-cart", "web"))
    assert driver.apply(plan_of(driver, [ours])).done
    theirs = network_policy("shop", "sp-cart", "pay")
    told = kubectl.refused("apply", "--server-side", "-f", "-", given=theirs)
    assert 'conflict with "sallyport": .spec.ingress' in told
    kubectl.done("apply", "--server-side", "--force-conflicts", "-f", "-", given=theirs)
    assert driver.observe([ours]).artifacts[ours.path] not in ("", ours.sha256)
    newer = artifact(network_policy("shop", "sp-cart", "web", "pay"))
    assert driver.apply(plan_of(driver, [newer], number=2)).trouble == "conflict"
    assert [one.manager for one in driver.conflicts[ours.path]] == ["kubectl"]


def test_it_chooses_by_our_labels_watches_and_deletes(
    kubectl: Kubectl, driver: KubernetesDriver, cluster: LocalCluster
) -> None:
    objects = service_objects("shop", "cart", "web")
    driver.apply(plan_of(driver, objects, number=7))
    kubectl.done("apply", "-f", "-", given=network_policy("shop", "theirs"))
    chosen = ("networkpolicies", "-n", "shop", "-l", "app.kubernetes.io/managed-by=sallyport")
    assert kubectl.done("get", *chosen, "-o", "name") == "networkpolicy.networking.k8s.io/sp-cart"
    columns = kubectl.done("get", *chosen).splitlines()[0].split()
    assert (columns[0], columns[-1]) == ("NAME", "AGE")
    watch = subprocess.Popen(
        kubectl.arguments("get", *chosen, "-w", "--output-watch-events", "-o", EVENT),
        env=kubectl.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        lines = watch.stdout
        assert lines is not None
        assert lines.readline() == "ADDED sp-cart\n"
        kubectl.done("delete", "networkpolicy", "sp-cart", "-n", "shop")
        assert lines.readline() == "DELETED sp-cart\n"
    finally:
        watch.kill()
        watch.wait(10)
    assert driver.observe(objects).artifacts[objects[2].path] == ""


def test_our_manifest_is_applied_as_the_page_says_and_grants_just_what_is_needed(
    kubectl: Kubectl, cluster: LocalCluster
) -> None:
    manifest = rbac_manifest(["shop"], CHOSEN)
    made = kubectl.done("apply", "-f", "-", given=manifest).splitlines()
    assert [line.rsplit(" ", 1)[1] for line in made] == ["created"] * 5
    again = kubectl.done("apply", "-f", "-", given=manifest).splitlines()
    assert [line.rsplit(" ", 1)[1] for line in again] == ["unchanged"] * 5
    fewer = kubectl.done("apply", "-f", "-", given=rbac_manifest(["shop"], CHOSEN[:2])).splitlines()
    assert [line.rsplit(" ", 1)[1] for line in fewer].count("configured") == 1
    kubectl.done("apply", "-f", "-", given=manifest)
    secret = kubectl.done("-n", "sallyport", "get", "secret", "sallyport-token", "-o", "jsonpath={.data.token}")
    token = base64.b64decode(secret).decode()
    account = replace(kubectl, token=token)
    one = network_policy("shop", "a", "web")
    tried = account.done("apply", "--server-side", "--dry-run=server", "-f", "-", given=one)
    assert tried == "networkpolicy.networking.k8s.io/a serverside-applied (server dry run)"
    assert 'cannot list resource "networkpolicies"' in account.refused("get", "networkpolicies", "-n", "default")
    assert 'cannot list resource "secrets"' in account.refused("get", "secrets", "-n", "shop")
    api = ClusterApi(cluster.connection(token))
    assert driver_for(api, "shop").access_review().suffices
    api.close()
