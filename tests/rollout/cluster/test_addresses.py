"""Addresses that are opened at a host reach the pods of a service that is reached past any ingress, and leave again."""

from __future__ import annotations

from typing import Any

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.rollout.models import PendingChange
from apps.rollout.services import changes
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import agreed, cluster_spec, policy
from tests.rollout.world import Hands, make_target

pytestmark = pytest.mark.django_db


def blocks(cluster: LocalCluster) -> list[str]:
    found: dict[str, Any] = policy(cluster) or {}
    peers = [peer for rule in found["spec"].get("ingress", ()) for peer in rule["from"]]
    return [peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer]


def opened(there: factory.Shop) -> Grant:
    outside.guard()
    acme = outside.party(there.ada, there.storefront)
    return outside.approved(there, "203.0.113.0/28", who=acme, at=AT)


def test_they_come_and_go_with_the_grant(shop: factory.Shop, cluster: LocalCluster, hands: Hands) -> None:
    make_target(cluster_spec(cluster, direct=["payments"]), AT)
    agreed(hands)
    assert blocks(cluster) == []
    grant = opened(shop)
    hands.work()
    assert "203.0.113.0/28" in blocks(cluster)
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=hands.clock())
    hands.work()
    assert "203.0.113.0/28" not in blocks(cluster)


def test_where_no_service_is_reached_so_nothing_is_compiled_for_an_address(
    shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(cluster_spec(cluster), AT)
    agreed(hands)
    grant = opened(shop)
    PendingChange.objects.all().delete()
    assert changes.note_addresses(grant_ids=[grant.public_id], at=AT) == []
    hands.work()
    assert blocks(cluster) == []


def test_only_grants_to_addresses_and_only_those_at_its_host_concern_it(
    shop: factory.Shop, cluster: LocalCluster
) -> None:
    make_target(cluster_spec(cluster, direct=["payments"]), AT)
    grant = opened(shop)
    person = factory.active_grant(shop.ada, shop.ben, points=("edge",), at=AT)
    PendingChange.objects.all().delete()
    assert changes.note_addresses(grant_ids=[person.public_id], at=AT) == []
    assert changes.note_addresses(grant_ids=[grant.public_id], at=AT) == ["cluster"]
    assert changes.note_addresses(grant_ids=None, at=AT) == ["cluster"]
    assert set(PendingChange.objects.values_list("service", flat=True)) == {"payments"}
