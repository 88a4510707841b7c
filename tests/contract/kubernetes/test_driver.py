"""The driver against a cluster: brought, read back, changed, taken away. The suite runs against a real one too."""

from __future__ import annotations

import json
import threading

import pytest

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.closing import NOBODY
from apps.rollout.drivers.kubernetes.compare import CLOSED, REVISION
from apps.rollout.drivers.kubernetes.driver import ClusterApi, ClusterConnection, KubernetesDriver
from tests.contract.kubernetes.site import (
    POLICIES,
    TARGETS,
    Counting,
    Hand,
    artifact,
    config,
    driver_for,
    ours,
    plan_of,
    service_objects,
)
from tests.localcluster.manifests import named, network_policy, target


def brought(driver: KubernetesDriver, *puts: object, deletes: tuple[str, ...] = (), number: int = 1) -> None:
    step = driver.apply(plan_of(driver, puts, deletes, number))  # type: ignore[arg-type]
    assert (step.done, step.error) == (True, "")


def test_setting_up_makes_nothing_and_says_who_answers(driver: KubernetesDriver) -> None:
    assert str(driver.setup()["server_version"]).startswith("v1.")


def test_a_kind_the_cluster_does_not_know_is_named(api: ClusterApi, namespace: str) -> None:
    unknown = "backendtlspolicies.gateway.networking.k8s.io"
    driver = KubernetesDriver(api, type(config())(cluster="test", namespaces=(namespace,), kinds=(POLICIES, unknown)))
    with pytest.raises(VendorError, match=unknown) as caught:
        driver.setup()
    assert caught.value.kind == "kinds_missing"


def test_what_is_brought_is_found_again(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    objects = service_objects(namespace, "cart", "web")
    step = driver.apply(plan_of(driver, objects))
    assert (step.done, step.applied) == (True, {one.path: one.sha256 for one in objects})
    assert driver.observe(objects).artifacts == {one.path: one.sha256 for one in objects}
    found = hand.get(target(namespace, "sp-cart"))
    assert found is not None
    assert found["metadata"]["labels"][REVISION] == "1"
    assert {row["manager"] for row in found["metadata"]["managedFields"]} == {"sallyport"}


def test_bringing_it_again_writes_nothing(driver: KubernetesDriver, counted: Counting, namespace: str) -> None:
    objects = service_objects(namespace, "cart", "web")
    brought(driver, *objects)
    counted.reset()
    brought(driver, *objects, number=2)
    assert counted.seen == {"GET": 3}


def test_a_grant_goes_from_the_routes_to_the_network_and_a_revocation_back(
    driver: KubernetesDriver, counted: Counting, namespace: str
) -> None:
    brought(driver, *service_objects(namespace, "cart", "web"))
    assert [one for one in counted.order if one.startswith("PATCH ") and "dry" not in one] == [
        "PATCH httproutegroups",
        "PATCH traffictargets",
        "PATCH networkpolicies",
    ]
    brought(driver, *service_objects(namespace, "cart", "web", "pay"), number=2)
    counted.reset()
    brought(driver, *service_objects(namespace, "cart", "web"), number=3)
    assert [one for one in counted.order if one.startswith("PATCH ") and "dry" not in one] == [
        "PATCH networkpolicies",
        "PATCH traffictargets",
    ]


def test_one_change_among_many_touches_only_its_own(
    driver: KubernetesDriver, counted: Counting, namespace: str
) -> None:
    brought(driver, *(one for number in range(5) for one in service_objects(namespace, f"s{number}", "web")))
    counted.reset()
    changed = service_objects(namespace, "s3", "web", "pay")[1]
    brought(driver, changed, number=2)
    assert counted.seen == {"GET": 1, "PATCH dry": 1, "PATCH": 1}


def test_what_a_newer_revision_no_longer_says_goes_from_the_object(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    with_port = {"destination": {"kind": "ServiceAccount", "name": "cart", "namespace": namespace, "port": 8080}}
    brought(driver, artifact(target(namespace, "sp-cart", "web", **with_port)))
    newer = artifact(target(namespace, "sp-cart", "web"))
    assert driver.observe([newer]).artifacts[newer.path] != newer.sha256
    brought(driver, newer, number=2)
    found = hand.get(target(namespace, "sp-cart"))
    assert found is not None
    assert "port" not in found["spec"]["destination"]


def test_a_change_by_hand_is_seen_and_what_was_only_added_is_told_apart(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    brought(driver, *objects)
    added, changed = network_policy(namespace, "sp-cart"), target(namespace, "sp-cart")
    hand.merge(added, {"spec": {"egress": [{}]}})
    hand.merge(changed, {"spec": {"sources": []}})
    held = driver.read_back(objects).objects
    paths = {one.path.split("/")[1]: one for one in objects}
    assert held[paths[POLICIES].path].sha256 == paths[POLICIES].sha256
    assert ".spec.egress" in held[paths[POLICIES].path].others["kubectl-edit"]
    assert held[paths[TARGETS].path].sha256 not in ("", paths[TARGETS].sha256)
    assert json.loads(held[paths[TARGETS].path].text)["spec"]["sources"] == []


def test_what_the_server_and_controllers_add_is_no_difference(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    brought(driver, *objects)
    hand.merge(target(namespace, "sp-cart"), {"metadata": {"annotations": {"example.com/seen": "yes"}}})
    assert driver.observe(objects).artifacts == {one.path: one.sha256 for one in objects}


def test_what_lost_our_labels_is_seen_as_changed(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    objects = [artifact(network_policy(namespace, f"sp-{number}", "web")) for number in range(12)]
    brought(driver, *objects)
    hand.merge(network_policy(namespace, "sp-3"), {"metadata": {"labels": {"sallyport.dev/cluster": None}}})
    hand.delete(network_policy(namespace, "sp-4"))
    observed = driver.observe(objects).artifacts
    assert {path.rsplit("-", 1)[-1] for path, found in observed.items() if found == ""} == {"4.json"}
    assert observed[objects[3].path] not in ("", objects[3].sha256)
    assert sum(found == one.sha256 for one, found in zip(objects, observed.values(), strict=True)) == 10


def test_only_what_bears_our_labels_is_deleted(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    mine, theirs = network_policy(namespace, "mine"), network_policy(namespace, "theirs")
    brought(driver, artifact(mine))
    hand.apply(theirs)
    other = ours(network_policy(namespace, "elsewhere"), cluster="another")
    hand.apply(other)
    paths = tuple(artifact(one).path for one in (mine, theirs, other))
    step = driver.apply(plan_of(driver, [], paths, 2))
    assert (step.done, step.applied) == (True, dict.fromkeys(paths, ""))
    assert [hand.get(one) is None for one in (mine, theirs, other)] == [True, False, False]


def test_taking_our_labels_off_an_object_does_not_save_it(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    kept, ended = network_policy(namespace, "kept", "web"), network_policy(namespace, "ended", "web")
    brought(driver, artifact(kept), artifact(ended))
    for one in (kept, ended):
        hand.merge(one, {"metadata": {"labels": None}})
    brought(driver, artifact(kept), deletes=(artifact(ended).path,), number=2)
    assert hand.get(ended) is None
    assert driver.observe([artifact(kept)]).artifacts == {artifact(kept).path: artifact(kept).sha256}


def test_strays_are_ours_but_in_no_revision(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    known, stray = artifact(network_policy(namespace, "known")), artifact(network_policy(namespace, "stray"))
    brought(driver, known, stray)
    hand.apply(network_policy(namespace, "theirs"))
    assert driver.read_back().strays({known.path}) == (stray.path,)


# -- the door that must not be opened by closing it ------------------------------------------------------------------
def test_the_last_target_of_a_destination_is_replaced_by_one_for_nobody(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    brought(driver, *objects)
    step = driver.apply(plan_of(driver, [], [one.path for one in objects], 2))
    assert (step.done, step.applied) == (True, {one.path: "" for one in objects})
    left = hand.get(target(namespace, "sp-cart"))
    assert left is not None
    assert [one["name"] for one in left["spec"]["sources"]] == [NOBODY]
    assert left["spec"]["destination"]["name"] == "cart"
    assert (left["metadata"]["labels"][CLOSED], "rules" in left["spec"]) == ("true", False)
    assert driver.read_back().objects == {}
    assert driver.held([objects[1].path], objects) == {}


def test_a_new_grant_takes_the_place_of_the_one_for_nobody(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    brought(driver, *objects)
    brought(driver, deletes=tuple(one.path for one in objects), number=2)
    brought(driver, *objects, number=3)
    found = hand.get(target(namespace, "sp-cart"))
    assert found is not None
    assert ([one["name"] for one in found["spec"]["sources"]], CLOSED in found["metadata"]["labels"]) == (
        ["web"],
        False,
    )


def test_of_several_targets_one_keeps_the_door_shut(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    pair = [artifact(target(namespace, name, "web")) for name in ("sp-a", "sp-b")]
    brought(driver, *pair)
    brought(driver, deletes=tuple(one.path for one in pair), number=2)
    left = [hand.get(target(namespace, name)) for name in ("sp-a", "sp-b")]
    assert [one is not None for one in left] == [True, False]


def test_a_target_for_all_ports_keeps_them_all_shut(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    on_port = {"destination": {"kind": "ServiceAccount", "name": "cart", "namespace": namespace, "port": 80}}
    trio = [artifact(target(namespace, name, "web", **on_port)) for name in ("sp-a", "sp-b")]
    trio.append(artifact(target(namespace, "sp-c", "web")))
    brought(driver, *trio)
    brought(driver, deletes=(trio[0].path,), number=2)
    brought(driver, deletes=(trio[1].path, trio[2].path), number=3)
    left = [hand.get(target(namespace, name)) for name in ("sp-a", "sp-b", "sp-c")]
    assert [one is not None for one in left] == [False, False, True]


def test_a_target_that_is_not_the_last_goes(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    hand.apply(target(namespace, "theirs", "web"))
    brought(driver, artifact(target(namespace, "sp-a", "web")))
    brought(driver, deletes=(artifact(target(namespace, "sp-a")).path,), number=2)
    assert hand.get(target(namespace, "sp-a")) is None


def test_where_nothing_is_open_by_itself_the_last_target_goes(api: ClusterApi, hand: Hand, namespace: str) -> None:
    driver = driver_for(api, namespace, access_control="deny")
    objects = service_objects(namespace, "cart", "web")
    brought(driver, *objects)
    brought(driver, deletes=tuple(one.path for one in objects), number=2)
    assert hand.get(target(namespace, "sp-cart")) is None


# -- two at once -----------------------------------------------------------------------------------------------------
def test_two_consoles_that_bring_the_same_do_not_get_in_each_others_way(
    connection: ClusterConnection, hand: Hand, namespace: str
) -> None:
    objects = [one for number in range(4) for one in service_objects(namespace, f"s{number}", "web")]
    gone = artifact(network_policy(namespace, "old"))
    first = ClusterApi(connection)
    brought(driver_for(first, namespace), gone)
    steps = []

    def console() -> None:
        api = ClusterApi(connection)
        driver = driver_for(api, namespace)
        for _ in range(3):
            steps.append(driver.apply(plan_of(driver, objects, [gone.path], 2)))
        api.close()

    threads = [threading.Thread(target=console) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {step.trouble for step in steps} <= {"", "changed_meanwhile"}
    driver = driver_for(first, namespace)
    brought(driver, *objects, deletes=(gone.path,), number=2)
    assert driver.observe(objects).artifacts == {one.path: one.sha256 for one in objects}
    assert hand.get(network_policy(namespace, "old")) is None
    first.close()


# -- what our verifier consists of -----------------------------------------------------------------------------------
def verifier(namespace: str) -> tuple[Artifact, ...]:
    own = {"app.kubernetes.io/name": "verifier"}
    container = {"name": "nginx", "image": "nginx:1.27", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": own}, "spec": {"containers": [container]}}
    deployment = {"replicas": 0, "selector": {"matchLabels": own}, "template": template}
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    objects = (
        named("v1", "ConfigMap", namespace, "sp-verifier", data={"grants.map": "a b;"}),
        named("v1", "Secret", namespace, "sp-keys", type="Opaque", stringData={"jwk": "{}"}),
        named("v1", "Service", namespace, "sp-verifier", spec={"selector": own, "ports": ports}),
        named("apps/v1", "Deployment", namespace, "sp-verifier", spec=deployment),
    )
    return tuple(artifact(one, "verifier") for one in objects)


def test_what_a_verifier_consists_of_is_brought_and_found_again(
    driver: KubernetesDriver, counted: Counting, hand: Hand, namespace: str
) -> None:
    objects = verifier(namespace)
    brought(driver, *objects)
    assert driver.observe(objects).artifacts == {one.path: one.sha256 for one in objects}
    counted.reset()
    brought(driver, *objects, number=2)
    assert counted.seen == {"GET": 4}
    brought(driver, deletes=tuple(one.path for one in objects), number=3)
    assert set(driver.observe(objects).artifacts.values()) == {""}


def test_what_a_program_decides_by_is_written_though_the_service_is_refused_something(
    driver: KubernetesDriver, namespace: str
) -> None:
    data = artifact(named("v1", "ConfigMap", namespace, "sp-cart-policy", data={"grants.map": ""}))
    wrong = artifact(target(namespace, "sp-cart", "web", destination={"kind": "ServiceAccount"}))
    step = driver.apply(plan_of(driver, [data, wrong]))
    assert (step.done, step.applied) == (False, {data.path: data.sha256})
