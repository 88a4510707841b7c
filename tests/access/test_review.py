"""Deciding: who may, who never may, how answers add up, and that it happens once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import refusals, services
from apps.access.models import AccessRequest, Grant, GrantDoor, Review
from apps.audit.actors import SYSTEM
from apps.audit.errors import Refusal
from apps.audit.models import Event
from apps.catalog.models import Route
from apps.identity import services as people
from apps.identity.models import Membership
from apps.outbox.models import Message
from tests.access.concurrency import together
from tests.factories import identity
from tests.factories.access import HOUR, Shop, approve, ask, service, shop


@pytest.mark.django_db
def test_one_approval_opens_one_grant_with_its_doors_opening(at: datetime) -> None:
    there = shop()
    request = ask(there.ada, routes=("refund", "list"), duration=2 * HOUR)
    services.review(public_id=request.public_id, actor=there.ben, verdict="approve", comment="Fine.", at=at)
    request.refresh_from_db()
    grant = Grant.objects.get()
    assert (request.state, request.decided_at) == ("approved", at)
    assert (grant.request, grant.subject, grant.state) == (request, there.ada, "pending")
    assert (grant.approved_at, grant.duration) == (at, 2 * HOUR)
    assert (grant.starts_at, grant.ends_at, grant.activated_at) == (None, None, None)
    assert sorted(grant.routes.values_list("key", flat=True)) == ["list", "refund"]
    doors = GrantDoor.objects.order_by("point").values_list("point", "state", "changed_at")
    assert list(doors) == [("edge", "opening", at), ("mesh", "opening", at)]


@pytest.mark.django_db
def test_an_approval_is_recorded_and_announced(at: datetime) -> None:
    there = shop()
    request = approve(ask(there.ada), there.ben, at=at)
    grant = Grant.objects.get()
    actions = Event.objects.filter(target_id__in=[request.public_id, grant.public_id]).order_by("seq")
    assert list(actions.values_list("action", "actor_id")) == [
        ("access.request.opened", "person:ada"),
        ("access.request.approval_given", "person:ben"),
        ("access.request.approved", "person:ben"),
        ("access.grant.created", "person:ben"),
    ]
    message = Message.objects.get(topic="access.grant.changed")
    assert message.key == grant.public_id
    assert message.payload == {
        "service": "payments",
        "environment": "demo",
        "points": ["edge", "mesh"],
        "state": "pending",
    }
    assert Message.objects.filter(topic="access.request.approved", key=request.public_id).count() == 1


@pytest.mark.django_db
def test_a_sensitive_service_needs_owner_and_security_in_either_order() -> None:
    there = shop(sensitivity="sensitive")
    assert approve(ask(there.ada), there.ben).state == "pending"
    assert Grant.objects.count() == 0
    assert approve(AccessRequest.objects.get(), there.cyd).state == "approved"
    assert approve(ask(there.ada, routes=("list",)), there.cyd).state == "pending"
    assert approve(AccessRequest.objects.get(state="pending"), there.bea).state == "approved"
    assert Grant.objects.count() == 2


@pytest.mark.django_db
def test_two_owners_do_not_make_up_for_security() -> None:
    there = shop(sensitivity="sensitive")
    assert approve(ask(there.ada), there.ben, there.bea).state == "pending"


@pytest.mark.django_db
def test_one_person_who_fits_both_requirements_counts_once() -> None:
    there = shop(sensitivity="sensitive")
    people.assign_role(subject_key=there.ben.key, role="security", actor=SYSTEM, at=there.ben.created_at)
    request = approve(ask(there.ada), there.ben)
    assert request.state == "pending"
    assert approve(request, there.bea).state == "approved"


@pytest.mark.django_db
def test_who_fits_both_moves_over_for_who_fits_one() -> None:
    """Ben is owner and security. With Cyd, who is security only, he counts as owner."""
    there = shop(sensitivity="sensitive")
    people.assign_role(subject_key=there.ben.key, role="security", actor=SYSTEM, at=there.ben.created_at)
    assert approve(ask(there.ada), there.ben, there.cyd).state == "approved"


@pytest.mark.django_db
def test_counts_compare_with_at_least(at: datetime) -> None:
    """One approval more than is needed, however it came about, is enough and not a mismatch."""
    there = shop()
    values = services.RuleValues(sentence="Two owners.", approver_kind="owner_team", count=2)
    services.set_rule(slug="two-owners", values=values, actor=SYSTEM, at=at)
    request = ask(there.ada)
    assert list(request.requirements.values_list("count", flat=True)) == [2]
    assert approve(request, there.ben).state == "pending"
    request.requirements.update(count=1)
    Review.objects.create(request=request, reviewer=there.bea, verdict="approve", at=at)
    identity.join(there.payments_team, there.flo, role="owner")
    assert approve(request, there.flo).state == "approved"


@pytest.mark.django_db
def test_a_denial_by_anybody_named_decides(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    request = approve(ask(there.ada), there.ben)
    services.review(public_id=request.public_id, actor=there.cyd, verdict="deny", comment="Not today.", at=at)
    request.refresh_from_db()
    assert (request.state, request.decided_at) == ("denied", at)
    assert Grant.objects.count() == 0
    assert Event.objects.get(action="access.request.denied").after == {"state": "denied", "why": "Not today."}


def refused(there: Shop, request: AccessRequest, actor: object, kind: type[Refusal], at: datetime) -> None:
    for verdict in ("approve", "deny"):
        with pytest.raises(kind):
            services.review(public_id=request.public_id, actor=actor, verdict=verdict, at=at)  # type: ignore[arg-type]  # subjects
    request.refresh_from_db()
    assert request.state == "pending"
    assert Review.objects.count() == 0
    assert Grant.objects.count() == 0


@pytest.mark.django_db
def test_nobody_decides_their_own_ask_administrators_and_owners_included(at: datetime) -> None:
    there = shop()
    people.assign_role(subject_key=there.ben.key, role="administrator", actor=SYSTEM, at=at)
    refused(there, ask(there.ben), there.ben, refusals.SelfApproval, at)


@pytest.mark.django_db
def test_the_owner_of_the_asking_agent_does_not_decide(at: datetime) -> None:
    there = shop()
    identity.join(there.payments_team, there.dan, role="owner")
    refused(there, ask(there.bot), there.dan, refusals.OwnerOfAskingAgent, at)


@pytest.mark.django_db
def test_who_asks_for_the_agent_does_not_decide_and_neither_does_its_owner(at: datetime) -> None:
    there = shop()
    platform = identity.team("platform", members=(there.ben,))
    bot = identity.agent("deploy-bot", owner=there.bea, team=platform)
    identity.join(there.payments_team, there.flo, role="owner")
    request = ask(there.ben, subject=bot)
    refused(there, request, there.ben, refusals.SelfApproval, at)
    refused(there, request, there.bea, refusals.OwnerOfAskingAgent, at)


@pytest.mark.django_db
def test_an_administrator_has_no_say_unless_the_rules_name_one(at: datetime) -> None:
    there = shop()
    refused(there, ask(there.ada), there.eve, refusals.NotAnApprover, at)


@pytest.mark.django_db
def test_members_who_are_not_owners_have_no_say(at: datetime) -> None:
    there = shop()
    gus = identity.person("gus", teams=(there.payments_team,))
    refused(there, ask(there.ada), gus, refusals.NotAnApprover, at)


@pytest.mark.django_db
def test_agents_and_workloads_never_decide_even_as_owners_of_the_team(at: datetime) -> None:
    there = shop()
    for intruder in (there.bot, there.cart):
        Membership.objects.create(team=there.payments_team, member=intruder, role="owner")
    request = ask(there.ada)
    refused(there, request, there.bot, refusals.AgentsNeverDecide, at)
    refused(there, request, there.cart, refusals.AgentsNeverDecide, at)


@pytest.mark.django_db
def test_strangers_are_told_there_is_no_such_request(at: datetime) -> None:
    there = shop()
    refused(there, ask(there.ada), there.dan, refusals.UnknownRequest, at)


@pytest.mark.django_db
def test_eligibility_is_asked_again_at_the_decision(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    identity.team("payments", owners=(there.bea,), members=(there.ben,))
    refused(there, request, there.ben, refusals.NotAnApprover, at)
    people.suspend_subject(key=there.bea.key, actor=SYSTEM, at=at)
    there.bea.refresh_from_db()
    refused(there, request, there.bea, refusals.SubjectSuspended, at)


@pytest.mark.django_db
def test_an_earlier_approval_stops_counting_when_its_giver_is_suspended(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    request = approve(ask(there.ada), there.ben)
    people.suspend_subject(key=there.ben.key, actor=SYSTEM, at=at)
    assert approve(request, there.cyd).state == "pending"
    assert approve(request, there.bea).state == "approved"


@pytest.mark.django_db
def test_the_last_approval_is_refused_when_the_subject_is_suspended_meanwhile(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    people.suspend_subject(key=there.ada.key, actor=SYSTEM, at=at)
    with pytest.raises(refusals.SubjectSuspended):
        approve(request, there.ben)
    assert (Review.objects.count(), Grant.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_the_last_approval_is_refused_when_a_guardrail_came_meanwhile(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    values = services.GuardrailValues(sentence="No refunds.", services=("payments",), routes=("refund",))
    services.set_guardrail(slug="no-refunds", values=values, actor=SYSTEM, at=at)
    with pytest.raises(refusals.GuardrailStands, match=r"No refunds\."):
        approve(request, there.ben)
    services.review(public_id=request.public_id, actor=there.ben, verdict="deny", at=at)
    assert AccessRequest.objects.get().state == "denied"


@pytest.mark.django_db
def test_the_last_approval_is_refused_when_the_route_is_gone(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    Route.objects.filter(key="refund").update(retired_at=at)
    with pytest.raises(Refusal, match="no route refund"):
        approve(request, there.ben)
    assert Grant.objects.count() == 0


@pytest.mark.django_db
def test_a_decided_request_is_not_decided_again(at: datetime) -> None:
    there = shop()
    request = approve(ask(there.ada), there.ben)
    with pytest.raises(refusals.RequestNotOpen):
        approve(request, there.bea)
    with pytest.raises(refusals.AlreadyReviewed):
        approve(request, there.ben)
    assert (Grant.objects.count(), Review.objects.count()) == (1, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(("after", "is_open"), [(timedelta(days=7, seconds=-1), True), (timedelta(days=7), False)])
def test_time_is_up_to_the_second_even_before_the_sweep(at: datetime, after: timedelta, is_open: bool) -> None:
    there = shop()
    request = ask(there.ada, at=at)
    if is_open:
        assert approve(request, there.ben, at=at + after).state == "approved"
        return
    with pytest.raises(refusals.RequestNotOpen):
        approve(request, there.ben, at=at + after)


@pytest.mark.django_db
def test_the_row_is_locked_before_anything_is_written() -> None:
    there = shop()
    request = ask(there.ada)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        approve(request, there.ben)
    statements = [query["sql"] for query in captured if "access_accessrequest" in query["sql"]]
    locks = [n for n, sql in enumerate(statements) if "FOR UPDATE" in sql]
    writes = [n for n, sql in enumerate(statements) if sql.startswith(("UPDATE", "INSERT"))]
    assert locks and writes
    assert locks[0] < writes[0]


@pytest.mark.django_db
def test_many_are_answered_alike_and_one_refusal_leaves_the_others_standing(at: datetime) -> None:
    there = shop()
    service("ledger", team=identity.team("ledger", owners=(there.cyd,)), sensitivity="internal")
    mine, own, foreign = ask(there.ada), ask(there.ben, routes=("list",)), ask(there.ada, to="ledger")
    ids = [foreign.public_id, mine.public_id, own.public_id, mine.public_id]
    results = services.review_many(public_ids=ids, actor=there.ben, verdict="approve", at=at)
    assert [(result.public_id, result.state) for result in results] == [
        (foreign.public_id, ""),
        (mine.public_id, "approved"),
        (own.public_id, ""),
    ]
    assert [result.refusal and result.refusal.code for result in results] == ["unknown_request", None, "self_approval"]
    assert Grant.objects.get().request == mine
    assert Review.objects.get().request == mine


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_two_approvers_clicking_at_once_open_exactly_one_grant(attempt: int) -> None:
    there = shop()
    request = ask(there.ada)
    results = together(lambda: approve(request, there.ben).state, lambda: approve(request, there.bea).state)
    assert sorted(map(str, results)) == ["approved", "request_not_open"]
    assert (Grant.objects.count(), Review.objects.count()) == (1, 1)
    assert Event.objects.filter(action="access.request.approved").count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_two_that_are_needed_clicking_at_once_open_exactly_one_grant() -> None:
    there = shop(sensitivity="sensitive")
    request = ask(there.ada)
    results = together(lambda: approve(request, there.ben).state, lambda: approve(request, there.cyd).state)
    assert sorted(map(str, results)) == ["approved", "pending"]
    assert (Grant.objects.count(), Review.objects.count()) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_is_one_answer() -> None:
    there = shop(sensitivity="sensitive")
    request = ask(there.ada)
    results = together(*[lambda: approve(request, there.ben).state] * 4)
    assert sorted(map(str, results)) == ["already_reviewed"] * 3 + ["pending"]
    assert Review.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_ask_sent_twice_at_once_is_one_request() -> None:
    there = shop()
    results = together(lambda: ask(there.ada).state, lambda: ask(there.ada).state)
    assert sorted(map(str, results)) == ["already_asked", "pending"]
    assert AccessRequest.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_approval_and_a_withdrawal_at_once_do_not_both_win(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    together(
        lambda: approve(request, there.ben).state,
        lambda: services.cancel_request(public_id=request.public_id, actor=there.ada, at=at).state,
    )
    request.refresh_from_db()
    assert (request.state, Grant.objects.count()) in {("approved", 1), ("cancelled", 0)}


@pytest.mark.django_db(transaction=True)
def test_deciding_ending_and_suspending_at_once_do_not_block_one_another(at: datetime) -> None:
    there = shop()
    requests = [ask(there.ada, routes=(route,)) for route in ("list", "read", "refund")]
    held = approve(ask(there.ada, routes=("purge",)), there.ben).grant
    ids = [request.public_id for request in requests]
    together(
        lambda: services.review_many(public_ids=ids, actor=there.ben, verdict="approve", at=at),
        lambda: services.review_many(public_ids=ids[::-1], actor=there.bea, verdict="approve", at=at),
        lambda: services.review(public_id=ids[1], actor=there.bea, verdict="deny", at=at),
        lambda: services.end_grant(public_id=held.public_id, actor=there.ada, at=at),
        lambda: people.suspend_subject(key=there.cart.key, actor=SYSTEM, at=at),
        lambda: people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at),
    )
    decided = {request.state for request in AccessRequest.objects.all()}
    assert "pending" not in decided
    assert (
        Grant.objects.filter(request__in=requests).count()
        == AccessRequest.objects.filter(pk__in=[request.pk for request in requests], state="approved").count()
    )
    held.refresh_from_db()
    assert held.state == "handed_back"
