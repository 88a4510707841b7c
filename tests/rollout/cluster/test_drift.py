"""What somebody changes in a cluster by hand is seen, and put back or left alone."""

from __future__ import annotations

import pytest

from apps.rollout.models import Drift, Target
from apps.rollout.services import adopting, changes, drifting
from apps.rollout.services.adopting import NotSafeToAdopt
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.localcluster.manifests import network_policy
from tests.rollout.cluster.world import OLGA, POLICIES, POLICY, agreed, callers, policy
from tests.rollout.world import Hands, standing_grant

pytestmark = pytest.mark.django_db
OURS = f"{POLICIES}/sp-payments"


def look() -> int | None:
    return drifting.observe(slug="cluster", at=AT)


def test_what_is_as_it_should_be_is_no_drift(target: Target, hands: Hands) -> None:
    agreed(hands)
    assert look() == 0
    target.refresh_from_db()
    assert target.checked_at == AT


def test_a_change_by_hand_leaves_a_door_open_and_is_put_back(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    cluster.merge(OURS, {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}})
    assert look() == 1
    drift = Drift.objects.get()
    assert (drift.path, drift.opens, drift.detail) == (POLICY, True, "The object was changed; hand set fields of it.")
    assert '-                "kubernetes.io/metadata.name": "shop"' in drift.diff
    with pytest.raises(NotSafeToAdopt):
        adopting.adopt(drift_id=drift.pk, actor=OLGA, at=AT)
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=AT)
    hands.work()
    assert callers(cluster) == ["cart"]
    assert look() == 0
    drift.refresh_from_db()
    assert drift.resolution == "Put back by Olga."


def test_what_is_changed_again_after_it_was_put_back_can_be_put_back_again(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    """Nobody looked between."""
    agreed(hands)
    for _ in range(2):
        cluster.merge(OURS, {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}})
        look()
        drift = Drift.objects.get()
        assert (drift.resolution, drift.resolved_at) == ("", None)
        drifting.put_back(drift_id=drift.pk, actor=OLGA, at=AT)
        hands.work()
        assert callers(cluster) == []


def test_what_is_put_back_does_not_wait_for_an_object_somebody_else_keeps(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    """The conflict has the target tried again later and later; the door that is open is shut at once."""
    factory.service("orders", team=shop.payments_team, doors=("mesh",))
    changes.note_service(slug="orders", at=AT)
    cluster.apply(f"{POLICIES}/sp-orders", network_policy("shop", "sp-orders"), "argocd").raise_for_status()
    agreed(hands)
    target.refresh_from_db()
    assert target.retry_at is not None
    cluster.merge(OURS, {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}})
    look()
    drifting.put_back(drift_id=Drift.objects.get(path=POLICY).pk, actor=OLGA, at=AT)
    hands.work()
    assert callers(cluster) == []


def test_an_object_that_is_gone_comes_back(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    agreed(hands)
    cluster.call("DELETE", OURS)
    assert look() == 1
    drift = Drift.objects.get()
    assert (drift.opens, drift.detail) == (True, "The object is gone.")
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=AT)
    hands.work()
    assert policy(cluster) is not None


def test_a_stranger_with_our_labels_is_removed_when_put_back(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    labels = {"app.kubernetes.io/managed-by": "sallyport", "sallyport.dev/cluster": "cluster"}
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "sp-open", "namespace": "shop", "labels": labels},
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    assert cluster.apply(f"{POLICIES}/sp-open", body, "hand").status_code in (200, 201)
    assert look() == 1
    drift = Drift.objects.get()
    assert (drift.opens, drift.expected) == (True, "")
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=AT)
    hands.work()
    assert policy(cluster, "sp-open") is None
    assert look() == 0


def test_labels_that_were_taken_off_may_be_left_alone(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    agreed(hands)
    cluster.merge(OURS, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "hand"}}})
    assert look() == 1
    drift = Drift.objects.get()
    assert (drift.opens, drift.why_not) == (False, "")
    adopting.adopt(drift_id=drift.pk, actor=OLGA, at=AT)
    assert look() == 1
    assert Drift.objects.filter(resolved_at=None).count() == 0


def test_a_cluster_that_does_not_answer_tells_nothing(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    agreed(hands)
    cluster.faults({"path": "/apis/.*", "status": 503, "times": 50})
    assert look() is None
    target.refresh_from_db()
    assert target.trouble == "unavailable"


def test_one_object_in_dispute_does_not_hide_another(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    factory.service("orders", team=shop.payments_team, doors=("mesh",))
    changes.note_service(slug="orders", at=AT)
    agreed(hands)
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"ingress": [{"from": []}]}}
    assert cluster.apply(OURS, body, "argocd", force="true").status_code == 200
    standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    cluster.call("DELETE", f"{POLICIES}/sp-orders")
    assert look() == 1
    assert Drift.objects.get().path.endswith("/sp-orders.json")
