"""The road of a traffic rule: compiled into data, applied and proven at a running edge, and gone when it ends."""

from __future__ import annotations

import base64
import json

import pytest

from apps.access import services as access
from apps.access.models import AccessRequest, Grant
from apps.catalog.models import Exposure
from apps.compiler.graph import Breaker
from apps.rollout.models import Probe, Revision, Shard, Target
from apps.rollout.snapshots import from_json, to_json
from apps.trust import services as trust
from tests.factories import access as factory
from tests.factories import identity
from tests.localedge.standin import StandIn, eventually
from tests.rollout.world import (
    INGRESS,
    FakeNode,
    Hands,
    doors,
    edge_spec,
    grant_to,
    make_node,
    make_target,
    mesh_spec,
    now,
    standing_grant,
)

pytestmark = pytest.mark.django_db
CART = "spiffe://shop.test/ns/shop/sa/cart"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    made = factory.shop()
    Exposure.objects.filter(service=made.service, point="mesh").update(variants=["v2:9301"])
    identity.team("beta", members=(made.ada,))
    return made


@pytest.fixture
def edge(standin: StandIn, shop: factory.Shop, hands: Hands) -> Target:
    make_target(edge_spec(standin.control, f"http://127.0.0.1:{standin.ports['data']}"))

    def live() -> bool:
        hands.work("edge")
        return Target.objects.get(slug="edge").active_number > 0

    eventually(live)
    return Target.objects.get(slug="edge")


def rule_for(shop: factory.Shop, subject: str, points: tuple[str, ...], **treatment: object) -> Grant:
    request = access.open_request(
        actor=shop.ben,
        subject_key=subject,
        service_slug="payments",
        route_keys=("refund", "read"),
        points=points,
        duration=3600,
        reason="Trying the new version.",
        treatment=treatment,
        at=now(),
    )
    factory.approve(request, shop.bea, at=now())
    return Grant.objects.get(request=AccessRequest.objects.get(pk=request.pk))


def settle(hands: Hands, grant: Grant, point: str, state: str) -> None:
    def there() -> bool:
        hands.work()
        return doors(grant)[point] == state

    eventually(there)


def tells(standin: StandIn, subject: str) -> str:
    """What the edge answers to a probe."""
    token = trust.sign_edge_token(subject=subject, client_id="test", at=now()).token
    headers = {"Authorization": f"Bearer {token}", "X-Sallyport-Probe": "1"}
    return str(standin.get("/payments/refunds", method="POST", headers=headers).headers["X-Sallyport-Edge"])


def chosen(standin: StandIn, subject: str) -> object:
    """The version that the edge vouches for towards the origin, which echoes what it got."""
    token = trust.sign_edge_token(subject=subject, client_id="test", at=now()).token
    answer = standin.get("/payments/refunds", method="POST", headers={"Authorization": f"Bearer {token}"})
    headers = {name.lower(): value for name, value in answer.json()["headers"]}
    body = headers["txn-token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["tctx"].get("vr")


def test_a_rule_is_proven_at_the_edge_and_gone_when_it_ends(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    code = [row.sha256 for row in Revision.objects.get().artifacts.order_by("path")]
    for who in (shop.ada, shop.dan):
        settle(hands, grant_to(who, shop.ben), "edge", "proven")
    rule = rule_for(shop, "team:beta", ("edge",), variant="v2", set_headers={"X-Canary": "on"})
    settle(hands, rule, "edge", "proven")
    rule.refresh_from_db()
    assert rule.state == "active"
    probe = Probe.objects.get(grant_id=rule.public_id)
    assert (probe.subject, probe.verdict, rule.public_id in probe.grants) == ("person:ada", "allow", True)
    assert rule.public_id in tells(standin, "person:ada")
    assert rule.public_id not in tells(standin, "person:dan")
    assert (chosen(standin, "person:ada"), chosen(standin, "person:dan")) == ("v2", None)
    assert len(code) > 1
    assert Revision.objects.order_by("-number")[0].artifacts.count() == 1, "data alone, no code"

    access.end_grant(public_id=rule.public_id, actor=shop.bea, at=now())
    settle(hands, rule, "edge", "closed")
    assert rule.public_id not in tells(standin, "person:ada")
    assert chosen(standin, "person:ada") is None
    assert tells(standin, "person:ada").startswith("allow;granted;"), "who may call is as before"


def test_a_node_proves_it_as_the_workload_it_is_about(shop: factory.Shop, hands: Hands) -> None:
    make_target(mesh_spec())
    node = FakeNode(make_node(at=now()).node, workloads=(CART, INGRESS))
    node.introduce(now())
    hands.work()
    node.take(now())
    standing_grant(shop.cart, shop.cyd, at=now())
    hands.work()
    node.take(now())
    breaker = {"errors": 5, "seconds": 60}
    rule = rule_for(shop, shop.cart.key, ("mesh",), variant="v2", calls_per_minute=30, breaker=breaker)
    hands.work()
    node.take(now())
    assert doors(rule) == {"mesh": "proven"}
    probe = Probe.objects.get(grant_id=rule.public_id)
    assert (probe.runner, probe.call["workload"], probe.call["method"]) == ("node", CART, "GET")
    [piece] = [from_json(row.graph) for row in Shard.objects.filter(service="payments")]
    [told] = piece.traffic
    assert (told.id, told.variant, told.calls_per_minute, told.breaker) == (rule.public_id, "v2", 30, Breaker(5, 60))
    assert from_json(json.loads(json.dumps(to_json(piece)))) == piece
    words = "go to v2, are let through 30 times a minute for each caller and are turned away for 60 s after 5 errors"
    assert words in Revision.objects.order_by("-number")[0].summary


def test_where_nobody_who_may_call_is_meant_the_revision_alone_is_told(shop: factory.Shop, hands: Hands) -> None:
    make_target(mesh_spec())
    node = FakeNode(make_node(at=now()).node, workloads=(CART, INGRESS))
    node.introduce(now())
    hands.work()
    node.take(now())
    rule = rule_for(shop, "team:beta", ("mesh",), variant="v2")
    hands.work()
    node.take(now())
    assert Probe.objects.get(grant_id=rule.public_id).runner == "report"
    assert doors(rule) == {"mesh": "proven"}
