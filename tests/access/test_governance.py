"""Setting rules and guardrails."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access import refusals, services
from apps.access.models import ApprovalRule, Guardrail
from apps.access.services.governance import DEFAULT_RULES
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.outbox.models import Message
from tests.factories.access import ask, shop

pytestmark = pytest.mark.django_db

WALL = services.GuardrailValues(sentence="Agents never delete.", kinds=("agent",), methods=("DELETE",))


def test_default_rules_come_once_and_changed_ones_stay(at: datetime) -> None:
    services.ensure_default_rules(at=at)
    assert set(ApprovalRule.objects.values_list("slug", flat=True)) == set(DEFAULT_RULES)
    ApprovalRule.objects.filter(slug="owner-approves").update(count=2, enabled=False)
    recorded = Event.objects.count()
    services.ensure_default_rules(at=at)
    rule = ApprovalRule.objects.get(slug="owner-approves")
    assert (rule.count, rule.enabled, Event.objects.count()) == (2, False, recorded)


def test_a_change_is_recorded_with_before_and_after(at: datetime) -> None:
    there = shop()
    values = services.RuleValues(sentence="Two owners.", approver_kind="owner_team", count=2)
    services.set_rule(slug="owner-approves", values=values, actor=there.cyd.actor, at=at)
    event = Event.objects.get(action="access.rule.changed")
    assert (event.actor_id, event.before["count"], event.after["count"]) == ("person:cyd", 1, 2)


def test_open_requests_keep_the_rules_they_were_opened_under(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    values = services.RuleValues(sentence="Two owners.", approver_kind="owner_team", count=2)
    services.set_rule(slug="owner-approves", values=values, actor=SYSTEM, at=at)
    assert services.review(public_id=request.public_id, actor=there.ben, verdict="approve", at=at).state == "approved"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (services.RuleValues(sentence="", approver_kind="owner_team", count=1), "sentence"),
        (services.RuleValues(sentence="x", approver_kind="owner_team", count=0), "__all__"),
        (services.RuleValues(sentence="x", approver_kind="role", count=1), "__all__"),
        (services.RuleValues(sentence="x", approver_kind="owner_team", approver_value="team:a", count=1), "__all__"),
        (services.RuleValues(sentence="x"), "__all__"),
        (services.RuleValues(sentence="x", max_duration=0), "__all__"),
        (services.RuleValues(sentence="x", approver_kind="king", count=1), "approver_kind"),
        (services.RuleValues(sentence="x", max_duration=60, methods=("STEAL",)), "methods"),
        (services.RuleValues(sentence="x", max_duration=60, points=("cellar",)), "points"),
        (services.RuleValues(sentence="x", max_duration=60, sensitivities=("rather",)), "sensitivities"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_field(values: services.RuleValues, field: str, at: datetime) -> None:
    with pytest.raises(refusals.BadRule) as refused:
        services.set_rule(slug="odd", values=values, actor=SYSTEM, at=at)
    assert list(refused.value.fields) == [field]
    assert not ApprovalRule.objects.exists()


def test_a_guardrail_is_set_recorded_and_announced(at: datetime) -> None:
    services.set_guardrail(slug="agents-never-delete", values=WALL, actor=SYSTEM, at=at)
    assert Guardrail.objects.get().methods == ["DELETE"]
    assert Event.objects.get(action="access.guardrail.created").after["kinds"] == ["agent"]
    message = Message.objects.get(topic="access.guardrail.changed")
    assert (message.key, message.payload) == ("agents-never-delete", {"services": []})


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (("cart",), ("payments",), ["cart", "payments"]),
        ((), ("payments",), []),
        (("payments",), (), []),
    ],
)
def test_a_moved_guardrail_names_where_it_stood_and_where_it_stands(
    before: tuple[str, ...], after: tuple[str, ...], told: list[str], at: datetime
) -> None:
    for services_named in (before, after):
        values = services.GuardrailValues(sentence="No.", services=services_named)
        services.set_guardrail(slug="wall", values=values, actor=SYSTEM, at=at)
    assert Message.objects.filter(topic="access.guardrail.changed").latest("pk").payload == {"services": told}


def test_what_is_removed_is_gone_and_announced(at: datetime) -> None:
    there = shop()
    services.set_guardrail(slug="wall", values=WALL, actor=SYSTEM, at=at)
    services.remove_guardrail(slug="wall", actor=there.cyd.actor, at=at)
    services.remove_rule(slug="security-agrees", actor=there.eve.actor, at=at)
    assert not Guardrail.objects.exists()
    assert not ApprovalRule.objects.filter(slug="security-agrees").exists()
    assert Event.objects.get(action="access.rule.removed").before["approver_value"] == "security"
    assert Message.objects.filter(topic="access.guardrail.changed", key="wall").count() == 2
    with pytest.raises(refusals.UnknownGuardrail):
        services.remove_guardrail(slug="wall", actor=SYSTEM, at=at)
    with pytest.raises(refusals.UnknownRule):
        services.remove_rule(slug="security-agrees", actor=SYSTEM, at=at)


@pytest.mark.parametrize("who", ["ada", "ben", "flo", "bot", "cart"])
def test_only_security_and_administrators_govern(who: str, at: datetime) -> None:
    there = shop()
    actor = getattr(there, who).actor
    values = services.RuleValues(sentence="x", max_duration=60)
    for attempt in (
        lambda: services.set_rule(slug="mine", values=values, actor=actor, at=at),
        lambda: services.remove_rule(slug="owner-approves", actor=actor, at=at),
        lambda: services.set_guardrail(slug="mine", values=WALL, actor=actor, at=at),
        lambda: services.remove_guardrail(slug="mine", actor=actor, at=at),
    ):
        with pytest.raises(refusals.NotYoursToGovern):
            attempt()
    assert set(ApprovalRule.objects.values_list("slug", flat=True)) == set(DEFAULT_RULES)
    assert not Guardrail.objects.exists()
