from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.rollout.models import Target
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import DEFINITIONS, cluster_spec, sweep
from tests.rollout.world import Hands, make_target


@pytest.fixture(scope="session")
def whole_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Serves every kind that is ever brought to a cluster."""
    cluster = cluster_in(tmp_path_factory.mktemp("whole-cluster"))
    cluster.start()
    cluster.load(DEFINITIONS)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(whole_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """With nothing in the namespaces a shop uses, and nothing wrong with it."""
    yield whole_cluster
    whole_cluster.faults()
    sweep(whole_cluster)


@pytest.fixture
def hands() -> Hands:
    return Hands(AT)


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def target(shop: factory.Shop, cluster: LocalCluster) -> Target:
    """With NetworkPolicy; nobody has agreed to anything yet."""
    return make_target(cluster_spec(cluster), AT)
