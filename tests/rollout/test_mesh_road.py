"""The road of a grant through the mesh, seen from the console: offered, reported, probed by the node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.models import Event
from apps.catalog import selectors as catalog
from apps.catalog.models import Environment
from apps.rollout import content
from apps.rollout.models import Activation, Node, Probe, Revision, Target, TargetArtifact
from apps.rollout.services import dismissing, nodes
from apps.trust import pki
from tests.factories import access as factory
from tests.factories import identity
from tests.factories.access import AT
from tests.rollout.world import INGRESS, FakeNode, Hands, doors, make_node, make_target, mesh_spec, standing_grant

pytestmark = pytest.mark.django_db

CART = "spiffe://shop.test/ns/shop/sa/cart"


@pytest.fixture
def hands() -> Hands:
    return Hands(AT)


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def mesh(shop: factory.Shop, hands: Hands) -> Target:
    return make_target(mesh_spec(), AT)


@pytest.fixture
def node(mesh: Target, hands: Hands) -> FakeNode:
    """A node that holds the first revision and hosts the cart."""
    made = FakeNode(make_node(at=AT).node, workloads=(CART, INGRESS))
    made.introduce(AT)
    hands.work()
    made.take(AT)
    return made


def test_the_first_revision_waits_for_a_node(mesh: Target, hands: Hands) -> None:
    hands.work()
    mesh.refresh_from_db()
    assert (mesh.latest_number, mesh.active_number) == (1, 0)
    assert mesh.error == "No node is online."


def test_it_is_in_force_when_the_node_says_so(node: FakeNode, mesh: Target) -> None:
    mesh.refresh_from_db()
    assert mesh.active_number == 1
    assert Activation.objects.get().state == "active"
    assert node.take(AT) is None


def test_a_standing_grant_is_proven_by_the_node_and_starts(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    assert doors(grant) == {"mesh": "opening"}
    asked: list[dict[str, object]] = []

    def answer(probe: dict[str, object]) -> str:
        asked.append(probe)
        return "allow"

    node.answers = answer
    node.take(AT)
    assert doors(grant) == {"mesh": "proven"}
    assert Grant.objects.get().state == "active"
    assert [(probe["workload"], probe["method"], probe["path"], probe["expect"]) for probe in asked] == [
        (CART, "GET", "/payments/sallyport-probe", "allow")
    ]
    assert Activation.objects.order_by("-pk")[0].state == "proven"


def test_a_door_on_another_node_is_probed_where_it_is_found(
    node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    """There the application's port leads to the door."""
    mesh.config = {**mesh.config, "door_host": "{service}.{namespace}.svc"}
    mesh.save(update_fields=["config"])
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    asked: list[tuple[object, object]] = []

    def answer(probe: dict[str, object]) -> str:
        asked.append((probe["host"], probe["port"]))
        return "allow"

    node.answers = answer
    node.take(AT)
    exposure = catalog.graph_services(["payments"])["payments"].mesh
    assert exposure is not None
    assert asked == [("payments.shop.svc", exposure.upstream_port)]
    assert doors(grant) == {"mesh": "proven"}


def test_an_ended_grant_is_closed_when_the_node_is_refused(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    assert doors(grant) == {"mesh": "closing"}
    node.take(AT)
    assert doors(grant) == {"mesh": "closed"}


def test_a_door_that_stays_open_is_not_called_closed(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    node.answers = lambda probe: "allow"
    for _ in range(4):
        hands.push(seconds=5)
        node.take(hands.clock())
    assert doors(grant) == {"mesh": "failing"}
    assert "was let through" in Grant.objects.get().error
    node.answers = lambda probe: "deny"
    hands.push(seconds=60)
    node.take(hands.clock())
    assert doors(grant) == {"mesh": "closed"}
    assert Grant.objects.get().error == ""


def test_another_grant_that_still_allows_the_call_does_not_keep_a_door_open(
    node: FakeNode, shop: factory.Shop, hands: Hands
) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    probe = Probe.objects.get(expect="deny")
    report = nodes.Report(
        revision=Revision.objects.count(),
        digest=Revision.objects.order_by("-number")[0].digest,
        active=True,
        probes=[nodes.ProbeResult(probe.pk, nodes.DoorAnswer("allow", "granted", ("g_other",)), "")],
    )
    nodes.record_report(node=node.node, report=report, at=AT)
    assert doors(grant) == {"mesh": "closed"}


def test_a_failed_node_is_shown_and_not_pressed(node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT, error="nginx: [emerg] unknown directive")
    hands.push(seconds=3)
    hands.work()
    mesh.refresh_from_db()
    assert mesh.error == "node-1: nginx: [emerg] unknown directive"
    assert "unknown directive" in Grant.objects.get(pk=grant.pk).error
    assert node.take(AT) is None
    hands.push(seconds=10)
    assert node.take(hands.clock()) is not None
    assert doors(grant) == {"mesh": "proven"}


def test_every_live_node_is_waited_for(node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    second = FakeNode(make_node("node-2", at=AT).node, workloads=(INGRESS,))
    second.introduce(AT)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    assert doors(grant) == {"mesh": "opening"}
    second.take(AT)
    assert doors(grant) == {"mesh": "open"}
    node.take(AT)
    assert doors(grant) == {"mesh": "proven"}


def test_a_node_that_went_away_is_not_waited_for(
    node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    FakeNode(make_node("node-2", at=AT).node).introduce(AT)
    hands.push(minutes=3)
    grant = standing_grant(shop.cart, shop.cyd, at=hands.clock())
    node.heartbeat(hands.clock())
    hands.work()
    node.take(hands.clock())
    assert doors(grant) == {"mesh": "proven"}


def test_an_old_report_changes_nothing(node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    old = nodes.Report(revision=1, digest="0" * 64, active=True)
    nodes.record_report(node=node.node, report=old, at=AT)
    assert Node.objects.get().active_number == Revision.objects.count()


def test_a_node_gets_only_what_it_lacks(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    offer = nodes.offer(node_id=node.node.pk, have=node.have, at=AT)
    assert offer is not None
    assert len(offer.inline) == 2  # its grants, and the trials that go with them
    fresh = nodes.offer(node_id=node.node.pk, have="", at=AT)
    assert fresh is not None
    assert len(fresh.inline) > 10


def test_a_workload_that_no_node_hosts_opens_on_the_nodes_word(
    node: FakeNode, shop: factory.Shop, hands: Hands
) -> None:
    grant = standing_grant(identity.workload("elsewhere"), shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    assert doors(grant) == {"mesh": "proven"}
    probe = Probe.objects.get()
    assert (probe.runner, probe.reason) == ("report", "reported")
    assert Grant.objects.get(pk=grant.pk).state == "active"


def test_a_person_cannot_be_tried_inside_the_mesh_alone(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.ada, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    assert doors(grant) == {"mesh": "proven"}
    assert Probe.objects.get().runner == "report"


def test_what_runs_out_is_closed(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    request = factory.ask(shop.dan, subject=shop.bot, routes=("read",), points=("mesh",), duration=60, at=AT)
    factory.approve(request, shop.ben, at=AT)
    hands.work()
    node.take(AT)
    hands.work()
    node.take(AT)
    grant = Grant.objects.get()
    assert (grant.state, doors(grant)) == ("active", {"mesh": "proven"})
    hands.push(seconds=61)
    access.expire_due_grants(at=hands.clock())
    assert doors(grant) == {"mesh": "closing"}
    hands.work()
    node.take(hands.clock())
    assert doors(grant) == {"mesh": "closed"}
    assert Probe.objects.get(expect="deny").state == "passed"


def test_nobody_waits_for_the_answer_of_a_node_that_was_removed(
    node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    """Only the lost node could call as the cart; the other says that it holds the revision."""
    other = FakeNode(make_node(name="node-2", at=AT).node, workloads=(INGRESS,))
    other.introduce(AT)
    node.answers = lambda probe: "error"
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    for one in (node, other):
        one.take(AT)
    hands.work()
    assert (doors(grant)["mesh"], Probe.objects.get().runner) != ("proven", "report")
    dismissing.remove_node(target_slug="mesh", name="node-1", actor=shop.ben.actor, at=AT)
    assert (doors(grant), Probe.objects.get().runner) == ({"mesh": "proven"}, "report")


def test_an_activation_does_not_wait_for_a_node_that_was_removed(
    node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    other = FakeNode(make_node(name="node-2", at=AT).node, workloads=(INGRESS,))
    other.introduce(AT)
    standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    other.take(AT)
    hands.work()
    other.take(AT)
    hands.work()
    mesh.refresh_from_db()
    assert mesh.active_number < mesh.latest_number
    dismissing.remove_node(target_slug="mesh", name="node-1", actor=shop.ben.actor, at=AT)
    other.take(AT)
    hands.push(seconds=5)
    hands.work()
    assert Activation.objects.get(revision__number=2).state == "proven"


def test_the_questions_of_the_last_node_wait_for_the_next(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    node.answers = lambda probe: "error"
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    dismissing.remove_node(target_slug="mesh", name="node-1", actor=shop.ben.actor, at=AT)
    assert doors(grant)["mesh"] != "proven"
    assert Probe.objects.get().runner == "node"


def _holds(node: FakeNode, workload: str) -> str:
    """The fingerprint of a certificate it fetched, as it tells of it."""
    csr = pki.new_request(pki.new_private_key())
    issued = nodes.issue_for_node(node=node.node, workload=workload, csr_pem=csr, at=AT)
    return issued.fingerprint


def _believed(target: str) -> str:
    row = TargetArtifact.objects.get(target__slug=target, path="identities.map")
    return content.load([row])[0].content.decode()


def test_no_door_believes_the_certificates_of_a_node_that_was_removed(
    node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    other = FakeNode(make_node(name="node-2", at=AT).node)
    gone, kept = _holds(node, INGRESS), _holds(other, INGRESS)
    hands.work()
    assert f'"{gone}" "{INGRESS}";' in _believed("mesh")
    dismissing.remove_node(target_slug="mesh", name="node-1", actor=shop.ben.actor, at=AT)
    hands.work()
    assert f'"{gone}" "";' in _believed("mesh")
    assert f'"{kept}" "{INGRESS}";' in _believed("mesh")
    assert Event.objects.get(action="rollout.node.removed").before == {"node": "node-1", "certificates": 1}
    assert Revision.objects.latest("number").summary == "A node was removed: its certificates are believed no more."


def test_a_node_of_the_same_name_in_another_mesh_keeps_its_certificates(
    node: FakeNode, mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    fingerprint = _holds(node, INGRESS)
    Environment.objects.create(slug="other", name="Other", is_default=False)
    there = make_target(replace(mesh_spec(), slug="other", environment="other"), AT)
    held = [{"workload": INGRESS, "fingerprint": fingerprint}]
    Node.objects.create(target=there, name="node-1", token_hash="other", enrolled_at=AT, identities=held)
    dismissing.remove_node(target_slug="mesh", name="node-1", actor=shop.ben.actor, at=AT)
    assert Target.objects.get(slug="mesh").facts.get("distrusted") is None
