"""Proof by calls that a pod makes inside the cluster: what must be open is, and what must stay shut does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.rollout.drivers.base import DoorAnswer
from apps.rollout.models import Node, Probe, Target
from apps.rollout.services import nodes
from apps.rollout.services.targets import BadTarget, enroll_node
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import CART, OLGA, agreed, cluster_spec, told
from tests.rollout.world import Hands, doors, make_target, standing_grant

pytestmark = pytest.mark.django_db


@pytest.fixture
def mesh(shop: factory.Shop, cluster: LocalCluster) -> Target:
    """With a service mesh that tells routes apart."""
    return make_target(cluster_spec(cluster, "smi"), AT)


def pod(hands: Hands) -> Node:
    """A probe pod that runs as the cart and has said so."""
    node = enroll_node(target_slug="cluster", name="probe-cart", actor=OLGA, at=AT).node
    nodes.authenticate_node(token=_token(node), at=hands.clock())
    say(node, hands)
    return node


def _token(node: Node) -> str:
    return enroll_node(target_slug="cluster", name=node.name, actor=OLGA, at=AT).token


def say(node: Node, hands: Hands, *results: nodes.ProbeResult) -> None:
    report = nodes.Report(0, "", active=True, probes=results, identities=[{"workload": CART}])
    nodes.record_report(node=node, report=report, at=hands.clock())


def asked(node: Node, hands: Hands) -> list[dict[str, object]]:
    offer = nodes.offer(node_id=node.pk, have="", at=hands.clock())
    return [dict(one) for one in offer.probes] if offer else []


def answer(node: Node, hands: Hands, verdict: str, control: str = "deny") -> None:
    for one in asked(node, hands):
        made = DoorAnswer(verdict, "answered_200" if verdict == "allow" else "answered_403")
        say(node, hands, nodes.ProbeResult(int(str(one["id"])), made, "", control))


def test_a_pod_of_a_cluster_is_asked_for_calls_and_never_given_a_revision(mesh: Target, hands: Hands) -> None:
    node = pod(hands)
    agreed(hands)
    assert node.applies is False
    assert asked(node, hands) == []
    mesh.refresh_from_db()
    assert mesh.active_number == mesh.latest_number
    with pytest.raises(BadTarget):
        enroll_node(target_slug="cluster", name="agent", actor=OLGA, at=AT, applies=True)


def test_a_grant_is_proven_by_a_call_that_only_reads_and_one_that_stays_denied(
    mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    node = pod(hands)
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    assert doors(grant) == {"mesh": "open"}
    (one,) = asked(node, hands)
    assert (one["host"], one["method"], one["path"]) == ("payments.shop.svc", "GET", "/payments/sallyport-probe")
    assert (one["workload"], one["control"]) == (CART, {"method": "GET", "path": "/payments"})
    answer(node, hands, "allow")
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "proven"}, "active")
    assert told(grant).endswith("GET /payments, which nobody opened to it, stayed shut.")


def test_being_let_in_shows_nothing_where_everybody_is(mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    node = pod(hands)
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    for _ in range(3):
        answer(node, hands, "allow", control="allow")
        hands.push(seconds=40)
        nodes.authenticate_node(token=_token(node), at=hands.clock())
    assert (doors(grant), Grant.objects.get().state) == ({"mesh": "failing"}, "pending")
    assert "nothing is enforced there" in told(grant)


def test_access_that_ended_must_be_refused_to_the_pod(mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    node = pod(hands)
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    answer(node, hands, "allow")
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    (one,) = asked(node, hands)
    assert (one["expect"], "control" in one) == ("deny", False)
    answer(node, hands, "allow")
    assert doors(grant) == {"mesh": "closing"}
    hands.push(seconds=5)
    answer(node, hands, "deny")
    assert doors(grant) == {"mesh": "closed"}


def test_a_network_is_asked_for_a_connection_only(
    shop: factory.Shop, cluster: LocalCluster, target: Target, hands: Hands
) -> None:
    node = pod(hands)
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    (one,) = asked(node, hands)
    assert (one["how"], one["port"], "control" in one) == ("connect", 9201, False)
    answer(node, hands, "allow")
    assert told(grant) == f"a connection as workload:{CART} was let through."


def test_a_pod_that_went_away_is_not_waited_for(target: Target, shop: factory.Shop, hands: Hands) -> None:
    pod(hands)
    agreed(hands)
    hands.push(minutes=3)
    grant = standing_grant(shop.cart, shop.cyd, at=hands.clock())
    hands.work()
    assert doors(grant) == {"mesh": "proven"}
    assert Probe.objects.get().runner == "report"


def test_a_node_of_a_cluster_gets_no_certificates(target: Target, hands: Hands) -> None:
    node = pod(hands)
    with pytest.raises(nodes.ForeignWorkload):
        nodes.issue_for_node(node=node, workload=CART, csr_pem="", at=AT)


def test_an_agent_inside_gets_the_signed_bundle_and_its_word_counts(
    shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    spec = cluster_spec("")
    made = make_target(replace(spec, credentials={}), AT)
    Target.objects.filter(pk=made.pk).update(delivery="pulled")
    node = enroll_node(target_slug="cluster", name="agent", actor=OLGA, at=AT).node
    assert node.applies is True
    agreed(hands)
    made.refresh_from_db()
    assert (made.latest_number, made.active_number, made.error) == (1, 0, "No node is online.")
    Node.objects.update(last_seen_at=hands.clock())
    offer = nodes.offer(node_id=node.pk, have="", at=hands.clock())
    assert offer is not None
    assert offer.signed.count(".") == 2
    (policy,) = offer.inline.values()
    assert policy
    digest = made.revisions.get().digest
    report = nodes.Report(1, digest, active=True)
    nodes.record_report(node=node, report=report, at=hands.clock())
    made.refresh_from_db()
    assert made.active_number == 1
