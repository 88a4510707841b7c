from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.rollout.drivers.kubernetes.driver import ClusterApi, ClusterConnection, KubernetesDriver
from tests.contract.kubernetes.site import HOME, Counting, Hand, driver_for, real_connection
from tests.localcluster.choosing import cluster_in
from tests.localcluster.definitions import DEFINITIONS


@pytest.fixture(scope="session")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterConnection]:
    """To the real cluster where one was named, else to a stand-in."""
    real = real_connection()
    if real is not None:
        yield real
        return
    cluster = cluster_in(tmp_path_factory.mktemp("contract-cluster"), bookmark_seconds=0.1)
    cluster.start()
    cluster.load(DEFINITIONS)
    yield cluster.connection()
    cluster.stop()


@pytest.fixture(scope="session")
def hand(connection: ClusterConnection) -> Iterator[Hand]:
    hand = Hand(connection)
    made = hand.furnish()
    yield hand
    for name in made:
        hand.call("DELETE", f"{HOME}/{name}")
    hand.close()


@pytest.fixture
def namespace(hand: Hand) -> Iterator[str]:
    name = hand.namespace()
    yield name
    hand.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def counted() -> Counting:
    return Counting()


@pytest.fixture
def api(connection: ClusterConnection, counted: Counting) -> Iterator[ClusterApi]:
    api = ClusterApi(connection, on_answer=counted)
    yield api
    api.close()


@pytest.fixture
def driver(api: ClusterApi, namespace: str) -> KubernetesDriver:
    return driver_for(api, namespace)
