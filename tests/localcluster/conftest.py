from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.localcluster.definitions import DEFINITIONS

READER = "reader-token"
RULE = {"namespaces": ["shop"], "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
TOKENS = {
    ADMIN: {"user": "admin", "groups": ["system:masters"]},
    READER: {"user": "reader", "rules": [RULE]},
}
_NUMBERS = count()


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    cluster = cluster_in(tmp_path_factory.mktemp("localcluster"), bookmark_seconds=0.1, tokens=TOKENS)
    cluster.start()
    cluster.load(DEFINITIONS)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(shared_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """One for all tests; each has a namespace of its own."""
    yield shared_cluster
    shared_cluster.faults()


@pytest.fixture
def namespace(cluster: LocalCluster) -> str:
    name = f"test-{next(_NUMBERS)}"
    made = cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.status_code == 201, made.text
    return name
