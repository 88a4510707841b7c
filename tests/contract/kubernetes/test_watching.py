"""Hearing of changes as they happen. Against a real cluster too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.rollout.drivers.kubernetes.driver import Change, ClusterConnection, Ear, KubernetesDriver, Seen
from tests.contract.kubernetes.site import Hand, artifact, plan_of, service_objects
from tests.localcluster.cluster import eventually
from tests.localcluster.manifests import network_policy, target


@pytest.fixture
def ear(connection: ClusterConnection) -> Iterator[Ear]:
    ear = Ear(connection, "test", seconds=1)
    yield ear
    ear.close()


def heard(ear: Ear, count: int) -> list[Change]:
    found: list[Change] = []
    eventually(lambda: found.extend(ear.wait(0.5)) or len(found) >= count)
    return found


def test_a_watch_tells_what_changed_of_ours_after_a_read_back(
    driver: KubernetesDriver, ear: Ear, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    driver.apply(plan_of(driver, objects, number=7))
    ear.listen(driver.read_back().positions)
    hand.apply(network_policy(namespace, "theirs"))
    hand.merge(target(namespace, "sp-cart"), {"spec": {"sources": []}})
    hand.delete(network_policy(namespace, "sp-cart"))
    found = heard(ear, 2)
    assert {(one.seen, one.path) for one in found} == {
        (Seen.CHANGED, objects[1].path),
        (Seen.REMOVED, objects[2].path),
    }
    (changed,) = (one.obj for one in found if one.obj)
    assert changed["spec"]["sources"] == []


def test_a_stream_goes_on_where_an_earlier_one_ended(
    driver: KubernetesDriver, ear: Ear, hand: Hand, namespace: str
) -> None:
    one = artifact(network_policy(namespace, "sp-cart", "web"))
    driver.apply(plan_of(driver, [one]))
    ear.listen(driver.read_back().positions)
    assert ear.wait(1.2) == [], "the server ended the streams after a second"
    hand.merge(network_policy(namespace, "sp-cart"), {"spec": {"ingress": []}})
    assert [(again.seen, again.path) for again in heard(ear, 1)] == [(Seen.CHANGED, one.path)]


def test_a_place_the_server_has_not_come_to_is_lost(driver: KubernetesDriver, ear: Ear) -> None:
    """As after it was set back to an older state, from a copy: there it would be silent."""
    (scope, version), *_ = driver.read_back().positions.items()
    ear.listen({scope: str(int(version) + 10**6)})
    assert [(one.seen, one.scope, one.error and one.error.kind) for one in heard(ear, 1)] == [
        (Seen.LOST, scope, "expired")
    ]


def test_what_loses_our_labels_is_removed_for_the_watch_and_found_by_its_name(
    driver: KubernetesDriver, ear: Ear, hand: Hand, namespace: str
) -> None:
    one = artifact(network_policy(namespace, "sp-cart", "web"))
    driver.apply(plan_of(driver, [one]))
    ear.listen(driver.read_back().positions)
    hand.merge(network_policy(namespace, "sp-cart"), {"metadata": {"labels": None}})
    assert [(gone.seen, gone.path, gone.obj) for gone in heard(ear, 1)] == [(Seen.REMOVED, one.path, None)]
    assert driver.held([one.path], [one])[one.path].sha256 not in ("", one.sha256)
    assert driver.held([one.path], []) == {}, "what is not expected there is not ours"
