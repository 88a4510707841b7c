"""Everything the emitters write of the compiler's estate is admitted by the published definitions, and found again.

Against a real API server too. The definitions of SMI, NGINX Service Mesh, Ingress Controller and Gateway Fabric lie
beside the repository; those of the Gateway API itself do not, and are replaced by some that take anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.kubernetes.driver import ClusterApi, ClusterConfig, KubernetesDriver
from apps.rollout.drivers.kubernetes.kinds import KINDS, ref_of
from tests.compiler.cluster.estate import SURROUNDINGS, emitted
from tests.compiler.estate import estate
from tests.contract.kubernetes.site import plan_of
from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import LocalCluster, eventually
from tests.localcluster.test_definitions import FILES, read
from tests.rollout.cluster.world import DEFINITIONS as OPEN

pytestmark = pytest.mark.skipif(not FILES, reason="The published definitions do not lie beside this repository")
EMITTERS = ("smi", "nic", "gateway", "networkpolicy")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    found = {read(file)["metadata"]["name"]: read(file) for file in FILES}
    missing = {one["metadata"]["name"]: one for one in OPEN if one["metadata"]["name"] not in found}
    homes = {ref_of(one.path).namespace for emitter in EMITTERS for one in objects(emitter)}
    cluster = cluster_in(tmp_path_factory.mktemp("published"), namespaces=sorted(homes))
    cluster.start()
    for one in (*found.values(), *missing.values()):
        cluster.define(one)
    for kind in KINDS.values():
        home = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
        eventually(lambda path=f"{home}/{kind.plural}": cluster.call("GET", path).status_code == 200)
    yield cluster
    cluster.stop()


def objects(emitter: str) -> tuple[Artifact, ...]:
    return emitted(estate(), replace(SURROUNDINGS, emitters=frozenset({emitter})))


@pytest.mark.parametrize("emitter", EMITTERS)
def test_what_is_emitted_is_admitted_and_found_again_as_it_was_said(published: LocalCluster, emitter: str) -> None:
    wanted = objects(emitter)
    scopes = [ref_of(one.path) for one in wanted]
    api = ClusterApi(published.connection())
    spoken = ClusterConfig(
        SURROUNDINGS.cluster, tuple({one.namespace for one in scopes}), tuple({one.kind.key for one in scopes})
    )
    driver = KubernetesDriver(api, spoken)
    driver.setup()
    step = driver.apply(plan_of(driver, wanted))
    assert (step.error, step.done) == ("", True)
    assert step.applied == {one.path: one.sha256 for one in wanted}
    assert driver.observe(wanted).artifacts == step.applied
    step = driver.apply(plan_of(driver, [], [one.path for one in wanted], 2))
    assert (step.error, step.done) == ("", True)
    api.close()
