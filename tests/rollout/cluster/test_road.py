"""The road of a grant to a cluster: agreed to, brought, read back, narrowed, closed; and what goes wrong on the way."""

from __future__ import annotations

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.models import Event
from apps.rollout.models import Activation, PendingChange, Probe, Revision, Target, TargetArtifact
from apps.rollout.services import reconciling
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.cluster import closing
from apps.rollout.services.cluster import objects as cluster_objects
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import OLGA, POLICIES, POLICY, agreed, callers, cluster_spec, policy, told
from tests.rollout.world import INGRESS, FakeNode, Hands, doors, make_node, make_target, mesh_spec, standing_grant

pytestmark = pytest.mark.django_db


def test_nothing_is_closed_before_a_person_agreed(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    hands.work()
    target.refresh_from_db()
    (waiting,) = closing.closings(target)
    assert (waiting.service, waiting.paths, waiting.allowed) == ("payments", (POLICY,), ())
    assert any("isolates the pods of Payments" in sentence for sentence in waiting.sentences)
    assert "An operator looks at the plan and agrees." in PendingChange.objects.get(service="payments").error
    assert policy(cluster) is None


def test_after_a_yes_the_object_is_there_and_the_yes_is_on_the_record(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    target = agreed(hands)
    found = policy(cluster)
    assert found is not None
    assert found["metadata"]["labels"]["sallyport.dev/cluster"] == "cluster"
    assert (target.active_number, closing.closings(target)) == (1, [])
    assert Activation.objects.get().state == "active"
    event = Event.objects.get(action="rollout.closing.agreed")
    assert (event.actor_name, event.after) == ("Olga", {"services": ["payments"]})
    assert "netpol_isolates" in [trap["code"] for trap in Revision.objects.get().traps]


def test_only_a_person_agrees_and_only_to_what_waits(target: Target, shop: factory.Shop, hands: Hands) -> None:
    hands.work()
    with pytest.raises(PersonNeeded):
        closing.agree(slug="cluster", services=["payments"], actor=shop.bot.actor, at=AT)
    with pytest.raises(closing.NothingWaits):
        closing.agree(slug="cluster", services=["orders"], actor=OLGA, at=AT)
    assert Target.objects.get().facts.get("closings") is None


def test_a_target_that_need_not_ask_closes_by_itself(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    Target.objects.update(production="automatic")
    hands.work()
    assert policy(cluster) is not None


def test_a_grant_is_brought_read_back_and_said_to_be_no_call(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    assert callers(cluster) == ["cart"]
    assert doors(grant) == {"mesh": "proven"}
    assert told(grant) == "Read back, the cluster holds the objects; no call was made."
    assert Probe.objects.get().runner == "report"
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    assert callers(cluster) == []
    assert doors(grant) == {"mesh": "closed"}


def test_a_service_outside_its_namespaces_is_none_of_its_business(shop: factory.Shop, cluster: LocalCluster) -> None:
    hands = Hands(AT)
    make_target(cluster_spec(cluster, namespaces=["elsewhere"]), AT)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    assert TargetArtifact.objects.count() == 0
    assert (Probe.objects.count(), doors(grant)) == (0, {"mesh": "opening"})


def test_a_grant_is_proven_only_when_every_mesh_has_it(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    make_target(mesh_spec(), AT)
    node = FakeNode(make_node(at=AT).node, workloads=("spiffe://shop.test/ns/shop/sa/cart", INGRESS))
    node.introduce(AT)
    agreed(hands)
    node.take(AT)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work("cluster")
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "opening"}, "pending")
    assert told(grant).endswith("Still to be shown at Mesh.")
    hands.work()
    node.take(AT)
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "proven"}, "active")
    hands.work()
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    cluster.faults({"method": "PATCH", "path": "/apis/.*", "status": 503, "times": 20})
    hands.work()
    node.take(AT)
    assert doors(grant) == {"mesh": "closing"}
    assert "Shop cluster" in told(grant)
    cluster.faults()
    hands.push(minutes=3)
    node.heartbeat(hands.clock())
    hands.work()
    assert doors(grant) == {"mesh": "closed"}


def test_somebody_else_in_the_way_is_named_and_only_a_person_takes_the_object_over(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"ingress": [{"from": []}]}}
    taken = cluster.apply(f"{POLICIES}/sp-payments", body, "argocd", force="true")
    assert taken.status_code == 200, taken.text
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    target.refresh_from_db()
    assert target.trouble == "conflict"
    assert cluster_objects.managers_of(target.facts["conflicts"][POLICY]) == "argocd"
    assert doors(grant) == {"mesh": "opening"}
    with pytest.raises(PersonNeeded):
        cluster_objects.take_over(slug="cluster", path=POLICY, managers="argocd", actor=shop.bot.actor, at=AT)
    with pytest.raises(cluster_objects.NoConflict):
        cluster_objects.take_over(slug="cluster", path=POLICY, managers="flux", actor=OLGA, at=AT)
    cluster_objects.take_over(slug="cluster", path=POLICY, managers="argocd", actor=OLGA, at=AT)
    hands.work()
    target.refresh_from_db()
    assert callers(cluster) == ["cart"]
    assert doors(grant) == {"mesh": "proven"}
    assert (target.facts["conflicts"], target.facts["taken"], target.error) == ({}, {}, "")
    event = Event.objects.get(action="rollout.object.taken_over")
    assert (event.before["managed"][0]["manager"], event.after) == ("argocd", {"path": POLICY})


def test_what_was_written_without_an_answer_is_taken_back_when_access_has_ended(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    cluster.faults(
        {"method": "PATCH", "path": "/apis/.*", "status": 503, "times": 2, "skip": 1, "after": True, "cut": True}
    )
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.deliver()
    reconciling.reconcile(slug="cluster", clock=hands.clock)
    assert callers(cluster) == ["cart"]
    assert doors(grant) == {"mesh": "opening"}
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    cluster.faults()
    hands.push(minutes=3)
    hands.work()
    assert callers(cluster) == []


def test_an_object_that_reads_back_otherwise_is_not_believed(
    target: Target, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    cluster.faults(admission=[{"change": {"spec": {"ingress": None}}, "resource": "networkpolicies.*"}])
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.deliver()
    reconciling.reconcile(slug="cluster", clock=hands.clock)
    target.refresh_from_db()
    assert (target.trouble, doors(grant)) == ("stored_otherwise", {"mesh": "opening"})
    cluster.faults()
    hands.push(minutes=6)
    hands.work()
    assert doors(grant) == {"mesh": "proven"}
