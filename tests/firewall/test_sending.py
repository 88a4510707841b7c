"""Sending: lines become ordinary requests; what is forbidden or unclear keeps everything from being sent."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import services as access
from apps.access.models import AccessRequest, Requirement
from apps.access.refusals import GuardrailStands, NotYourSubject
from apps.audit.models import Event
from apps.firewall import refusals, services
from apps.firewall.models import FirewallRequest
from apps.firewall.selectors import get_ways
from apps.firewall.standing import Stand, stand_of
from apps.identity.models import Subject
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import firewall, pages
from tests.factories.firewall import HOUR, written

pytestmark = pytest.mark.django_db


def send(asked: FirewallRequest, actor: Subject, at: datetime) -> services.Sent:
    """Each line by the narrowest way."""
    services.take_narrowest(public_id=asked.public_id, actor=asked.asker, at=at)
    return services.submit(public_id=asked.public_id, actor=actor, at=at)


def test_lines_that_are_alike_become_one_request_on_the_ordinary_road(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(
        there.ada,
        written("person:ada", path="/refunds", reason="For the refund desk."),
        written("person:ada", method="GET", path="/payments"),
        written("team:storefront", path="/refunds"),
        ticket="NET-7",
        at=at,
    )
    sent = send(asked, there.ada, at)
    first, second, third = firewall.lines_of(asked)
    assert first.access_request == second.access_request
    assert third.access_request != first.access_request
    assert sorted(sent.opened) == sorted({first.access_request.public_id, third.access_request.public_id})
    opened = first.access_request
    assert sorted(opened.routes.values_list("key", flat=True)) == ["list", "refund"]
    assert (opened.duration, opened.ticket, opened.requester) == (HOUR, "NET-7", there.ada)
    assert "Customers wait for money." in opened.reason
    assert "For the refund desk." in opened.reason
    assert [stand_of(line) for line in (first, third)] == [Stand.WAITING, Stand.WAITING]
    sent_events = Event.objects.filter(action="firewall.request.sent").order_by("seq")
    assert [event.after["lines"] for event in sent_events] == [[1, 2], [3]]


def test_each_line_follows_its_request_until_it_is_proven_and_ended(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    send(asked, there.ada, at)
    request = firewall.line_of(asked).access_request
    stands = [stand_of(firewall.line_of(asked))]
    factory.approve(request, there.ben, at=at)
    stands.append(stand_of(firewall.line_of(asked)))
    grant = request.grant if hasattr(request, "grant") else AccessRequest.objects.get(pk=request.pk).grant
    for state in ("open", "failing", "proven"):
        for point in ("edge", "mesh"):
            access.mark_door(grant_id=grant.public_id, point=point, state=state, at=at)
        stands.append(stand_of(firewall.line_of(asked)))
    access.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
    stands.append(stand_of(firewall.line_of(asked)))
    assert stands == [Stand.WAITING, Stand.OPENING, Stand.OPEN, Stand.FAILING, Stand.PROVEN, Stand.ENDED]


def test_what_is_unclear_is_said_of_every_line_and_nothing_is_sent(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(
        there.ada, written("person:ada", path="/refunds"), written("ada"), written("any"), written("person:ada"), at=at
    )
    services.take(public_id=asked.public_id, number=1, proposal="narrowest", actor=there.ada, at=at)
    with pytest.raises(refusals.LinesNotReady) as refused:
        services.submit(public_id=asked.public_id, actor=there.ada, at=at)
    assert refused.value.fields == {
        "line_2": ["Is this right?"],
        "line_3": ["Anybody is nobody: write who calls, because it is opened to somebody and for a time."],
        "line_4": ["How should it be opened?"],
    }
    assert not AccessRequest.objects.exists()


def test_a_forbidden_cell_refuses_at_submit_and_is_shown(at: datetime) -> None:
    there = factory.shop()
    firewall.zone("people", kinds=["person"])
    firewall.zone("cards", services=["payments"])
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    services.take(public_id=asked.public_id, number=1, proposal="narrowest", actor=there.ada, at=at)
    firewall.cell("people", "cards", "forbidden", "Nobody reaches cards from a desk.")
    with pytest.raises(refusals.ZoneForbids) as refused:
        services.submit(public_id=asked.public_id, actor=there.ada, at=at)
    assert refused.value.message == ("People to Cards: forbidden. Nobody reaches cards from a desk. Nothing was sent.")
    assert refused.value.extra["lines"] == [1]
    assert not AccessRequest.objects.exists()


def test_a_cell_that_needs_security_adds_security_to_who_must_agree(at: datetime) -> None:
    there = factory.shop()
    firewall.zone("people", kinds=["person"])
    firewall.zone("cards", services=["payments"])
    firewall.cell("people", "cards", "security", "Cards are audited.")
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    send(asked, there.ada, at)
    request = firewall.line_of(asked).access_request
    needs = Requirement.objects.filter(request=request).order_by("kind")
    assert [(need.kind, need.value, need.count) for need in needs] == [
        ("owner_team", "team:payments", 1),
        ("role", "security", 1),
    ]
    assert needs[1].sentence == "Zones: People to Cards: needs security. Cards are audited."
    assert factory.approve(request, there.ben, at=at).state == "pending"
    assert factory.approve(request, there.cyd, at=at).state == "approved"


def test_addresses_are_asked_for_together_and_open_a_list(at: datetime) -> None:
    there = factory.shop()
    outside.guard()
    acme = outside.party(there.ada, there.storefront)
    outside.ask(there.ada, acme, "203.0.113.0/28")
    asked = firewall.request(there.ada, written("203.0.113.4"), written("203.0.113.9"), at=at)
    services.confirm(public_id=asked.public_id, actor=there.ada, at=at)
    send(asked, there.ada, at)
    first, second = firewall.lines_of(asked)
    assert first.access_request == second.access_request
    assert first.access_request.addresses.blocks == ["203.0.113.4", "203.0.113.9"]


def test_a_line_for_somebody_else_waits_for_them_and_they_send_it(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(
        there.dan, written("person:dan", path="/refunds"), written("team:storefront", path="/refunds"), at=at
    )
    sent = send(asked, there.dan, at)
    assert len(sent.opened) == 1
    assert sent.left == {2: "Only people of Storefront can ask for Storefront; they see this page and can send it."}
    services.submit(public_id=asked.public_id, actor=there.ada, at=at)
    assert firewall.line_of(asked, 2).access_request.requester == there.ada


def test_when_all_is_somebody_elses_it_says_whose(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.dan, written("team:storefront", path="/refunds"), at=at)
    with pytest.raises(NotYourSubject, match="people of Storefront"):
        send(asked, there.dan, at)


def test_sending_twice_sends_nothing_twice(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    send(asked, there.ada, at)
    with pytest.raises(refusals.LinesNotReady, match="no line left"):
        services.submit(public_id=asked.public_id, actor=there.ada, at=at)
    assert AccessRequest.objects.count() == 1


def test_following_a_request_that_waits_opens_no_other(at: datetime) -> None:
    there = factory.shop()
    waiting = factory.ask(there.ada, routes=("refund",), at=at)
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    services.take_narrowest(public_id=asked.public_id, actor=there.ada, at=at)
    line = firewall.line_of(asked)
    assert (line.access_request, stand_of(line)) == (waiting, Stand.WAITING)
    assert AccessRequest.objects.count() == 1


def test_what_no_rule_lets_through_is_refused_when_it_is_chosen(at: datetime) -> None:
    there = factory.shop()
    pages.guardrail()
    asked = firewall.request(there.dan, written("agent:release-bot", method="DELETE", path="/payments/{id}"), at=at)
    with pytest.raises(GuardrailStands):
        services.take(public_id=asked.public_id, number=1, proposal="narrowest", actor=there.dan, at=at)


def test_rules_shorten_what_they_do_not_allow_for_so_long(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.dan, written("agent:release-bot", path="/refunds"), duration=9 * HOUR, at=at)
    send(asked, there.dan, at)
    assert firewall.line_of(asked).access_request.duration == 4 * HOUR


def test_a_day_it_ends_on_shortens_the_request_to_what_is_left(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), ends_at=at + timedelta(hours=3), at=at)
    services.take_narrowest(public_id=asked.public_id, actor=there.ada, at=at)
    services.submit(public_id=asked.public_id, actor=there.ada, at=at + timedelta(hours=1))
    assert firewall.line_of(asked).access_request.duration == 2 * HOUR


def test_only_what_is_still_proposed_can_be_taken(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=at)
    with pytest.raises(refusals.UnknownChoice):
        services.take(public_id=asked.public_id, number=1, proposal="0" * 12, actor=there.ada, at=at)


def test_reusing_what_is_open_closes_the_line(at: datetime) -> None:
    there = factory.shop()
    grant = factory.active_grant(there.ada, there.ben, routes=("refund",), duration=HOUR, at=at)
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), duration=3 * HOUR, at=at)
    ways = get_ways(line=firewall.line_of(asked), viewer=there.ada, at=at)
    assert ways is not None
    services.take(public_id=asked.public_id, number=1, proposal=ways.proposals[0].id, actor=there.ada, at=at)
    line = firewall.line_of(asked)
    assert (stand_of(line), line.design["beside"]) == (Stand.ALLOWED, grant.public_id)
