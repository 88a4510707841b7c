"""Taking back an ask, and asks that nobody answered."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import refusals, services
from apps.access.models import AccessRequest
from apps.audit.models import Event
from apps.outbox.models import Message
from tests.factories.access import approve, ask, shop

pytestmark = pytest.mark.django_db


def test_whoever_asked_takes_it_back(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    services.cancel_request(public_id=request.public_id, actor=there.ada, at=at, why="Not needed.")
    request.refresh_from_db()
    assert (request.state, request.decided_at) == ("cancelled", at)
    assert Event.objects.get(action="access.request.cancelled").after == {"state": "cancelled", "why": "Not needed."}
    assert Message.objects.filter(topic="access.request.cancelled", key=request.public_id).count() == 1


def test_an_agent_and_its_owner_take_back_what_the_agent_asked(at: datetime) -> None:
    there = shop()
    first = ask(there.bot)
    assert services.cancel_request(public_id=first.public_id, actor=there.dan, at=at).state == "cancelled"
    second = ask(there.bot)
    assert services.cancel_request(public_id=second.public_id, actor=there.bot, at=at).state == "cancelled"


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        ("ben", refusals.NotYoursToCancel),
        ("eve", refusals.NotYoursToCancel),
        ("bot", refusals.UnknownRequest),
        ("dan", refusals.UnknownRequest),
    ],
)
def test_nobody_else_does(who: str, refusal: type[Exception], at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    with pytest.raises(refusal):
        services.cancel_request(public_id=request.public_id, actor=getattr(there, who), at=at)
    request.refresh_from_db()
    assert request.state == "pending"


def test_what_is_decided_is_not_taken_back(at: datetime) -> None:
    there = shop()
    request = approve(ask(there.ada), there.ben)
    with pytest.raises(refusals.RequestNotOpen):
        services.cancel_request(public_id=request.public_id, actor=there.ada, at=at)


@pytest.mark.parametrize(
    ("before_time_is_up", "expired"), [(timedelta(seconds=1), 0), (timedelta(), 1), (-timedelta(seconds=1), 1)]
)
def test_an_ask_runs_out_to_the_second(before_time_is_up: timedelta, expired: int, at: datetime) -> None:
    there = shop()
    request = ask(there.ada, at=at)
    moment = at + timedelta(days=7) - before_time_is_up
    assert services.expire_due_requests(at=moment) == expired
    request.refresh_from_db()
    assert request.state == ("expired" if expired else "pending")


def test_a_second_sweep_finds_nothing_and_decided_ones_stay(at: datetime) -> None:
    there = shop()
    approve(ask(there.ada, at=at), there.ben)
    ask(there.ada, routes=("list",), at=at)
    moment = at + timedelta(days=8)
    assert [services.expire_due_requests(at=moment) for _ in range(2)] == [1, 0]
    assert sorted(AccessRequest.objects.values_list("state", flat=True)) == ["approved", "expired"]
    assert Event.objects.get(action="access.request.expired").actor_id == "system"
