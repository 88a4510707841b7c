"""What a demo starts with, and that starting again changes nothing."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.management import call_command

from apps.access import services
from apps.access.models import ApprovalRule, Grant, Guardrail
from apps.access.seeding import seed_demo_access
from apps.audit.models import Event
from tests.factories.access import depends, service, shop

pytestmark = pytest.mark.django_db


def test_standing_access_follows_the_declared_calls(at: datetime) -> None:
    there = shop(rules=False)
    checkout = service("checkout", team=there.payments_team)
    quotes = service("quotes", team=there.payments_team, doors=("edge",))
    depends(checkout, there.service, ["refund"])
    depends(checkout, quotes)
    depends(quotes, there.service)
    seed_demo_access(at=at)
    grant = Grant.objects.get()
    assert grant.subject.key == "workload:spiffe://shop.test/ns/shop/sa/checkout"
    assert (grant.service, grant.points, grant.duration) == (there.service, ["mesh"], None)
    assert list(grant.routes.values_list("key", flat=True)) == ["refund"]
    assert sorted(Guardrail.objects.values_list("slug", flat=True)) == [
        "agents-never-delete",
        "mail-leaves-from-inside",
    ]
    assert ApprovalRule.objects.count() == 5


def test_running_it_again_changes_nothing_and_revives_nothing(at: datetime) -> None:
    there = shop()
    depends(service("checkout", team=there.payments_team), there.service)
    seed_demo_access(at=at)
    services.end_grant(public_id=Grant.objects.get().public_id, actor=there.cyd, at=at)
    recorded = Event.objects.count()
    call_command("seed_demo_access")
    assert (Event.objects.count(), Grant.objects.get().state) == (recorded, "revoked")
