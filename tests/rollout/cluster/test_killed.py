"""Workers killed on the road to a cluster, after a yes and after a taking over: the next brings what was agreed to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.access import services as access
from apps.audit import services as audit
from apps.audit.models import Event
from apps.rollout.models import Revision, Target, TargetArtifact
from apps.rollout.services.cluster import closing, leaving
from apps.rollout.services.cluster import objects as cluster_objects
from tests.dying import killed_all_along
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import OLGA, POLICIES, POLICY, agreed, callers, policy
from tests.rollout.world import Hands, doors, standing_grant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LEASE = 12
"""Minutes after which nobody counts on a worker any more."""


@pytest.fixture(autouse=True)
def the_record_holds() -> Iterator[None]:
    yield
    assert audit.verify().ok


def worker(hands: Hands) -> None:
    hands.push(minutes=LEASE)
    hands.work()


def later(hands: Hands, died: int) -> Hands:
    """What a worker that died did to its clock is forgotten with it."""
    again = Hands(AT)
    again.push(minutes=(hands.clock() - AT).total_seconds() / 60 + LEASE * died)
    return again


def test_a_yes_is_given_once_and_what_it_is_to_comes_to_the_cluster(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    hands.work()

    def agree(_: int) -> None:
        if closing.closings(Target.objects.get()):
            closing.agree(slug="cluster", services=["payments"], actor=OLGA, at=hands.clock())

    killed_all_along(agree, lambda: None)
    assert Event.objects.filter(action="rollout.closing.agreed").count() == 1
    assert killed_all_along(lambda died: worker(later(hands, died)), lambda: None, every=5)
    assert policy(cluster) is not None
    assert Revision.objects.count() == 1
    target.refresh_from_db()
    assert (target.active_number, closing.closings(target)) == (1, [])


def test_an_object_is_taken_over_once_and_what_ends_afterwards_is_closed(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"ingress": [{"from": []}]}}
    cluster.apply(f"{POLICIES}/sp-payments", body, "argocd", force="true").raise_for_status()
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()

    def take_over(_: int) -> None:
        if not Event.objects.filter(action="rollout.object.taken_over").exists():
            cluster_objects.take_over(slug="cluster", path=POLICY, managers="argocd", actor=OLGA, at=AT)

    killed_all_along(take_over, lambda: None)
    assert killed_all_along(lambda died: worker(later(hands, died)), lambda: None, every=5)
    target.refresh_from_db()
    assert callers(cluster) == ["cart"]
    assert doors(grant) == {"mesh": "proven"}
    assert (target.facts["conflicts"], target.facts["taken"]) == ({}, {})
    assert Event.objects.filter(action="rollout.object.taken_over").count() == 1

    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.push(days=1)
    assert killed_all_along(lambda died: worker(later(hands, died)), lambda: None, every=5)
    assert callers(cluster) == []
    assert doors(grant) == {"mesh": "closed"}


def test_a_cluster_is_taken_out_once_and_all_of_it(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()

    def take_out(_: int) -> None:
        if Target.objects.get().is_kept:
            number = Target.objects.get().latest_number
            leaving.ask(slug="cluster", number=number, actor=OLGA, at=hands.clock())

    assert killed_all_along(take_out, lambda: None)
    assert policy(cluster) is not None
    assert killed_all_along(lambda died: worker(later(hands, died)), lambda: None, every=3)
    assert policy(cluster) is None
    target.refresh_from_db()
    assert (target.is_removed, target.is_leaving, TargetArtifact.objects.count()) == (True, False, 0)
    assert doors(grant) == {"mesh": "failing"}
    for action in ("rollout.target.leaving", "rollout.target.left"):
        assert Event.objects.filter(action=action).count() == 1
