"""The Kubernetes driver on bad days: outages, kills, cut answers, admission, and 5,000 objects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.compare import to_send
from apps.rollout.drivers.kubernetes.driver import Change, ClusterApi, Ear, KubernetesDriver, Seen
from apps.rollout.drivers.kubernetes.read import parsed
from apps.rollout.drivers.kubernetes.watch import MOST_WAITING, SILENCE_SECONDS, STREAM_SECONDS
from tests.contract.kubernetes.site import CHOSEN, Counting, artifact, config, driver_for, plan_of, service_objects
from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import LocalCluster, eventually
from tests.localcluster.definitions import DEFINITIONS
from tests.localcluster.manifests import POLICIES, TARGETS, network_policy, target

SERVICES = [f"s{number}" for number in range(4)]
LARGE = {"small": ["web"], "large": [f"caller-{number}" for number in range(1500)]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    directory: Path = tmp_path_factory.mktemp("trouble")
    cluster = cluster_in(directory, namespaces=["shop", "big", "killed", "slow"], bookmark_seconds=0.1)
    cluster.start()
    cluster.load(DEFINITIONS)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(running: LocalCluster) -> Iterator[LocalCluster]:
    yield running
    running.faults()
    for path in (TARGETS, POLICIES):
        running.call("DELETE", path.format("shop"))


@pytest.fixture
def counted() -> Counting:
    return Counting()


@pytest.fixture
def driver(cluster: LocalCluster, counted: Counting) -> Iterator[KubernetesDriver]:
    api = ClusterApi(cluster.connection(), on_answer=counted)
    yield driver_for(api, "shop")
    api.close()


def objects() -> list[object]:
    return [one for service in SERVICES for one in service_objects("shop", service, "web")]


def names(cluster: LocalCluster, path: str, namespace: str = "shop") -> list[str]:
    listing = cluster.call("GET", path.format(namespace)).json()
    return [one["metadata"]["name"] for one in listing["items"]]


# -- outages ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fault", "trouble", "wait"),
    [
        ({"status": 503}, "unavailable", None),
        ({"status": 500}, "unavailable", None),
        ({"status": 429, "retry_after": 7}, "throttled", 7.0),
        ({"status": 502}, "unavailable", None),
        ({"status": 0, "cut": True}, "cut", None),
    ],
)
def test_an_outage_in_the_middle_stops_the_rest_and_the_next_run_ends_it(
    cluster: LocalCluster,
    driver: KubernetesDriver,
    counted: Counting,
    fault: dict[str, object],
    trouble: str,
    wait: float,
) -> None:
    wanted = objects()
    cluster.faults({"method": "PATCH", "path": ".*/networkpolicies/.*", "skip": 4, "times": 1000, **fault})
    step = driver.apply(plan_of(driver, wanted))
    assert (step.done, step.trouble, step.retry_after) == (False, trouble, wait)
    applied = set(step.applied)
    assert len(applied) >= 8
    cluster.faults()
    counted.reset()
    step = driver.apply(plan_of(driver, wanted))
    assert (step.done, len(step.applied)) == (True, len(wanted))
    assert counted.seen["PATCH"] <= len(wanted) - len(applied)


def test_no_further_object_is_tried_once_the_server_is_out(
    cluster: LocalCluster, driver: KubernetesDriver, counted: Counting
) -> None:
    cluster.faults({"method": "PATCH", "path": ".*", "status": 503, "times": 1000})
    many = [artifact(network_policy("shop", f"p{number}", "web")) for number in range(200)]
    step = driver.apply(plan_of(driver, many))
    assert (step.trouble, step.applied) == ("unavailable", {})
    assert step.error.startswith("try NetworkPolicy shop/p")
    assert "503 the server is currently unable to handle the request" in step.error
    assert counted.seen["PATCH dry"] <= 16


def test_an_answer_that_takes_too_long_is_given_up(cluster: LocalCluster) -> None:
    cluster.faults({"method": "PATCH", "path": ".*", "status": 0, "delay": 1.0, "times": 1})
    api = ClusterApi(cluster.connection(read_seconds=0.2))
    driver = driver_for(api, "shop")
    wanted = [artifact(network_policy("shop", "slow", "web"))]
    assert driver.apply(plan_of(driver, wanted)).trouble == "timeout"
    assert driver.apply(plan_of(driver, wanted)).done
    api.close()


def test_a_write_whose_answer_was_lost_is_not_made_again(
    cluster: LocalCluster, driver: KubernetesDriver, counted: Counting
) -> None:
    wanted = [artifact(network_policy("shop", "lost", "web"))]
    cluster.faults({"method": "PATCH", "path": ".*", "status": 0, "skip": 1, "cut": True, "times": 2})
    assert driver.apply(plan_of(driver, wanted)).trouble == "cut"
    counted.reset()
    assert driver.apply(plan_of(driver, wanted)).done
    assert counted.seen == {"GET": 1}


def test_a_connection_that_broke_once_is_no_trouble(cluster: LocalCluster, driver: KubernetesDriver) -> None:
    cluster.faults({"path": ".*", "status": 0, "cut": True})
    assert driver.apply(plan_of(driver, [artifact(network_policy("shop", "again", "web"))])).done


def test_a_server_that_is_not_there_is_unreachable() -> None:
    nowhere = LocalCluster(Path("/tmp/sallyport-nowhere"))
    api = ClusterApi(nowhere.connection())
    driver = KubernetesDriver(api, config("shop"))
    assert driver.apply(plan_of(driver, [artifact(network_policy("shop", "a", "web"))])).trouble == "unreachable"
    with pytest.raises(VendorError) as caught:
        driver.setup()
    assert (caught.value.status, caught.value.kind) == (0, "unreachable")
    api.close()


def test_what_answers_may_be_no_api_server(cluster: LocalCluster, driver: KubernetesDriver) -> None:
    cluster.faults({"path": "/version", "status": 404})
    with pytest.raises(VendorError) as caught:
        driver.setup()
    assert caught.value.status == 404


# -- kills -----------------------------------------------------------------------------------------------------------
def test_the_server_may_be_killed_in_the_middle_and_started_again(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path, bookmark_seconds=0.1)
    cluster.start()
    cluster.load(DEFINITIONS)
    api = ClusterApi(cluster.connection())
    driver = driver_for(api, "shop")
    wanted = [artifact(network_policy("shop", f"p{number}", "web"), f"s{number}") for number in range(400)]
    steps = []
    run = threading.Thread(target=lambda: steps.append(driver.apply(plan_of(driver, wanted))))
    run.start()
    eventually(lambda: len(names(cluster, POLICIES)) >= 10)
    cluster.kill()
    run.join()
    assert steps[0].done is False
    assert steps[0].trouble in ("cut", "unreachable")
    cluster.start()
    held = set(names(cluster, POLICIES))
    assert {one.path for one in wanted if one.path.split("/")[-1].removesuffix(".json") in held} >= set(
        steps[0].applied
    )
    step = driver.apply(plan_of(driver, wanted))
    assert (step.done, step.applied) == (True, {one.path: one.sha256 for one in wanted})
    api.close()
    cluster.stop()


# -- admission -------------------------------------------------------------------------------------------------------
def test_a_policy_of_the_cluster_is_quoted_and_nothing_of_the_service_is_written(
    cluster: LocalCluster, driver: KubernetesDriver
) -> None:
    cluster.faults(admission=[{"webhook": "guard.example.com", "message": "no ports below 9000", "name": "shop/sp-s1"}])
    step = driver.apply(plan_of(driver, objects()))
    assert (step.done, step.trouble) == (False, "admission")
    assert 'admission webhook "guard.example.com" denied the request: no ports below 9000' in step.error
    assert names(cluster, TARGETS) == ["sp-s0", "sp-s2", "sp-s3"]


def test_a_refused_delete_is_told_and_tried_again(cluster: LocalCluster, driver: KubernetesDriver) -> None:
    wanted = [artifact(network_policy("shop", "a", "web"))]
    driver.apply(plan_of(driver, wanted))
    cluster.faults(admission=[{"message": "keep it", "operations": ["DELETE"]}])
    refused = driver.apply(plan_of(driver, [], [wanted[0].path], 2))
    assert (refused.trouble, refused.applied) == ("admission", {})
    cluster.faults()
    assert driver.apply(plan_of(driver, [], [wanted[0].path], 2)).applied == {wanted[0].path: ""}


def test_what_the_cluster_changes_on_the_way_is_not_believed(
    cluster: LocalCluster, driver: KubernetesDriver, counted: Counting
) -> None:
    change = {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}
    cluster.faults(admission=[{"change": change, "resource": "networkpolicies.*", "name": "shop/sp-s1"}])
    step = driver.apply(plan_of(driver, objects()))
    assert (step.done, step.trouble) == (False, "stored_otherwise")
    assert step.error.startswith("apply NetworkPolicy shop/sp-s1: 200 reads back otherwise than it was written")
    changed = "shop/networkpolicies.networking.k8s.io/sp-s1.json"
    assert {one.path for one in objects()} - step.applied.keys() == {changed}


# -- reading ---------------------------------------------------------------------------------------------------------
def test_a_list_whose_place_was_forgotten_begins_anew(cluster: LocalCluster, counted: Counting) -> None:
    forgetting = threading.Event()

    def forget(answer: object) -> None:
        if "limit" in answer.request.url.params and not forgetting.is_set():  # type: ignore[attr-defined]
            forgetting.set()
            cluster.forget_pages()

    load(cluster, "slow", 600)
    api = ClusterApi(cluster.connection(), on_answer=forget)
    driver = KubernetesDriver(api, config("slow"))
    assert len(driver.read_back().objects) == 600
    api.close()


def heard(ear: Ear, count: int) -> list[Change]:
    found: list[Change] = []
    eventually(lambda: found.extend(ear.wait(0.5)) or len(found) >= count)
    return found


@pytest.fixture
def ear(cluster: LocalCluster, counted: Counting) -> Iterator[Ear]:
    ear = Ear(cluster.connection(), "test", on_answer=counted)
    yield ear
    ear.close()


def test_a_stream_that_is_refused_is_lost_and_says_why_and_the_others_go_on(
    cluster: LocalCluster, driver: KubernetesDriver, ear: Ear
) -> None:
    cluster.faults({"path": ".*/traffictargets", "status": 503, "skip": 1, "times": 1})
    ear.listen(driver.read_back().positions)
    (lost,) = heard(ear, 1)
    assert (lost.seen, lost.scope.kind, lost.error and lost.error.status) == (
        Seen.LOST,
        "traffictargets.access.smi-spec.io",
        503,
    )
    driver.apply(plan_of(driver, [artifact(network_policy("shop", "a", "web"))]))
    assert [one.path.rpartition("/")[2] for one in heard(ear, 1)] == ["a.json"]


def test_a_stream_whose_place_is_forgotten_is_lost(cluster: LocalCluster, driver: KubernetesDriver, ear: Ear) -> None:
    ear.listen(driver.read_back().positions)
    assert ear.wait(0.3) == []
    cluster.forget()
    lost = heard(ear, len(CHOSEN))
    assert {(one.seen, one.error and one.error.kind) for one in lost} == {(Seen.LOST, "expired")}
    assert {one.scope for one in lost} == set(driver.scopes)


def test_a_stream_that_says_nothing_to_its_end_is_no_loss(tmp_path: Path) -> None:
    assert STREAM_SECONDS < SILENCE_SECONDS, "the server ends a quiet stream before it is given up"
    cluster = cluster_in(tmp_path, bookmark_seconds=1000)
    cluster.start()
    cluster.load(DEFINITIONS)
    api, ear = ClusterApi(cluster.connection()), Ear(cluster.connection(), "test", seconds=1)
    ear.listen(driver_for(api, "shop").read_back().positions)
    assert ear.wait(3) == [], "the server ended the streams after a second"
    load(cluster, "shop", 1)
    assert [one.seen for one in heard(ear, 1)] == [Seen.CHANGED]
    ear.close()
    api.close()
    cluster.stop()


def test_a_stream_that_was_cut_goes_on_where_it_was(cluster: LocalCluster, driver: KubernetesDriver, ear: Ear) -> None:
    since = driver.read_back().positions
    driver.apply(plan_of(driver, [artifact(network_policy("shop", "a", "web"))]))
    cluster.faults({"path": ".*/networkpolicies", "status": 503, "cut": True})
    ear.listen(since)
    assert [one.path.rpartition("/")[2] for one in heard(ear, 1)] == ["a.json"]


def test_whoever_is_slow_to_hear_is_not_flooded(cluster: LocalCluster, driver: KubernetesDriver, ear: Ear) -> None:
    ear.listen(driver.read_back().positions)
    assert ear.wait(0.3) == []
    many = load(cluster, "shop", MOST_WAITING + 50)
    first = ear.wait(5)
    assert len(first) <= MOST_WAITING
    rest = heard(ear, len(many) - len(first))
    assert [one.path for one in (*first, *rest)] == [one.path for one in many]


def test_an_object_too_large_to_be_kept_is_named_only(
    cluster: LocalCluster, driver: KubernetesDriver, ear: Ear
) -> None:
    ear.listen(driver.read_back().positions)
    small, large = (artifact(network_policy("shop", name, *callers)) for name, callers in LARGE.items())
    driver.apply(plan_of(driver, [small, large]))
    assert {one.path: one.obj is None for one in heard(ear, 2)} == {small.path: False, large.path: True}


# -- many ------------------------------------------------------------------------------------------------------------
def load(cluster: LocalCluster, namespace: str, count: int) -> list[object]:
    """So many policies as this driver brought them."""
    many = [artifact(network_policy(namespace, f"p{number:04}", "web"), f"s{number}") for number in range(count)]
    cluster.load([to_send(parsed(one), 1, one.sha256) for one in many], manager="sallyport")
    return many


def test_five_thousand_objects_with_one_change_cost_three_calls_and_to_read_them_back_a_few_pages(
    cluster: LocalCluster, counted: Counting
) -> None:
    many = load(cluster, "big", 5000)
    api = ClusterApi(cluster.connection(), on_answer=counted)
    driver = KubernetesDriver(api, config("big"))
    observed = driver.observe(many)
    assert observed.artifacts == {one.path: one.sha256 for one in many}
    assert counted.seen == {"LIST": 10}
    counted.reset()
    many[4321] = artifact(network_policy("big", "p4321", "web", "pay"), "s4321")
    desired = type(plan_of(driver, []))(number=2, digest="d2", observed=observed.fingerprint, puts=(many[4321],))
    step = driver.apply(desired)
    assert (step.done, set(step.applied)) == (True, {many[4321].path})
    assert counted.seen == {"GET": 1, "PATCH dry": 1, "PATCH": 1}
    counted.reset()
    assert len(driver.read_back(many).objects) == 5000
    assert counted.seen == {"LIST": 12}
    api.close()


@pytest.mark.slow
def test_five_thousand_objects_are_brought_from_nothing(cluster: LocalCluster, counted: Counting) -> None:
    many = [artifact(network_policy("killed", f"p{number:04}", "web"), f"s{number}") for number in range(5000)]
    api = ClusterApi(cluster.connection(), on_answer=counted)
    driver = KubernetesDriver(api, config("killed"))
    step = driver.apply(plan_of(driver, many))
    assert (step.done, len(step.applied)) == (True, 5000)
    assert counted.seen == {"LIST": 1, "PATCH dry": 5000, "PATCH": 5000}
    api.close()


def test_a_target_for_nobody_stands_though_the_rest_of_the_service_goes(
    cluster: LocalCluster, driver: KubernetesDriver
) -> None:
    wanted = service_objects("shop", "cart", "web")
    driver.apply(plan_of(driver, wanted))
    cluster.faults({"method": "DELETE", "path": ".*", "status": 503, "times": 1})
    gone = [one.path for one in wanted]
    assert driver.apply(plan_of(driver, [], gone, 2)).trouble == "unavailable"
    assert driver.apply(plan_of(driver, [], gone, 2)).done
    assert names(cluster, TARGETS) == [target("shop", "sp-cart")["metadata"]["name"]]
