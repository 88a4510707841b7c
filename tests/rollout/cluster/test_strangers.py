"""What must stay denied: a pod of a workload that nobody let in is refused, or the door is not as it should be."""

from __future__ import annotations

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.identity.models import Subject
from apps.rollout.drivers.base import DoorAnswer
from apps.rollout.models import Activation, Node, Probe, Target
from apps.rollout.services import nodes
from apps.rollout.services.targets import enroll_node
from tests.factories import access as factory
from tests.factories import identity
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import CART, OLGA, agreed, cluster_spec, told
from tests.rollout.world import Hands, doors, make_target, standing_grant

pytestmark = pytest.mark.django_db
ADS = "spiffe://shop.test/ns/shop/sa/ads"


@pytest.fixture
def ads(shop: factory.Shop) -> Subject:
    return identity.workload("ads", team=shop.storefront)


@pytest.fixture
def cart_pod(target: Target, hands: Hands) -> Node:
    return pod("cart", CART, hands)


@pytest.fixture
def ads_pod(target: Target, ads: Subject, hands: Hands) -> Node:
    return pod("ads", ADS, hands)


def pod(name: str, workload: str, hands: Hands) -> Node:
    node = enroll_node(target_slug="cluster", name=f"probe-{name}", actor=OLGA, at=AT).node
    Node.objects.filter(pk=node.pk).update(last_seen_at=hands.clock(), identities=[{"workload": workload}])
    return node


def answer(node: Node, hands: Hands, verdict: str) -> list[str]:
    """What it was asked for, in short; each answered alike."""
    offer = nodes.offer(node_id=node.pk, have="", at=hands.clock())
    asked = [dict(one) for one in offer.probes] if offer else []
    made = [nodes.ProbeResult(int(str(one["id"])), DoorAnswer(verdict, verdict), "") for one in asked]
    identities = Node.objects.get(pk=node.pk).identities
    nodes.record_report(node=node, report=nodes.Report(0, "", True, "", made, identities), at=hands.clock())
    return [f"{one['workload']} {one['expect']} {one['how']}" for one in asked]


def granted(shop: factory.Shop, hands: Hands) -> Grant:
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    return grant


def test_a_proof_holds_a_call_that_was_refused(cart_pod: Node, ads_pod: Node, shop: factory.Shop, hands: Hands) -> None:
    grant = granted(shop, hands)
    assert answer(cart_pod, hands, "allow") == [f"{CART} allow connect"]
    assert doors(grant) == {"mesh": "proven"}
    assert answer(ads_pod, hands, "deny") == [f"{ADS} deny connect"]
    assert told(grant) == (
        f"a connection as workload:{CART} was let through."
        f" a connection as workload:{ADS}, whom nobody let in, was refused."
    )
    assert Activation.objects.latest("pk").state == "proven"


def test_whoever_answers_first_the_evidence_is_the_same(
    cart_pod: Node, ads_pod: Node, shop: factory.Shop, hands: Hands
) -> None:
    grant = granted(shop, hands)
    answer(ads_pod, hands, "deny")
    assert doors(grant) == {"mesh": "open"}
    answer(cart_pod, hands, "allow")
    assert doors(grant) == {"mesh": "proven"}
    assert told(grant).endswith("whom nobody let in, was refused.")


def test_where_a_stranger_is_let_through_nothing_is_shown(
    cart_pod: Node, ads_pod: Node, shop: factory.Shop, hands: Hands
) -> None:
    grant = granted(shop, hands)
    for _ in range(3):
        answer(ads_pod, hands, "allow")
        hands.push(seconds=40)
        Node.objects.update(last_seen_at=hands.clock())
    answer(cart_pod, hands, "allow")
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "failing"}, "pending")
    assert told(grant).endswith("whom nobody let in, was let through: nothing is enforced there.")
    assert Activation.objects.latest("pk").state == "active"
    answer(ads_pod, hands, "deny")
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "proven"}, "active")
    assert Activation.objects.latest("pk").state == "proven"


def test_a_stranger_who_is_let_in_meanwhile_is_none_any_more(
    cart_pod: Node, ads_pod: Node, ads: Subject, shop: factory.Shop, hands: Hands
) -> None:
    grant = granted(shop, hands)
    standing_grant(ads, shop.cyd, at=AT)
    hands.work()
    assert Probe.objects.exclude(stranger="").get(grant_id=grant.public_id).state == "dropped"
    assert answer(ads_pod, hands, "allow") == [f"{ADS} allow connect"]


def test_no_stranger_is_waited_for_and_none_is_asked_once_access_has_ended(
    cart_pod: Node, ads_pod: Node, shop: factory.Shop, hands: Hands
) -> None:
    grant = granted(shop, hands)
    answer(cart_pod, hands, "allow")
    assert Activation.objects.latest("pk").state == "proven"
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    assert answer(ads_pod, hands, "deny") == []
    assert answer(cart_pod, hands, "deny") == [f"{CART} deny connect"]
    assert doors(grant) == {"mesh": "closed"}


def test_the_ingress_is_no_stranger(cart_pod: Node, shop: factory.Shop, hands: Hands) -> None:
    """Its account is let through for the people behind it."""
    pod("ingress", "spiffe://shop.test/ns/nginx-ingress/sa/nginx-ingress", hands)
    granted(shop, hands)
    answer(cart_pod, hands, "allow")
    assert not Probe.objects.exclude(stranger="").exists()


def test_without_another_pod_there_is_nobody_to_refuse(cart_pod: Node, shop: factory.Shop, hands: Hands) -> None:
    grant = granted(shop, hands)
    answer(cart_pod, hands, "allow")
    assert doors(grant) == {"mesh": "proven"}
    assert not Probe.objects.exclude(stranger="").exists()


def test_a_mesh_is_asked_for_a_call_that_only_reads(
    shop: factory.Shop, ads: Subject, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(cluster_spec(cluster, "smi"), AT)
    pod("cart", CART, hands)
    pod("ads", ADS, hands)
    granted(shop, hands)
    probe = Probe.objects.exclude(stranger="").get()
    assert (probe.call["method"], probe.call["path"], "how" in probe.call) == ("GET", "/payments", False)
