"""Who can reach a service, now and on any date."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import selectors, services
from apps.audit.actors import SYSTEM
from apps.catalog.errors import UnknownService
from apps.compiler.graph import Point
from tests.factories.access import HOUR, active_grant, pending_grant, shop

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def reach(at: datetime) -> set[tuple[str, str]]:
    return {(row.subject, row.point) for row in selectors.who_can_reach(service_slug="payments", at=at)}


def test_a_row_says_who_what_where_by_which_grant_and_until_when(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben, routes=("refund", "list"), points=("edge",), duration=HOUR)
    (row,) = selectors.who_can_reach(service_slug="payments", at=at)
    assert (row.subject, row.name, row.kind, row.point) == ("person:ada", "Ada", "person", Point.EDGE)
    assert [(sorted(route.methods), route.template) for route in row.routes] == [
        (["GET"], "/payments"),
        (["POST"], "/refunds"),
    ]
    assert (row.grant_ids, row.via, row.until) == ((grant.public_id,), (), at + timedelta(seconds=HOUR))


def test_members_reach_it_by_their_team(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, subject=there.storefront, points=("mesh",))
    (row,) = selectors.who_can_reach(service_slug="payments", at=at)
    assert (row.subject, row.via) == ("person:ada", ("Storefront",))


def test_the_window_counts_in_the_future_and_in_the_past(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, duration=HOUR, points=("edge",), at=at)
    end = at + timedelta(seconds=HOUR)
    assert reach(at - SECOND) == set()
    assert reach(at) == {("person:ada", "edge")}
    assert reach(end - SECOND) == {("person:ada", "edge")}
    assert reach(end) == set()
    services.expire_due_grants(at=end + SECOND)
    assert reach(end - SECOND) == {("person:ada", "edge")}
    assert reach(end) == set()


def test_what_was_ended_early_counts_until_it_was_ended(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben, duration=HOUR, points=("edge",), at=at)
    ended = at + timedelta(minutes=10)
    services.end_grant(public_id=grant.public_id, actor=there.ada, at=ended)
    assert reach(ended - SECOND) == {("person:ada", "edge")}
    assert reach(ended) == set()


def test_what_only_waits_or_never_opened_does_not_count(at: datetime) -> None:
    there = shop()
    pending_grant(there.ada, there.ben)
    never = pending_grant(there.ben, there.bea)
    services.end_grant(public_id=never.public_id, actor=there.ben, at=at + SECOND)
    assert reach(at + SECOND) == set()


def test_standing_access_reaches_far(at: datetime) -> None:
    there = shop()
    grant = services.create_standing_grant(
        actor=SYSTEM, subject_key=there.cart.key, service_slug="payments", route_keys=["list"], at=at
    )
    services.activate(grant_id=grant.public_id, at=at)
    (row,) = selectors.who_can_reach(service_slug="payments", at=at + timedelta(days=1000))
    assert (row.subject, row.point, row.until) == (there.cart.key, "mesh", None)


def test_guardrails_take_out_what_they_close(at: datetime) -> None:
    there = shop()
    active_grant(there.bot, there.ben, routes=("list", "purge"), points=("edge",))
    values = services.GuardrailValues(sentence="Agents never delete.", kinds=("agent",), methods=("DELETE",))
    services.set_guardrail(slug="wall", values=values, actor=SYSTEM, at=at)
    (row,) = selectors.who_can_reach(service_slug="payments", at=at)
    assert [route.id for route in row.routes] == ["list"]


def test_an_unknown_service_is_refused(at: datetime) -> None:
    shop()
    with pytest.raises(UnknownService):
        selectors.who_can_reach(service_slug="nowhere", at=at)
