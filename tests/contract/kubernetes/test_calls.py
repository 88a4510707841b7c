"""Every call the driver makes is in the reference, and none is there that it does not make. Against a real one too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from apps.rollout.drivers.kubernetes.calls import CALLS, call_of
from apps.rollout.drivers.kubernetes.driver import ClusterApi, ClusterConnection, Ear
from tests.contract.kubernetes.site import Hand, driver_for, plan_of, service_objects
from tests.localcluster.manifests import target


class Witness:
    def __init__(self) -> None:
        self.known: set[str] = set()
        self.unknown: set[str] = set()

    def __call__(self, answer: httpx2.Response) -> None:
        request = answer.request
        call = call_of(request.method, request.url.path, dict(request.url.params))
        if call is None:
            self.unknown.add(f"{request.method} {request.url.path}")
        else:
            self.known.add(call.name)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def seen(connection: ClusterConnection, witness: Witness) -> Iterator[ClusterApi]:
    api = ClusterApi(connection, on_answer=witness)
    yield api
    api.close()


def test_all_calls_are_known_and_all_known_ones_are_made(
    seen: ClusterApi, connection: ClusterConnection, witness: Witness, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    driver = driver_for(seen, namespace, force_paths=frozenset({objects[1].path}), access_control="deny")
    driver.setup()
    driver.access_review()
    driver.apply(plan_of(driver, objects))
    hand.merge(target(namespace, "sp-cart"), {"spec": {"sources": []}})
    driver.apply(plan_of(driver, objects, number=2))
    with closing(Ear(connection, "test", on_answer=witness, seconds=1)) as ear:
        ear.listen(driver.read_back(objects).positions)
        ear.wait(0.5)
    driver.apply(plan_of(driver, [], [one.path for one in objects], 3))
    assert (witness.unknown, witness.known) == (set(), {call.name for call in CALLS})
