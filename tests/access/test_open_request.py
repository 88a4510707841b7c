"""Asking: what is stored, what is refused, and in whose words."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import refusals, services
from apps.access.models import AccessRequest, ApprovalRule
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.catalog.errors import UnknownRoute, UnknownService
from apps.catalog.models import Service
from apps.identity import services as people
from apps.outbox.models import Message
from tests.factories import identity
from tests.factories.access import HOUR, ask, service, shop

pytestmark = pytest.mark.django_db


def test_the_ask_is_stored_with_what_the_rules_said(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    request = ask(there.ada, routes=("refund", "list"), at=at)
    stored = AccessRequest.objects.get(public_id=request.public_id)
    assert stored.public_id.startswith("req_")
    assert (stored.state, stored.requester, stored.subject) == ("pending", there.ada, there.ada)
    assert sorted(stored.routes.values_list("key", flat=True)) == ["list", "refund"]
    assert stored.points == ["edge", "mesh"]
    assert stored.expires_at == at + timedelta(days=7)
    assert list(stored.requirements.order_by("kind").values_list("kind", "value", "count", "name")) == [
        ("owner_team", "team:payments", 1, "Owners of Payments"),
        ("role", "security", 1, "Security"),
    ]
    assert [rule["slug"] for rule in stored.resolved["rules"]] == ["owner-approves", "security-agrees"]
    assert stored.resolved["max_duration"] == 24 * HOUR
    assert stored.risk["level"] == "medium"


def test_the_ask_is_recorded_and_announced(at: datetime) -> None:
    there = shop()
    request = ask(there.ada, at=at)
    event = Event.objects.get(action="access.request.opened")
    assert (event.actor_id, event.target_id, event.at) == ("person:ada", request.public_id, at)
    assert event.after["routes"] == ["refund"]
    assert Message.objects.filter(topic="access.request.opened", key=request.public_id).count() == 1


@pytest.mark.parametrize(
    ("doors", "who", "expected"),
    [
        (("edge", "mesh"), "ada", ["edge", "mesh"]),
        (("edge", "mesh"), "bot", ["edge", "mesh"]),
        (("edge", "mesh"), "cart", ["mesh"]),
        (("mesh",), "ada", ["mesh"]),
        (("edge",), "cart", ["edge"]),
    ],
)
def test_the_doors_are_chosen_sensibly(doors: tuple[str, ...], who: str, expected: list[str]) -> None:
    there = shop()
    service("billing", team=there.payments_team, doors=doors)
    subject = getattr(there, who)
    actor = there.ada if who == "cart" else subject
    assert ask(actor, subject=subject, to="billing").points == expected


def test_a_person_asks_for_her_team_and_its_workload_but_not_for_others() -> None:
    there = shop()
    assert ask(there.ada, subject=there.storefront).subject == there.storefront
    assert ask(there.ada, subject=there.cart).subject == there.cart
    for other in (there.ben, there.payments_team, there.bot):
        with pytest.raises(refusals.NotYourSubject):
            ask(there.ada, subject=other)


def test_an_agent_asks_for_itself_only() -> None:
    there = shop()
    assert ask(there.bot).requester == there.bot
    with pytest.raises(refusals.NotYourSubject):
        ask(there.bot, subject=there.dan)


def test_the_owner_asks_for_the_agent() -> None:
    there = shop()
    assert ask(there.dan, subject=there.bot).subject == there.bot


def test_the_same_ask_is_open_once() -> None:
    there = shop()
    first = ask(there.ada)
    with pytest.raises(refusals.AlreadyAsked) as refused:
        ask(there.ada, duration=2 * HOUR, reason="Another reason.")
    assert refused.value.extra == {"request": first.public_id}
    assert ask(there.ada, routes=("list",)).state == "pending"
    assert AccessRequest.objects.count() == 2


def test_the_same_may_be_asked_again_after_an_answer() -> None:
    there = shop()
    first = ask(there.ada)
    services.review(public_id=first.public_id, actor=there.ben, verdict="deny", at=first.created_at)
    assert ask(there.ada).public_id != first.public_id


@pytest.mark.parametrize(("asked", "allowed"), [(8 * HOUR, True), (8 * HOUR + 1, False)])
def test_the_duration_is_refused_beyond_the_services_maximum_and_never_cut(asked: int, allowed: bool) -> None:
    there = shop(max_duration=8 * HOUR)
    if allowed:
        assert ask(there.ada, duration=asked).duration == asked
        return
    with pytest.raises(refusals.DurationTooLong) as refused:
        ask(there.ada, duration=asked)
    assert refused.value.message == "At most 8 hours: Payments allows this at most."
    assert refused.value.extra == {"max_duration": 8 * HOUR}
    assert not AccessRequest.objects.exists()


def test_the_strictest_duration_wins() -> None:
    there = shop(max_duration=8 * HOUR)
    with pytest.raises(refusals.DurationTooLong) as refused:
        ask(there.bot, duration=4 * HOUR + 60)
    assert refused.value.extra == {"max_duration": 4 * HOUR}


@pytest.mark.parametrize("duration", [0, -1, 59, 2**31])
def test_an_impossible_duration_is_refused(duration: int) -> None:
    there = shop()
    with pytest.raises(refusals.BadDuration):
        ask(there.ada, duration=duration)


@pytest.mark.parametrize("reason", ["", "   ", "a\x00b", "x" * 2001])
def test_a_reason_is_needed_and_plain(reason: str) -> None:
    there = shop()
    with pytest.raises(refusals.BadReason) as refused:
        ask(there.ada, reason=reason)
    assert list(refused.value.fields) == ["reason"]


def test_unknown_things_are_refused_by_name() -> None:
    there = shop()
    with pytest.raises(UnknownService):
        ask(there.ada, to="nowhere")
    with pytest.raises(UnknownRoute):
        ask(there.ada, routes=("refund", "teleport"))
    with pytest.raises(refusals.BadRoutes):
        ask(there.ada, routes=())
    with pytest.raises(refusals.BadPoints):
        ask(there.ada, points=("cellar",))


def test_a_retired_service_opens_nothing(at: datetime) -> None:
    there = shop()
    Service.objects.update(retired_at=at)
    with pytest.raises(refusals.ServiceRetired):
        ask(there.ada)


def test_nobody_suspended_asks_nor_is_asked_for(at: datetime) -> None:
    there = shop()
    people.suspend_subject(key=there.cart.key, actor=SYSTEM, at=at)
    with pytest.raises(refusals.SubjectSuspended):
        ask(there.ada, subject=there.cart)
    people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at)
    there.bot.refresh_from_db()
    with pytest.raises(refusals.SubjectSuspended):
        ask(there.bot)


def test_without_a_rule_nothing_opens() -> None:
    there = shop(rules=False)
    with pytest.raises(refusals.NoRuleCovers):
        ask(there.ada)


def test_a_rule_that_only_limits_the_duration_is_not_a_yes(at: datetime) -> None:
    there = shop(rules=False)
    values = services.RuleValues(sentence="Short.", max_duration=HOUR)
    services.set_rule(slug="short", values=values, actor=SYSTEM, at=at)
    with pytest.raises(refusals.NoRuleCovers):
        ask(there.ada)


def test_with_nobody_to_approve_it_says_whom_to_ask() -> None:
    there = shop()
    orphans = identity.team("orphans")
    service("orphaned", team=orphans)
    with pytest.raises(refusals.NobodyCanApprove) as refused:
        ask(there.ada, to="orphaned")
    assert refused.value.message == "Nobody else can approve for: Owners of Orphans. Ask Eve to name somebody."


def test_the_only_owner_cannot_ask_because_nobody_else_could_approve() -> None:
    there = shop()
    service("solo", team=identity.team("solo", owners=(there.ada,)))
    with pytest.raises(refusals.NobodyCanApprove):
        ask(there.ada, to="solo")


def test_the_owner_of_an_asking_agent_does_not_count_as_an_approver() -> None:
    there = shop()
    service("solo", team=identity.team("solo", owners=(there.dan,)))
    with pytest.raises(refusals.NobodyCanApprove):
        ask(there.bot, to="solo")


def test_suspended_owners_do_not_count(at: datetime) -> None:
    there = shop()
    people.suspend_subject(key=there.ben.key, actor=SYSTEM, at=at)
    assert ask(there.ada).state == "pending"
    people.suspend_subject(key=there.bea.key, actor=SYSTEM, at=at)
    with pytest.raises(refusals.NobodyCanApprove):
        ask(there.ada, routes=("list",))


def test_one_person_in_both_roles_is_not_two_people() -> None:
    there = shop(sensitivity="sensitive")
    both = identity.person("gus", roles=("security",))
    service("vault", team=identity.team("vault", owners=(both,)), sensitivity="critical")
    assert ask(there.ada, to="vault").state == "pending"  # Gus for the owners, Cyd for security
    people.suspend_subject(key=there.cyd.key, actor=SYSTEM, at=there.cyd.created_at)
    with pytest.raises(refusals.NobodyCanApprove) as refused:
        ask(there.ada, to="vault", routes=("list",))
    assert "Security" in refused.value.message


def test_a_guardrail_refuses_with_its_own_sentence(at: datetime) -> None:
    there = shop()
    values = services.GuardrailValues(sentence="Agents never delete.", kinds=("agent",), methods=("DELETE",))
    services.set_guardrail(slug="agents-never-delete", values=values, actor=SYSTEM, at=at)
    with pytest.raises(refusals.GuardrailStands) as refused:
        ask(there.bot, routes=("purge", "list"))
    assert refused.value.message == "Agents never delete."
    assert refused.value.extra == {"guardrail": "agents-never-delete", "route": "purge", "point": "edge"}
    assert ask(there.ada, routes=("purge", "list")).state == "pending"
    assert ask(there.bot, routes=("list",)).state == "pending"


def test_a_guardrail_in_front_of_some_methods_of_a_route_does_not_refuse_the_rest(at: datetime) -> None:
    there = shop()
    service("mixed", team=there.payments_team, routes={"both": (["GET", "DELETE"], "/things")})
    values = services.GuardrailValues(sentence="Nobody deletes.", methods=("DELETE",))
    services.set_guardrail(slug="nobody-deletes", values=values, actor=SYSTEM, at=at)
    assert ask(there.ada, to="mixed", routes=("both",)).state == "pending"


def test_a_switched_off_rule_does_not_count(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    ApprovalRule.objects.filter(slug="security-agrees").update(enabled=False)
    assert ask(there.ada).requirements.count() == 1
