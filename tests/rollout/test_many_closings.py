"""Very many doors that close at once: before everything else, together, and without holding up one another."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import services as access
from apps.access.models import GrantDoor
from apps.audit import services as audit
from apps.audit.actors import SYSTEM
from apps.identity import services as people
from apps.rollout.models import Activation, PendingChange, Probe, Revision, Target
from apps.rollout.services import changes, compiling, proving, reconciling
from apps.rollout.services.changes import GrantNews
from tests.factories import access as factory
from tests.factories import identity
from tests.factories.access import AT
from tests.rollout.test_one_at_a_time import fill
from tests.rollout.world import INGRESS, FakeNode, Hands, make_node, make_target, mesh_spec, standing_grant

pytestmark = pytest.mark.django_db

CART = "spiffe://shop.test/ns/shop/sa/cart"


@pytest.fixture
def hands() -> Hands:
    return Hands(AT)


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def node(shop: factory.Shop, hands: Hands) -> FakeNode:
    made_for = make_target(mesh_spec(), AT)
    made = FakeNode(make_node(at=AT).node, workloads=(CART, INGRESS))
    made.introduce(AT)
    hands.work()
    made.take(AT)
    assert Target.objects.get(pk=made_for.pk).active_number == 1
    return made


def opened(shop: factory.Shop, hands: Hands, node: FakeNode, prefix: str, count: int) -> list[str]:
    """Grants of so many people in the mesh, open; the people's keys."""
    keys = []
    for number in range(count):
        one = identity.person(f"{prefix}{number}")
        factory.approve(factory.ask(one, points=("mesh",), at=AT), shop.ben, at=AT)
        keys.append(one.key)
    hands.work()
    node.take(AT)
    assert set(GrantDoor.objects.values_list("state", flat=True)) <= {"proven", "closed"}
    return keys


def close(keys: list[str], hands: Hands) -> None:
    for key in keys:
        people.suspend_subject(key=key, actor=SYSTEM, at=AT)
    hands.work()


def test_a_report_that_closes_many_doors_costs_what_one_that_closes_few_does(
    shop: factory.Shop, hands: Hands, node: FakeNode
) -> None:
    def cost(keys: list[str]) -> int:
        close(keys, hands)
        with CaptureQueriesContext(connection) as captured:
            node.take(AT)
        return len(captured)

    few, many = opened(shop, hands, node, "few", 2), opened(shop, hands, node, "many", 12)
    assert cost(few) == cost(many)
    assert set(GrantDoor.objects.values_list("state", flat=True)) == {"closed"}
    assert audit.verify().ok


LOCKS = re.compile(r'FROM "(\w+)".*FOR (?:NO KEY )?UPDATE')


def test_the_records_head_is_the_last_row_that_anybody_waits_for(
    shop: factory.Shop, hands: Hands, node: FakeNode
) -> None:
    close(opened(shop, hands, node, "p", 3), hands)
    with CaptureQueriesContext(connection) as captured:
        node.take(AT)
    locked = [found[1] for query in captured if (found := LOCKS.search(query["sql"]))]
    order = list(dict.fromkeys(locked))
    assert order == [
        "rollout_node",
        "rollout_target",
        "rollout_activation",
        "rollout_probe",
        "access_grant",
        "access_grantdoor",
        "audit_head",
    ]


def test_what_closes_is_compiled_before_what_was_noted_long_before(
    shop: factory.Shop, hands: Hands, node: FakeNode
) -> None:
    fill(shop, services=compiling.SERVICES_AT_ONCE + 2, grants=0)
    target = Target.objects.get()
    for number in range(compiling.SERVICES_AT_ONCE + 2):
        changes.note_service(slug=f"other-{number}", at=AT)
    changes.note_grants(grants=[GrantNews("g_1", "payments", ["mesh"], "demo", urgent=True)], at=AT)
    assert compiling.prepare(target=Target.objects.select_related("environment").get(), at=AT)
    assert not PendingChange.objects.filter(target=target, service="payments").exists()
    assert PendingChange.objects.filter(target=target).exists()


def test_an_ended_grant_is_urgent_and_a_new_one_is_not(shop: factory.Shop, hands: Hands, node: FakeNode) -> None:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.deliver()
    assert set(PendingChange.objects.values_list("urgent", flat=True)) == {False}
    PendingChange.objects.all().delete()
    access.end_grant(public_id=grant.public_id, actor=shop.cyd, at=AT)
    hands.deliver()
    assert set(PendingChange.objects.values_list("urgent", flat=True)) == {True}


def test_what_is_compiled_goes_out_before_more_is_compiled(shop: factory.Shop, hands: Hands, node: FakeNode) -> None:
    count = compiling.SERVICES_AT_ONCE + 2
    fill(shop, services=count, grants=0)
    for number in range(count):
        changes.note_service(slug=f"other-{number}", at=AT)
    before = Revision.objects.count()
    reconciling.reconcile(slug="mesh", clock=hands.clock)
    assert Revision.objects.count() == before + 2
    overtaken = Activation.objects.get(revision__number=before + 1)
    assert (overtaken.state, overtaken.started_at) == ("superseded", AT)


def test_doors_that_should_be_shut_are_asked_first_but_only_the_first_time(
    shop: factory.Shop, hands: Hands, node: FakeNode
) -> None:
    target, activation = Target.objects.get(), Activation.objects.get()

    def probe(number: int, expect: str, state: str) -> Probe:
        return Probe.objects.create(
            activation=activation,
            target=target,
            runner="edge",
            grant_id=f"g_{number}",
            point="edge",
            expect=expect,
            subject="person:ada",
            service="payments",
            state=state,
            created_at=AT,
            due_at=AT,
        )

    opening, failing, closing = probe(1, "allow", "ready"), probe(2, "deny", "failing"), probe(3, "deny", "ready")
    assert list(proving.due_at_edge(target, AT)) == [closing, opening, failing]
