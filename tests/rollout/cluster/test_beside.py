"""What two services have in common in one cluster is told in the plan, where no slice of either shows it."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import selectors as access
from apps.catalog.models import Environment, Exposure
from apps.rollout.models import Revision, Target
from apps.rollout.services.cluster import closing
from tests.factories import access as factory
from tests.factories import identity
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import agreed, cluster_spec
from tests.rollout.world import Hands, make_target, standing_grant

pytestmark = pytest.mark.django_db
SERVER = "https://10.0.0.1:6443"


def also_in_staging(shop: factory.Shop, *, server: str = SERVER) -> None:
    """The same doors, in an environment of its own whose target is brought to ``server``."""
    staging = Environment.objects.create(slug="staging", name="Staging")
    for door in Exposure.objects.filter(service=shop.service):
        door.pk, door.environment = None, staging
        door.save(force_insert=True)
    made = make_target(cluster_spec(server, "smi", slug="staging"), AT)
    Target.objects.filter(pk=made.pk).update(environment=staging)


def codes(target: Target, at: datetime = AT) -> set[object]:
    graph = access.graph_slice(service_slugs=["payments"], environment_slug="demo", at=at)
    return {trap["code"] for trap in closing.traps_of(target, {"payments": graph}, at)}


def test_the_same_account_and_address_in_another_environment_of_one_cluster_are_told(shop: factory.Shop) -> None:
    target = make_target(cluster_spec(SERVER, "smi", "nic", verifier="shop/verifier:8080"), AT)
    assert not {"account_shared", "address_shared"} & codes(target)
    also_in_staging(shop)
    found = access.graph_slice(service_slugs=["payments"], environment_slug="demo", at=AT)
    sentences = {trap["code"]: trap["sentence"] for trap in closing.traps_of(target, {"payments": found}, AT)}
    assert sentences["account_shared"] == (
        "Payments and Payments in Staging are one account on one port:"
        " whoever may call a path of one may call it on the other."
    )
    assert sentences["address_shared"] == "Payments and Payments in Staging have one address: neither is reached."


def test_in_another_cluster_they_have_nothing_in_common(shop: factory.Shop) -> None:
    target = make_target(cluster_spec(SERVER, "smi", "nic", verifier="shop/verifier:8080"), AT)
    also_in_staging(shop, server="https://10.0.0.2:6443")
    assert not {"account_shared", "address_shared"} & codes(target)


def test_what_it_costs_is_that_of_the_change(shop: factory.Shop) -> None:
    target = make_target(cluster_spec(SERVER, "smi", "nic", verifier="shop/verifier:8080"), AT)
    also_in_staging(shop)
    with CaptureQueriesContext(connection) as few:
        codes(target)
    for number in range(20):
        factory.service(f"other-{number}", team=shop.payments_team, doors=())
    with CaptureQueriesContext(connection) as many:
        codes(target)
    assert len(many) == len(few)


def test_the_plan_shows_it(shop: factory.Shop, cluster: LocalCluster, hands: Hands) -> None:
    """Cart's account is called after another service, whose pods a NetworkPolicy lets in instead."""
    cart = factory.service("cart", team=shop.storefront, doors=())
    make_target(cluster_spec(cluster), AT)
    Exposure.objects.create(
        service=cart,
        environment=factory.environment(),
        point="mesh",
        namespace="shop",
        workload=identity.workload("drawer", team=shop.storefront),
        port=9310,
        upstream_port=9311,
    )
    standing_grant(shop.cart, shop.cyd, at=AT)
    agreed(hands, "payments")
    told = [trap["sentence"] for revision in Revision.objects.all() for trap in revision.traps]
    said = "shop/cart is known by the label cart, which pods of Cart carry too: they can connect to Payments as well."
    assert said in told
