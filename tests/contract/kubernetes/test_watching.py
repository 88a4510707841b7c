"""Reading back by watch. Against a real cluster too."""

from __future__ import annotations

from itertools import islice

from apps.rollout.drivers.kubernetes.driver import KubernetesDriver, Seen
from tests.contract.kubernetes.site import Hand, artifact, plan_of, service_objects
from tests.localcluster.manifests import network_policy, target


def test_a_watch_tells_what_changed_of_ours_after_a_read_back(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    driver.apply(plan_of(driver, objects, number=7))
    since = driver.read_back().positions
    hand.apply(network_policy(namespace, "theirs"))
    hand.merge(target(namespace, "sp-cart"), {"spec": {"sources": []}})
    hand.delete(network_policy(namespace, "sp-cart"))
    changes = (one for one in driver.watch(since, seconds=5) if one.seen != Seen.POSITION)
    seen = list(islice(changes, 2))
    assert {(one.seen, one.path, one.revision) for one in seen} == {
        (Seen.CHANGED, objects[1].path, "7"),
        (Seen.REMOVED, objects[2].path, "7"),
    }


def test_a_later_watch_goes_on_where_an_earlier_one_ended(driver: KubernetesDriver, hand: Hand, namespace: str) -> None:
    one = artifact(network_policy(namespace, "sp-cart", "web"))
    driver.apply(plan_of(driver, [one]))
    positions = dict(driver.read_back().positions)
    for change in driver.watch(positions, seconds=1):
        positions[change.scope] = change.version
    hand.merge(network_policy(namespace, "sp-cart"), {"spec": {"ingress": []}})
    again = next(change for change in driver.watch(positions, seconds=5) if change.seen != Seen.POSITION)
    assert (again.seen, again.path) == (Seen.CHANGED, one.path)
