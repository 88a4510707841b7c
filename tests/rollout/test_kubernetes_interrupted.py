"""A console that dies after any of its calls, and the next one that finds what it left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.kubernetes.compare import to_send
from apps.rollout.drivers.kubernetes.driver import ClusterApi, KubernetesDriver
from apps.rollout.drivers.kubernetes.read import parsed
from tests.contract.kubernetes.site import driver_for, plan_of, service_objects
from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import LocalCluster
from tests.localcluster.definitions import DEFINITIONS
from tests.localcluster.manifests import TARGETS

MOST = 60


class Died(BaseException):
    """Not an error anybody handles."""


class Dying:
    """Dies when an answer arrives after so many."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, _answer: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise Died


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    directory: Path = tmp_path_factory.mktemp("interrupted")
    cluster = cluster_in(directory, namespaces=[f"n{number}" for number in range(MOST)])
    cluster.start()
    cluster.load(DEFINITIONS)
    yield cluster
    cluster.stop()


def sources(cluster: LocalCluster, namespace: str) -> dict[str, list[str]]:
    """Who may call, by destination."""
    listing = cluster.call("GET", TARGETS.format(namespace)).json()["items"]
    return {
        one["spec"]["destination"]["name"]: [source["name"] for source in one["spec"]["sources"]] for one in listing
    }


def change(namespace: str) -> tuple[tuple[Artifact, ...], list[str]]:
    """One service loses a caller, one is new, one ends."""
    puts = (*service_objects(namespace, "cart", "web"), *service_objects(namespace, "fresh", "web"))
    return puts, [one.path for one in service_objects(namespace, "old", "web")]


def run(cluster: LocalCluster, namespace: str, after: int) -> bool:
    """Whether it came to its end, with all done."""
    api = ClusterApi(cluster.connection(), on_answer=Dying(after))
    driver: KubernetesDriver = driver_for(api, namespace)
    try:
        return driver.apply(plan_of(driver, *change(namespace), number=2)).done
    except Died:
        return False
    finally:
        api.close()


def test_whatever_call_was_the_last_the_next_run_ends_it_and_no_door_stood_open(cluster: LocalCluster) -> None:
    for number in range(0, MOST, 2):
        namespace = f"n{number}"
        before = [*service_objects(namespace, "cart", "web", "pay"), *service_objects(namespace, "old", "web")]
        cluster.load([to_send(parsed(one), 1, one.sha256) for one in before], manager="sallyport")
        ended = run(cluster, namespace, number)
        found = sources(cluster, namespace)
        assert found["cart"] in (["web", "pay"], ["web"])
        assert found["old"] in (["web"], ["sallyport-nobody"])
        assert run(cluster, namespace, 10_000)
        assert sources(cluster, namespace) == {"cart": ["web"], "fresh": ["web"], "old": ["sallyport-nobody"]}
        if ended:
            break
    assert ended
    assert number > 15
