"""A line that is open already closes itself, and says by which grants; the doors decide, not a guess."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access.models import GuardedHost
from apps.firewall import selectors, services
from apps.firewall.standing import Stand, overall, stand_of
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import firewall
from tests.factories.firewall import HOUR, written

pytestmark = pytest.mark.django_db


def test_what_decide_lets_through_for_long_enough_is_closed_by_its_grants(at: datetime) -> None:
    there = factory.shop()
    grant = factory.active_grant(there.ada, there.ben, routes=("refund", "list"), duration=2 * HOUR, at=at)
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), written("person:ada"), at=at)
    first, second = firewall.lines_of(asked)
    assert (stand_of(first), first.meaning.allowed_by) == (Stand.ALLOWED, [grant.public_id])
    assert (stand_of(second), second.meaning.allowed_by) == (Stand.CHOOSE, [])


def test_a_grant_that_ends_sooner_or_only_waits_for_its_doors_closes_nothing(at: datetime) -> None:
    there = factory.shop()
    factory.active_grant(there.ada, there.ben, routes=("refund",), duration=HOUR, at=at)
    factory.pending_grant(there.ada, there.ben, routes=("list",), duration=4 * HOUR, at=at)
    asked = firewall.request(
        there.ada,
        written("person:ada", path="/refunds"),
        written("person:ada", path="/payments"),
        duration=2 * HOUR,
        at=at,
    )
    assert [stand_of(line) for line in firewall.lines_of(asked)] == [Stand.CHOOSE, Stand.CHOOSE]


def test_a_team_is_open_by_what_the_team_holds(at: datetime) -> None:
    there = factory.shop()
    factory.active_grant(there.ada, there.ben, routes=("list",), duration=2 * HOUR, at=at)
    grant = factory.active_grant(
        there.ada, there.ben, subject=there.storefront, routes=("refund",), duration=2 * HOUR, at=at
    )
    asked = firewall.request(
        there.ada, written("team:storefront", path="/refunds"), written("team:storefront", path="/payments"), at=at
    )
    first, second = firewall.lines_of(asked)
    assert first.meaning.allowed_by == [grant.public_id]
    assert second.meaning.allowed_by == []


def test_addresses_on_the_list_are_open_and_an_unguarded_host_is_open_to_all(at: datetime) -> None:
    there = factory.shop()
    acme = outside.party(there.ada, there.storefront)
    asked = firewall.request(there.ada, written(acme.key), at=at)
    assert stand_of(firewall.line_of(asked)) is Stand.CHOOSE, "a party without addresses is nowhere"
    line = written("203.0.113.4")
    outside.guard()
    grant = outside.approved(there, who=acme, duration=2 * HOUR, at=at)
    assert stand_of(firewall.line_of(firewall.request(there.ada, line, at=at))) is Stand.UNCONFIRMED, "it only opens"
    factory.services.activate(grant_id=grant.public_id, at=at)
    found = firewall.line_of(firewall.request(there.ada, line, at=at))
    assert (stand_of(found), found.meaning.allowed_by) == (Stand.ALLOWED, [grant.public_id])
    GuardedHost.objects.all().delete()
    found = firewall.line_of(firewall.request(there.ada, line, at=at))
    assert stand_of(found) is Stand.ALLOWED
    assert found.meaning.found["open"] == "No list guards this host: any address comes as far as its token."


def test_a_request_of_which_all_is_open_is_done(at: datetime) -> None:
    there = factory.shop()
    factory.active_grant(there.ada, there.ben, routes=("refund",), duration=2 * HOUR, at=at)
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    found = overall(asked, [stand_of(line) for line in firewall.lines_of(asked)])
    assert (found.state, found.sentence) == ("done", "1 line of 1 open. Nothing is left to do here.")


def test_looking_again_sees_what_became_open_meanwhile(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    factory.active_grant(there.ada, there.ben, routes=("refund",), duration=2 * HOUR, at=at)
    services.look_again(public_id=asked.public_id, actor=there.ada, at=at + timedelta(minutes=1))
    assert stand_of(firewall.line_of(asked)) is Stand.ALLOWED


def test_a_line_that_was_open_by_a_grant_that_ended_says_so_and_looking_again_asks_for_it(at: datetime) -> None:
    there = factory.shop()
    grant = factory.active_grant(there.ada, there.ben, routes=("read",), duration=2 * HOUR, at=at)
    asked = firewall.request(there.ada, written("person:ada", method="GET", path="/payments/{id}"), at=at)
    seen = {"viewer": there.ada, "public_id": asked.public_id}
    (line,) = selectors.get_firewall_request(**seen).lines.all()
    assert (stand_of(line), line.over) == (Stand.ALLOWED, ())
    factory.services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
    (line,) = selectors.get_firewall_request(**seen).lines.all()
    assert (stand_of(line), line.over) == (Stand.ENDED, (grant.public_id,))
    services.look_again(public_id=asked.public_id, actor=there.ada, at=at)
    (line,) = selectors.get_firewall_request(**seen).lines.all()
    assert (stand_of(line), line.over) == (Stand.CHOOSE, ())
