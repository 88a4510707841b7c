"""Copying a service's access to another, and giving a service up: everything that names it, ended as one change."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access.models import AccessRequest, ApprovalRule, Grant, Guardrail
from apps.access.services import GuardrailValues, RuleValues, create_standing_grant, set_guardrail, set_rule
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.catalog.models import Dependency, Exposure, Service
from apps.firewall import refusals, services
from apps.firewall.models import Decommission
from apps.firewall.selectors import list_named
from apps.outbox.models import Message
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import firewall
from tests.factories.firewall import HOUR, written

pytestmark = pytest.mark.django_db
HEAD = services.Head(title="Like payments", reason="It replaces it.", duration=HOUR)


def test_a_copy_of_what_a_service_may_call_asks_in_the_name_of_the_other(at: datetime) -> None:
    there = factory.shop()
    factory.service("orders", team=there.storefront)
    billing = factory.service("billing", team=there.storefront)
    factory.service("ledger", team=there.storefront)
    orders = "workload:spiffe://shop.test/ns/shop/sa/orders"
    for routes in (("list", "read"), ("read",)):
        create_standing_grant(actor=SYSTEM, subject_key=orders, service_slug="payments", route_keys=routes, at=at)
    asked = services.clone_access(actor=there.ada, source="orders", to="billing", sides=["caller"], head=HEAD, at=at)
    lines = firewall.lines_of(asked)
    assert [(line.source, line.destination, line.method, line.path) for line in lines] == [
        ("workload:spiffe://shop.test/ns/shop/sa/billing", "payments", "GET", "/payments"),
        ("workload:spiffe://shop.test/ns/shop/sa/billing", "payments", "GET", "/payments/{id}"),
    ]
    assert [line.meaning.routes for line in lines] == [["list"], ["read"]]
    assert billing.title == "Billing"
    assert Grant.objects.count() == 2, "nothing was granted by copying"


def test_a_copy_of_who_may_call_a_service_asks_for_each_of_them(at: datetime) -> None:
    there = factory.shop()
    factory.service("refunds", team=there.payments_team, routes={"refund": (["POST"], "/refunds")})
    factory.active_grant(there.ada, there.ben, routes=("refund", "list"), at=at)
    asked = services.clone_access(actor=there.ada, source="payments", to="refunds", sides=["callee"], head=HEAD, at=at)
    first, second = firewall.lines_of(asked)
    assert (first.source, first.destination, first.path, first.meaning.problem) == (
        "person:ada",
        "refunds",
        "/payments",
        "Refunds has no route GET /payments.",
    )
    assert (second.path, second.meaning.routes, second.meaning.problem) == ("/refunds", ["refund"], "")


def test_there_has_to_be_something_to_copy(at: datetime) -> None:
    there = factory.shop()
    factory.service("refunds", team=there.payments_team)
    for to in ("refunds", "payments"):
        with pytest.raises(refusals.BadFirewallRequest):
            services.clone_access(actor=there.ada, source="payments", to=to, sides=["caller"], head=HEAD, at=at)


def furnish(there: factory.Shop, at: datetime) -> None:
    """One of everything that can name payments."""
    outside.guard()
    orders = factory.service("orders", team=there.storefront)
    factory.depends(orders, there.service)
    factory.active_grant(there.ada, there.ben, routes=("read",), at=at)
    create_standing_grant(
        actor=SYSTEM,
        subject_key="workload:spiffe://shop.test/ns/shop/sa/payments",
        service_slug="orders",
        route_keys=["list"],
        at=at,
    )
    factory.ask(there.ada, routes=("list",), at=at)
    outside.approved(there, at=at)
    set_rule(
        slug="only", values=RuleValues(sentence="Short.", services=("payments",), max_duration=60), actor=SYSTEM, at=at
    )
    both = RuleValues(sentence="Both.", services=("orders", "payments"), max_duration=7200)
    set_rule(slug="both", values=both, actor=SYSTEM, at=at)
    set_guardrail(slug="wall", values=GuardrailValues(sentence="No.", services=("payments",)), actor=SYSTEM, at=at)
    firewall.zone("cards", services=["payments"])
    firewall.request(there.ada, written("team:storefront", path="/refunds"), at=at)


def test_everything_that_names_a_service_is_found_in_words(at: datetime) -> None:
    there = factory.shop()
    furnish(there, at)
    found = list_named(there.service)
    kinds = [one.kind for one in found]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "grant": 2,
        "address": 1,
        "request": 1,
        "rule": 2,
        "guardrail": 1,
        "line": 1,
        "zone": 1,
        "exposure": 2,
        "dependency": 1,
        "host": 1,
    }
    becomes = {one.id: one.becomes for one in found}
    assert (becomes["only"], becomes["both"], becomes["wall"]) == (
        "Switched off.",
        "No longer names it.",
        "Switched off.",
    )


def test_approving_ends_all_of_it_and_nothing_else(at: datetime) -> None:
    there = factory.shop()
    furnish(there, at)
    services.propose_end(slug="payments", reason="Replaced.", actor=there.ben, at=at)
    done = services.decide_end(slug="payments", outcome="approved", actor=there.cyd, at=at)
    assert (done.outcome, done.decided_by) == ("approved", there.cyd)
    assert set(Grant.objects.values_list("state", flat=True)) == {"revoked"}
    assert list(AccessRequest.objects.filter(state="pending")) == []
    assert {
        rule.slug: (rule.enabled, rule.services) for rule in ApprovalRule.objects.filter(slug__in=["only", "both"])
    } == {
        "only": (False, ["payments"]),
        "both": (True, ["orders"]),
    }
    assert not Guardrail.objects.get(slug="wall").enabled
    assert Service.objects.get(slug="payments").retired_at == at
    assert Service.objects.get(slug="orders").retired_at is None
    assert not Exposure.objects.filter(service__slug="payments").exists()
    assert not Dependency.objects.exists()
    assert Message.objects.filter(topic="catalog.service.changed", key="payments").exists()
    assert Event.objects.filter(action="firewall.decommission.approved").count() == 1
    with pytest.raises(refusals.AlreadyDecommissioned):
        services.propose_end(slug="payments", reason="Again.", actor=there.ben, at=at)


def test_nobody_approves_what_they_proposed_or_did_not_see(at: datetime) -> None:
    there = factory.shop()
    services.propose_end(slug="payments", reason="Replaced.", actor=there.cyd, at=at)
    for who in (there.cyd, there.ben, there.bot):
        with pytest.raises(refusals.NotYoursToEndAll):
            services.decide_end(slug="payments", outcome="approved", actor=who, at=at)
    factory.active_grant(there.ada, there.ben, routes=("read",), at=at)
    with pytest.raises(refusals.DecommissionMoved):
        services.decide_end(slug="payments", outcome="approved", actor=there.eve, at=at)
    assert Service.objects.get(slug="payments").retired_at is None
    services.propose_end(slug="payments", reason="Replaced.", actor=there.cyd, at=at)
    services.decide_end(slug="payments", outcome="approved", actor=there.eve, at=at)
    assert Service.objects.get(slug="payments").retired_at == at


def test_a_denied_proposal_changes_nothing_and_can_be_made_again(at: datetime) -> None:
    there = factory.shop()
    factory.active_grant(there.ada, there.ben, routes=("read",), at=at)
    services.propose_end(slug="payments", reason="Replaced.", actor=there.ben, at=at)
    services.decide_end(slug="payments", outcome="denied", actor=there.cyd, at=at)
    assert Grant.objects.get().state == "active"
    with pytest.raises(refusals.NoDecommission):
        services.decide_end(slug="payments", outcome="approved", actor=there.cyd, at=at)
    services.propose_end(slug="payments", reason="Really.", actor=there.ben, at=at)
    assert list(Decommission.objects.order_by("pk").values_list("outcome", flat=True)) == ["denied", ""]


def test_only_its_team_security_and_administrators_propose_it(at: datetime) -> None:
    there = factory.shop()
    for who in (there.ada, there.bot, there.flo):
        with pytest.raises(refusals.NotYoursToDecommission):
            services.propose_end(slug="payments", reason="Replaced.", actor=who, at=at)
