"""Access that was open before a cluster was connected is asked about there too, and told as not shown until it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.access.models import Grant
from apps.rollout.models import Probe, Target
from apps.rollout.services.cluster import connecting
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import CART, OLGA, agreed, by_token, callers, cluster_spec, told
from tests.rollout.world import INGRESS, FakeNode, Hands, doors, make_node, make_target, mesh_spec, standing_grant

pytestmark = pytest.mark.django_db


@pytest.fixture
def grant(shop: factory.Shop, hands: Hands) -> Grant:
    """Open and proven in the mesh of nodes."""
    make_target(mesh_spec(), AT)
    node = FakeNode(make_node(at=AT).node, workloads=(CART, INGRESS))
    node.introduce(AT)
    hands.work()
    node.take(AT)
    made = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    assert doors(made) == {"mesh": "proven"}
    return made


def asked(grant: Grant) -> list[tuple[str, str]]:
    rows = Probe.objects.filter(grant_id=grant.public_id, target__slug="cluster").order_by("pk")
    return list(rows.values_list("expect", "state"))


def test_a_cluster_that_joins_is_asked_about_what_is_open(
    grant: Grant, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(cluster_spec(cluster), AT)
    hands.work()
    assert (asked(grant), callers(cluster)) == ([], [])
    cluster.faults({"method": "PATCH", "path": "/apis/.*", "status": 503, "times": 40})
    agreed(hands)
    assert asked(grant) == [("allow", "waiting")]
    assert (doors(grant), told(grant)) == (
        {"mesh": "proven"},
        "Shown where it was kept before. Still to be shown at Shop cluster.",
    )
    cluster.faults()
    hands.push(minutes=3)
    hands.work()
    assert (asked(grant), callers(cluster)) == ([("allow", "passed")], ["cart"])
    assert told(grant) == "Read back, the cluster holds the objects; no call was made."
    assert Grant.objects.get(pk=grant.pk).state == "active"


def test_what_was_shown_at_another_address_shows_nothing(
    shop: factory.Shop, target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    assert asked(grant) == [("allow", "passed")]
    hands.push(seconds=1)
    other = by_token(cluster, host="localhost")
    connecting.connect(slug="cluster", way=other, actor=OLGA, at=hands.clock())
    hands.work()
    assert asked(grant) == [("allow", "passed"), ("allow", "passed")]
    assert Probe.objects.filter(created_at=hands.clock()).count() == 1


def test_a_namespace_that_is_added_brings_its_open_access_along(
    grant: Grant, cluster: LocalCluster, hands: Hands
) -> None:
    spec = cluster_spec(cluster, namespaces=["elsewhere"])
    make_target(spec, AT)
    hands.work()
    assert asked(grant) == []
    make_target(replace(spec, config={**spec.config, "namespaces": ["shop"]}), AT)
    agreed(hands)
    assert asked(grant) == [("allow", "passed")]


def test_what_was_shown_is_not_asked_again_when_the_settings_change(
    target: Target, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    spec = cluster_spec(cluster)
    make_target(replace(spec, name="Renamed"), AT)
    hands.work()
    assert asked(grant) == [("allow", "passed")]
