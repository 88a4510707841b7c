"""Writing a firewall request: every line is kept, read at once, and says what it means or what is wrong with it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access.services import NewParty
from apps.audit.models import Event
from apps.firewall import refusals, selectors, services
from apps.firewall.models import FirewallRequest
from apps.firewall.standing import Stand, stand_of
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import firewall, identity
from tests.factories.firewall import written

pytestmark = pytest.mark.django_db


def test_a_line_is_resolved_with_its_route_doors_and_who_is_sure(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("ada", "payments", method="POST", path="/refunds"), at=at)
    line = firewall.line_of(asked)
    assert line.meaning.subject == there.ada
    assert line.meaning.service == there.service
    assert (line.meaning.routes, line.meaning.points) == (["refund"], ["edge", "mesh"])
    assert line.meaning.confidence == 0.95
    assert line.meaning.confirmed_by is None
    assert stand_of(line) is Stand.UNCONFIRMED


def test_what_is_named_exactly_counts_as_confirmed_by_its_writer(at: datetime) -> None:
    there = factory.shop()
    line = firewall.line_of(firewall.request(there.ada, written("person:ada"), at=at))
    assert (line.meaning.confidence, line.meaning.confirmed_by, line.meaning.confirmed_at) == (1.0, there.ada, at)
    assert stand_of(line) is Stand.CHOOSE


def test_a_workload_comes_through_the_mesh_only(at: datetime) -> None:
    there = factory.shop()
    factory.service("billing", team=there.storefront)
    line = firewall.line_of(firewall.request(there.ada, written("billing"), at=at))
    assert line.meaning.subject is not None
    assert line.meaning.subject.key == "workload:spiffe://shop.test/ns/shop/sa/billing"
    assert line.meaning.points == ["mesh"]


def test_bad_lines_are_all_reported_and_none_is_lost(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(
        there.ada,
        written("ada", "payments", path="/refunds"),
        written("nobody at all", "payments"),
        written("ada", "mainframe"),
        written("any", "payments"),
        written("ada", "any"),
        written("ada", "payments", protocol="udp"),
        written("ada", "payments", method="PUT", path="/nowhere"),
        written("ada", "payments", action="deny"),
        at=at,
    )
    lines = firewall.lines_of(asked)
    assert [line.number for line in lines] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [line.meaning.problem for line in lines[1:7]] == [
        "Nobody here is called 'nobody at all'.",
        "No service of the catalogue answers to 'mainframe'.",
        "Anybody is nobody: write who calls, because it is opened to somebody and for a time.",
        "Everything is too much: write which service is called.",
        "The doors let HTTP calls and TCP through, and this asks for udp.",
        "Payments has no route PUT /nowhere.",
    ]
    assert [stand_of(line) for line in lines] == [Stand.UNCONFIRMED, *[Stand.WRONG] * 6, Stand.NO_OPENING]


def test_an_ambiguous_name_is_a_choice_and_choosing_confirms_it(at: datetime) -> None:
    there = factory.shop()
    factory.service("orders", team=there.payments_team)
    asked = firewall.request(there.ada, written("person:ada", "api.shop.localhost"), at=at)
    line = firewall.line_of(asked)
    assert stand_of(line) is Stand.UNCLEAR
    assert [one["key"] for one in line.meaning.found["destination"]] == ["orders", "payments"]
    services.choose(public_id=asked.public_id, number=1, side="destination", key="orders", actor=there.ada, at=at)
    line = firewall.line_of(asked)
    assert line.meaning.service is not None
    assert (line.meaning.service.slug, line.meaning.confirmed_by) == ("orders", there.ada)
    with pytest.raises(refusals.UnknownChoice):
        services.choose(public_id=asked.public_id, number=1, side="source", key="person:eve", actor=there.ada, at=at)


def test_confirming_all_takes_those_that_are_clear(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("ada"), written("me"), written("any"), at=at)
    assert services.confirm(public_id=asked.public_id, actor=there.ada, at=at) == 2
    assert [bool(line.meaning.confirmed_by) for line in firewall.lines_of(asked)] == [True, True, False]
    assert Event.objects.get(action="firewall.request.confirmed").after == {"lines": [1, 2]}


def test_editing_a_line_forgets_what_was_confirmed_of_it(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("ada", text="as it was"), at=at)
    services.confirm(public_id=asked.public_id, actor=there.ada, at=at)
    services.edit_line(
        public_id=asked.public_id, number=1, written=written("ben", path="/refunds"), actor=there.ada, at=at
    )
    line = firewall.line_of(asked)
    assert (line.source, line.text, line.meaning.subject, line.meaning.confirmed_by) == (
        "ben",
        "as it was",
        there.ben,
        None,
    )
    assert Event.objects.get(action="firewall.request.line_changed").before["source"] == "ada"


def test_what_is_said_of_all_is_read_at_once(at: datetime) -> None:
    there = factory.shop()
    head = services.Head(title="", reason=" ", ticket="x" * 300, duration=10)
    with pytest.raises(refusals.BadFirewallRequest) as refused:
        services.draft_request(actor=there.ada, head=head, lines=[written("ada")], at=at)
    assert refused.value.fields.keys() == {"title", "reason", "ticket", "duration"}
    with pytest.raises(refusals.BadFirewallRequest, match="201 lines"):
        firewall.request(there.ada, *[written("ada")] * 201, at=at)
    with pytest.raises(refusals.BadFirewallRequest):
        firewall.request(there.ada, at=at)
    with pytest.raises(refusals.BadFirewallRequest):
        firewall.request(there.ada, written("ada"), ends_at=at - timedelta(days=1), at=at)
    assert not FirewallRequest.objects.exists()


def test_addresses_belong_to_a_party_that_asked_for_them_or_is_named(at: datetime) -> None:
    there = factory.shop()
    outside.guard()
    acme = outside.party(there.ada, there.storefront)
    outside.ask(there.ada, acme, "203.0.113.0/28")
    asked = firewall.request(there.ada, written("203.0.113.4"), written("198.51.100.4"), written("10.1.2.3"), at=at)
    known, unknown, private = firewall.lines_of(asked)
    assert (known.meaning.subject, known.meaning.points, known.meaning.blocks) == (acme, ["edge"], ["203.0.113.4"])
    assert stand_of(unknown) is Stand.UNCLEAR
    assert [one["key"] for one in unknown.meaning.found["source"]] == [acme.key]
    assert "10.1.2.3 is private" in private.meaning.problem


def test_a_new_party_is_named_on_the_line(at: datetime) -> None:
    there = factory.shop()
    outside.guard()
    asked = firewall.request(there.ada, written("198.51.100.4"), at=at)
    party = NewParty("Bolt", "noc@bolt.example", "Carries parcels", there.storefront.key)
    services.name_party(public_id=asked.public_id, number=1, party=party, actor=there.ada, at=at)
    line = firewall.line_of(asked)
    assert line.meaning.subject is not None
    assert (line.meaning.subject.key, line.meaning.confirmed_by) == ("party:bolt", there.ada)


def test_it_is_shown_to_whom_it_concerns_and_to_nobody_else(at: datetime) -> None:
    there = factory.shop()
    zed = identity.person("zed")
    asked = firewall.request(there.dan, written("storefront"), at=at)
    for viewer in (there.dan, there.ada, there.ben, there.cyd, there.flo):
        assert selectors.get_firewall_request(viewer=viewer, public_id=asked.public_id) == asked
    for viewer in (zed, there.bot):
        with pytest.raises(refusals.UnknownFirewallRequest):
            selectors.get_firewall_request(viewer=viewer, public_id=asked.public_id)
    with pytest.raises(refusals.NotYourFirewallRequest):
        services.drop(public_id=asked.public_id, number=1, dropped=True, actor=there.ada, at=at)
    with pytest.raises(refusals.UnknownFirewallRequest):
        services.drop(public_id=asked.public_id, number=1, dropped=True, actor=zed, at=at)


def test_a_line_is_left_out_and_taken_in_again(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada"), at=at)
    services.drop(public_id=asked.public_id, number=1, dropped=True, actor=there.ada, at=at)
    assert stand_of(firewall.line_of(asked)) is Stand.DROPPED
    services.drop(public_id=asked.public_id, number=1, dropped=False, actor=there.ada, at=at)
    assert stand_of(firewall.line_of(asked)) is Stand.CHOOSE


def test_a_withdrawn_request_does_not_change_any_more(at: datetime) -> None:
    there = factory.shop()
    asked = firewall.request(there.ada, written("person:ada"), at=at)
    services.withdraw(public_id=asked.public_id, actor=there.ada, at=at)
    with pytest.raises(refusals.LineClosed):
        services.drop(public_id=asked.public_id, number=1, dropped=True, actor=there.ada, at=at)
    with pytest.raises(refusals.LineClosed):
        services.submit(public_id=asked.public_id, actor=there.ada, at=at)


def test_what_comes_from_outside_is_not_outbound(at: datetime) -> None:
    there = factory.shop()
    outside.guard()
    acme = outside.party(there.ada, there.storefront)
    outside.ask(there.ada, acme, "203.0.113.0/28")
    asked = firewall.request(
        there.ada,
        written("203.0.113.4", direction="out"),
        written("203.0.113.4", direction="in"),
        written("10.1.2.3", direction="out"),
        written(there.cart.key, path="/refunds", direction="out"),
        written(there.cart.key, "203.0.113.9", direction="out"),
        at=at,
    )
    problems = [line.meaning.problem for line in firewall.lines_of(asked)]
    assert problems[0] == "It is marked outbound and comes from outside. Turn it round, or mark it inbound."
    assert (problems[1], problems[3]) == ("", "")
    assert "outbound" not in problems[2]
    assert problems[4] == (
        "203.0.113.9 is no service of the catalogue; what leaves for an address passes no door here."
        " Guard it where it leaves."
    )


def test_the_name_of_a_network_stands_for_its_addresses(at: datetime) -> None:
    there = factory.shop()
    outside.guard()
    acme = outside.party(there.ada, there.storefront)
    outside.ask(there.ada, acme, "203.0.113.0/28")
    firewall.zone("parcels", networks=["203.0.113.0/29"])
    firewall.zone("hall", networks=["10.3.0.0/24"])
    firewall.zone("people", networks=["198.51.100.0/24"], kinds=["person"])
    asked = firewall.request(there.ada, written("Parcels"), written("the hall network"), written("people"), at=at)
    outer, inner, mixed = firewall.lines_of(asked)
    assert (outer.meaning.blocks, outer.meaning.subject) == (["203.0.113.0/29"], acme)
    assert "name who calls from there" in inner.meaning.problem
    assert mixed.meaning.problem == "Nobody here is called 'people'."
