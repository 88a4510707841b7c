"""One worker per target, and a lock that a dead worker does not keep."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.models import Grant, GrantDoor
from apps.catalog.models import Environment
from apps.rollout.models import PendingChange, Revision, Target
from apps.rollout.services import changes, reconciling
from apps.rollout.services.changes import GrantNews
from apps.rollout.services.reconciling import LOCK_SPACE
from tests.factories import access as factory
from tests.factories import identity, pages
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
def mesh(shop: factory.Shop) -> Target:
    return make_target(mesh_spec(), AT)


@pytest.fixture
def node(mesh: Target, hands: Hands) -> FakeNode:
    made = FakeNode(make_node(at=AT).node, workloads=(CART, INGRESS))
    made.introduce(AT)
    hands.work()
    made.take(AT)
    return made


def another_session() -> psycopg.Connection[tuple[int]]:
    at = connection.settings_dict
    return psycopg.connect(host=at["HOST"], port=at["PORT"], user=at["USER"], dbname=at["NAME"], autocommit=True)


def test_a_second_worker_leaves_at_once_and_a_dead_one_holds_nobody_up(mesh: Target, hands: Hands) -> None:
    first = another_session()
    first.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_SPACE, mesh.pk])
    assert reconciling.reconcile(slug="mesh", clock=hands.clock).busy
    assert Revision.objects.count() == 0
    first.close()
    with another_session() as second:  # PostgreSQL notices that a session is gone a moment later
        second.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_SPACE, mesh.pk])
        second.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_SPACE, mesh.pk])
    assert not reconciling.reconcile(slug="mesh", clock=hands.clock).busy
    assert Revision.objects.count() == 1


def test_the_lock_is_let_go(mesh: Target, hands: Hands) -> None:
    reconciling.reconcile(slug="mesh", clock=hands.clock)
    with another_session() as other:
        held = other.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, mesh.pk]).fetchone()
    assert held == (True,)


def test_an_unknown_target_is_nobodys_work(hands: Hands) -> None:
    assert reconciling.reconcile(slug="nowhere", clock=hands.clock).busy


def test_noting_a_change_twice_makes_one_revision(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    made = Revision.objects.count()
    for _ in range(2):
        changes.note_grants(grants=[GrantNews(grant.public_id, "payments", ["mesh"], "demo")], at=AT)
    hands.work()
    assert Revision.objects.count() == made
    assert PendingChange.objects.count() == 0


def test_changes_that_wait_together_become_one_revision(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    standing_grant(shop.cart, shop.cyd, at=AT)
    standing_grant(identity.workload("frontend"), shop.cyd, at=AT)
    hands.work()
    latest = Revision.objects.order_by("-number")[0]
    assert latest.number == 2
    assert latest.change_count == 2
    assert "Cart" in latest.summary or "cart" in latest.summary


def test_a_guardrail_that_stands_is_no_news_when_a_service_joins(
    mesh: Target, shop: factory.Shop, hands: Hands
) -> None:
    pages.guardrail()
    hands.work()
    assert "A new guardrail stands" in Revision.objects.get().summary
    factory.service("parcels", team=shop.payments_team)
    changes.note_service(slug="parcels", at=AT)
    hands.work()
    latest = Revision.objects.order_by("-number")[0]
    assert latest.number == 2
    assert latest.summary.startswith("Parcels joins")


def test_a_mesh_grant_does_not_touch_the_edge(mesh: Target, shop: factory.Shop, hands: Hands) -> None:
    elsewhere = [GrantNews("g_1", "payments", ["edge"], "demo"), GrantNews("g_1", "payments", ["mesh"], "elsewhere")]
    assert changes.note_grants(grants=elsewhere, at=AT) == []


def fill(shop: factory.Shop, services: int, grants: int) -> None:
    """Services with active grants of no concern here."""
    where = Environment.objects.get()
    for number in range(services):
        made = factory.service(f"other-{number}", team=shop.payments_team, doors=("mesh",))
        route = made.routes.get(key="read")
        rows = Grant.objects.bulk_create(
            Grant(
                public_id=f"g_{number}_{one}",
                subject=shop.cart,
                service=made,
                environment=where,
                points=["mesh"],
                fingerprint=f"{number}-{one}",
                duration=3600,
                state="active",
                approved_at=AT,
                activated_at=AT,
                starts_at=AT,
            )
            for one in range(grants)
        )
        GrantDoor.objects.bulk_create(GrantDoor(grant=row, point="mesh", state="proven", changed_at=AT) for row in rows)
        Grant.routes.through.objects.bulk_create(
            Grant.routes.through(grant_id=row.pk, route_id=route.pk) for row in rows
        )


def cost_of_one_grant(node: FakeNode, shop: factory.Shop, hands: Hands, who: str) -> int:
    """Statements from the noted change to the published revision."""
    standing_grant(identity.workload(who), shop.cyd, at=AT)
    hands.deliver()
    with CaptureQueriesContext(connection) as captured:
        reconciling.reconcile(slug="mesh", clock=hands.clock)
    node.take(AT)
    hands.work()
    node.take(AT)
    return len(captured)


def test_a_change_costs_the_same_in_a_large_estate(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    cost_of_one_grant(node, shop, hands, "first")
    small = cost_of_one_grant(node, shop, hands, "second")
    fill(shop, services=10, grants=60)
    for number in range(10):
        changes.note_service(slug=f"other-{number}", at=AT)
    hands.work()
    node.take(AT)
    assert cost_of_one_grant(node, shop, hands, "third") == small
    assert small <= 66


def test_a_service_that_is_retired_loses_its_artifacts(node: FakeNode, shop: factory.Shop, hands: Hands) -> None:
    shop.service.retired_at = AT
    shop.service.save()
    changes.note_service(slug="payments", at=AT)
    hands.work()
    manifest = node.take(AT)
    assert manifest is not None
    assert [one["path"] for one in manifest["artifacts"] if one["path"].startswith("services/")] == []


def test_doors_of_an_estate_older_than_its_target_open_too(shop: factory.Shop, hands: Hands) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.deliver()
    make_target(mesh_spec(), AT)
    node = FakeNode(make_node(at=AT).node, workloads=(CART,))
    node.introduce(AT)
    hands.work()
    node.take(AT)
    assert doors(grant) == {"mesh": "proven"}
