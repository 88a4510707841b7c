"""What is read at once about one way is what the compiler reads, without what is only on its way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import selectors as access
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.firewall.live import load_live
from apps.identity import services as people
from tests.access.test_clean_ups import standing
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import pages

pytestmark = pytest.mark.django_db
SHOP = {"environment_slug": "demo"}


def test_it_agrees_with_what_is_compiled(at: datetime) -> None:
    there = factory.shop()
    billing = factory.service("billing", team=there.storefront)
    factory.depends(billing, there.service, routes=("read",))
    pages.guardrail()
    outside.guard("198.51.100.0/28")
    held = [
        standing(there.ada, "read", at=at),
        standing(there.storefront, "list", at=at),
        standing(there.cart, "refund", at=at),
        standing(there.bot, "list", at=at, service_slug="billing"),
        factory.active_grant(there.ada, there.ben, routes=("refund",), at=at),
    ]
    coming = factory.pending_grant(there.dan, there.ben, at=at)
    acme = outside.approved(there, at=at)
    factory.services.activate(grant_id=acme.public_id, at=at)
    proven = outside.approved(there, "203.0.113.64/28", who=acme.subject, at=at)
    people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at, why="Left.")
    later = at + timedelta(minutes=5)
    slugs, keys = ["payments", "billing"], [there.ada.key, there.cart.key, acme.subject.key]
    live = load_live(service_slugs=slugs, subject_keys=keys, at=later, **SHOP)
    compiled = access.graph_slice(service_slugs=slugs, also=keys, at=later, **SHOP)
    assert live.graph.services == compiled.services
    assert live.graph.guardrails == compiled.guardrails
    assert live.graph.denials == compiled.denials
    assert live.graph.grants == tuple(one for one in compiled.grants if one.id != coming.public_id)
    assert {one.id for one in live.graph.grants} == {one.public_id for one in held}
    assert {key: live.graph.subjects[key] for key in compiled.subjects} == compiled.subjects
    whole = access.address_graph(at=later, **SHOP)
    assert live.lists == replace(
        whole, openings=tuple(one for one in whole.openings if one.grant_id != proven.public_id)
    )
    mine = Grant.objects.filter(subject__in=[there.ada, there.storefront, there.cart, acme.subject])
    assert set(live.held) == set(mine.values_list("public_id", flat=True))
    assert live.held[proven.public_id].is_coming
    assert live.needed["payments"] == {}


def test_what_the_catalogue_says_a_workload_needs_comes_along(at: datetime) -> None:
    there = factory.shop()
    billing = factory.service("billing", team=there.storefront)
    factory.depends(billing, there.service, routes=("read",))
    key = "workload:spiffe://shop.test/ns/shop/sa/billing"
    live = load_live(service_slugs=["payments"], subject_keys=[key], at=at, **SHOP)
    assert live.needed == {"payments": {key: ("read",)}}


def test_it_takes_three_queries_however_much_there_is(at: datetime) -> None:
    there = factory.shop()
    for number in range(8):
        factory.service(f"other-{number}", team=there.payments_team)
        standing(there.ada, "read", at=at, service_slug=f"other-{number}")
    slugs = ["payments", *(f"other-{number}" for number in range(8))]
    with CaptureQueriesContext(connection) as asked:
        live = load_live(service_slugs=slugs, subject_keys=[there.ada.key, there.bot.key], at=at, **SHOP)
    assert (len(asked), len(live.held)) == (3, 8)
