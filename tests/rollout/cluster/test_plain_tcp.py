"""The road of a connection: into a cluster, proven by a pod that connects, and past our nodes, which carry none."""

from __future__ import annotations

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.rollout import handouts
from apps.rollout.models import Probe, Target
from apps.rollout.services.targets import BadTarget
from tests.factories import access as factory
from tests.factories.access import AT, approve, ask
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.test_probes import answer, asked, pod
from tests.rollout.cluster.world import agreed, cluster_spec
from tests.rollout.world import Hands, doors, make_target, mesh_spec

pytestmark = pytest.mark.django_db
TARGETS = "/apis/access.smi-spec.io/v1alpha2/namespaces/shop/traffictargets"


@pytest.fixture
def mesh(shop: factory.Shop, cluster: LocalCluster) -> Target:
    factory.database(shop.payments_team)
    return make_target(cluster_spec(cluster, "smi", "networkpolicy"), AT)


def connection(shop: factory.Shop, hands: Hands) -> Grant:
    request = ask(shop.ada, subject=shop.cart, to="orders-db", routes=("connect",), at=hands.clock())
    approve(request, shop.bea, at=hands.clock())
    return Grant.objects.get(request=request)


def sources(cluster: LocalCluster) -> set[str]:
    """Who may connect, as the cluster has it."""
    found = cluster.call("GET", TARGETS).json()["items"]
    mine = [one["spec"] for one in found if one["spec"]["destination"]["name"] == "orders-db"]
    return {source["name"] for spec in mine for source in spec["sources"]}


def test_it_is_opened_proven_and_closed_in_a_cluster(
    mesh: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    node = pod(hands)
    agreed(hands)
    grant = connection(shop, hands)
    hands.work()
    assert sources(cluster) == {"sallyport-nobody", "cart"}
    (one,) = asked(node, hands)
    assert (one["how"], one["host"], one["port"]) == ("stay", "orders-db.shop.svc", 5432)
    answer(node, hands, "allow")
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "proven"}, "active")
    access.end_grant(public_id=grant.public_id, actor=shop.bea, at=hands.clock())
    hands.work()
    assert sources(cluster) == {"sallyport-nobody"}
    answer(node, hands, "deny")
    assert doors(grant) == {"mesh": "closed"}


def test_nodes_of_ours_have_no_part_in_it(mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    nodes = make_target(mesh_spec(), AT)
    agreed(hands)
    grant = connection(shop, hands)
    hands.work()
    assert doors(grant) == {"mesh": "proven"}
    assert {probe.target.slug for probe in Probe.objects.all()} == {"cluster"}
    paths = nodes.revisions.latest("number").artifacts.values_list("path", flat=True)
    assert not [path for path in paths if "orders-db" in path]


def test_no_door_of_ours_is_handed_out_for_it(mesh: Target) -> None:
    make_target(mesh_spec(), AT)
    with pytest.raises(BadTarget, match="is plain TCP, and a door of ours speaks HTTP"):
        handouts.door(target_slug="cluster", wanted=handouts.Wanted("orders-db", "door:1"), at=AT)
