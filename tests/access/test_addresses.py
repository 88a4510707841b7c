"""An outside address goes the road of every request: asked for, judged by the strictest, opened for a time, ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.access import refusals, selectors, services
from apps.access.models import AccessRequest, AddressAsk, Grant, GuardedHost
from apps.access.selectors import address_graph, graph_slice, preview_addresses
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.compiler.address_lists import items, may_reach
from apps.compiler.addresses import read_address
from apps.identity import services as identities
from apps.identity.errors import InvalidSubject, MayNotSponsor, PartyTaken
from apps.identity.models import Subject
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories.access import AT, HOUR, Shop

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(minutes=5)


@pytest.fixture
def shop() -> Shop:
    made = factory.shop(max_duration=200 * outside.DAY)
    outside.guard()
    return made


def reach(address: str, at: Any, host: str = outside.HOST) -> Any:
    graph = address_graph(environment_slug="demo", at=at)
    return may_reach(graph, host, read_address(address), int(at.timestamp()))


def test_a_team_answers_for_an_outside_party(shop: Shop) -> None:
    acme = outside.party(shop.ada, shop.storefront)
    assert (acme.key, acme.kind, acme.email, acme.team) == (
        "party:acme-logistics",
        "party",
        "noc@acme.example",
        shop.storefront,
    )
    assert outside.party(shop.ada, shop.storefront) == acme
    with pytest.raises(PartyTaken):
        outside.party(shop.ben, shop.payments_team)


def test_only_a_person_answers_for_a_party_and_only_for_a_team_of_theirs(shop: Shop) -> None:
    for actor, team in ((shop.ada, shop.payments_team), (shop.bot, shop.storefront), (shop.cyd, shop.storefront)):
        with pytest.raises(MayNotSponsor):
            outside.party(actor, team)
    assert not Subject.objects.filter(kind="party").exists()


@pytest.mark.parametrize(
    ("field", "given"), [("name", {"name": "!!"}), ("contact", {"contact": "call me"}), ("purpose", {"purpose": " "})]
)
def test_a_party_is_described_well_enough(shop: Shop, field: str, given: dict[str, str]) -> None:
    facts = {"name": "Acme", "contact": "a@acme.example", "purpose": "Parcels", **given}
    with pytest.raises(InvalidSubject) as refused:
        identities.register_party(actor=shop.ada, team_key=shop.storefront.key, at=AT, **facts)
    assert list(refused.value.fields) == [field]


def test_the_rules_add_up_to_the_strictest(shop: Shop) -> None:
    request = outside.ask(shop.ada, outside.party(shop.ada, shop.storefront), duration=90 * outside.DAY)
    assert [(one.kind, one.count) for one in request.requirements.order_by("kind")] == [("owner_team", 1), ("role", 1)]
    assert request.points == ["edge"]
    assert sorted(route.key for route in request.routes.all()) == ["list", "purge", "read", "refund"]
    ask = request.addresses
    assert (ask.host, ask.blocks) == (outside.HOST, ["203.0.113.0/28"])
    assert "An address proves nobody" in " ".join(request.risk["causes"])
    with pytest.raises(refusals.DurationTooLong):
        outside.ask(shop.ada, request.subject, "203.0.113.64", duration=91 * outside.DAY)


def test_addresses_are_kept_in_their_normal_form(shop: Shop) -> None:
    acme = outside.party(shop.ada, shop.storefront)
    request = outside.ask(shop.ada, acme, "203.0.113.9\n203.0.113.8, 2001:DB8::/48;::ffff:203.0.113.1")
    assert request.addresses.blocks == ["203.0.113.1", "203.0.113.8/31", "2001:db8::/48"]


def test_every_wrong_address_is_told_at_once_and_nothing_is_opened(shop: Shop, settings: Any) -> None:
    settings.SALLYPORT_DEMO = False
    acme = outside.party(shop.ada, shop.storefront)
    with pytest.raises(refusals.BadAddresses) as refused:
        outside.ask(shop.ada, acme, "10.0.0.1 203.0.113.5/28 0.0.0.0/0 127.0.0.1 nonsense")
    assert [len(said) > 10 for said in refused.value.fields["addresses"]] == [True] * 5
    assert not AccessRequest.objects.exists()
    with pytest.raises(refusals.BadAddresses, match="addresses"):
        outside.ask(shop.ada, acme, "   ")


def test_the_width_is_a_setting(shop: Shop, settings: Any) -> None:
    settings.SALLYPORT_ADDRESS_WIDEST_V4 = 29
    with pytest.raises(refusals.BadAddresses, match="at most /29"):
        outside.ask(shop.ada, outside.party(shop.ada, shop.storefront), "203.0.113.0/28")


def test_a_host_without_a_list_has_nothing_to_open(shop: Shop) -> None:
    GuardedHost.objects.all().delete()
    acme = outside.party(shop.ada, shop.storefront)
    with pytest.raises(refusals.HostUnguarded):
        outside.ask(shop.ada, acme)
    factory.service("ledger", team=shop.payments_team, doors=("mesh",))
    with pytest.raises(refusals.NoEdgeHost):
        outside.ask(shop.ada, acme, service_slug="ledger")


def test_others_cannot_ask_for_a_party_and_no_agent_can(shop: Shop) -> None:
    acme = outside.party(shop.ada, shop.storefront)
    for actor in (shop.ben, shop.bot):
        with pytest.raises(refusals.NotYourSubject):
            outside.ask(actor, acme)
    with pytest.raises(refusals.NotYourSubject):
        factory.ask(shop.ada, subject=acme)
    assert not AccessRequest.objects.exists()


def test_a_refused_ask_makes_no_party_known(shop: Shop) -> None:
    described = services.NewParty("Acme", "a@acme.example", "Parcels", shop.storefront.key)
    with pytest.raises(refusals.BadAddresses):
        services.open_address_request(
            actor=shop.ada,
            party=described,
            service_slug="payments",
            addresses="10.0.0.1",
            duration=HOUR,
            reason="Because.",
            at=AT,
        )
    assert not Subject.objects.filter(kind="party").exists()


def test_the_same_ask_is_open_once_and_other_addresses_are_another(shop: Shop) -> None:
    acme = outside.party(shop.ada, shop.storefront)
    outside.ask(shop.ada, acme, "203.0.113.0/29 203.0.113.8/29")
    with pytest.raises(refusals.AlreadyAsked):
        outside.ask(shop.ada, acme, "203.0.113.0/28")
    assert outside.ask(shop.ada, acme, "203.0.113.64").state == "pending"


def test_whoever_asked_cannot_approve_and_both_have_to_agree(shop: Shop) -> None:
    request = outside.ask(shop.ada, outside.party(shop.ada, shop.storefront))
    with pytest.raises(refusals.SelfApproval):
        factory.approve(request, shop.ada)
    assert factory.approve(request, shop.ben).state == "pending"
    assert factory.approve(request, shop.cyd).state == "approved"


def test_an_approved_ask_opens_its_host_only_and_no_token_gains_anything(shop: Shop) -> None:
    assert not reach("203.0.113.5", AT).allowed
    grant = outside.approved(shop)
    assert reach("203.0.113.5", LATER).grant_ids == (grant.public_id,)
    assert not reach("203.0.113.16", LATER).allowed
    graph = graph_slice(service_slugs=["payments"], environment_slug="demo", at=LATER)
    assert graph.grants == ()
    assert not any(key.startswith("party:") for key in graph.subjects)


def test_the_clock_starts_when_it_is_proven_and_the_end_is_in_the_entry(shop: Shop) -> None:
    grant = outside.approved(shop)
    before = items(address_graph(environment_slug="demo", at=LATER), outside.HOST, int(LATER.timestamp()))
    assert [one.ends_at for one in before] == [int(AT.timestamp()) + HOUR + selectors.SLACK]
    services.mark_door(grant_id=grant.public_id, point="edge", state="open", at=LATER)
    services.activate(grant_id=grant.public_id, at=LATER)
    after = items(address_graph(environment_slug="demo", at=LATER), outside.HOST, int(LATER.timestamp()))
    assert [one.ends_at for one in after] == [int(LATER.timestamp()) + HOUR]
    over = LATER + timedelta(hours=1)
    assert reach("203.0.113.5", over - timedelta(seconds=1)).allowed
    assert not reach("203.0.113.5", over).allowed
    assert services.expire_due_grants(at=over) == 1
    assert Grant.objects.get().state == "expired"
    assert not reach("203.0.113.5", over).allowed


@pytest.mark.parametrize(("who", "state"), [("ada", "handed_back"), ("ben", "revoked"), ("cyd", "revoked")])
def test_it_is_ended_like_any_other(shop: Shop, who: str, state: str) -> None:
    grant = outside.approved(shop)
    ended = services.end_grant(public_id=grant.public_id, actor=getattr(shop, who), at=LATER)
    assert ended.state == state
    assert not reach("203.0.113.5", LATER).allowed


def test_a_suspended_party_reaches_nothing(shop: Shop) -> None:
    grant = outside.approved(shop)
    identities.suspend_subject(key=grant.subject.key, actor=shop.cyd.actor, at=LATER)
    assert not reach("203.0.113.5", LATER).allowed


def test_a_guardrail_against_outside_parties_stands(shop: Shop) -> None:
    values = services.GuardrailValues(
        sentence="No outside party at payments.", kinds=("party",), services=("payments",)
    )
    services.set_guardrail(slug="no-outsiders", values=values, actor=SYSTEM, at=AT)
    with pytest.raises(refusals.GuardrailStands):
        outside.ask(shop.ada, outside.party(shop.ada, shop.storefront))


def test_the_preview_names_what_opens_and_who_shares_the_host(shop: Shop) -> None:
    factory.service("carts", team=shop.storefront)
    outside.approved(shop, "203.0.113.0/29")
    shown = preview_addresses(
        actor=shop.ada,
        party_key="party:acme-logistics",
        service_slug="payments",
        addresses="203.0.113.0/28 203.0.113.4",
        duration=HOUR,
        at=LATER,
    )
    assert shown.changes == (
        "Calls from 203.0.113.0/28 (Acme Logistics) may come as far as the token check of api.shop.localhost,"
        " for 1 hour.",
    )
    assert shown.sharing == ("Carts",)
    assert shown.already == ()
    assert shown.weighed.blockers == ()


def test_the_record_names_the_addresses_and_the_contact(shop: Shop) -> None:
    outside.approved(shop)
    opened = Event.objects.get(action="access.request.opened")
    assert opened.after["addresses"] == ["203.0.113.0/28"]
    assert (opened.after["host"], opened.after["contact"]) == (outside.HOST, "noc@acme.example")


def test_guarding_is_for_security_and_administrators(shop: Shop) -> None:
    with pytest.raises(refusals.NotYoursToGovern):
        services.guard_host(host="b.shop.localhost", always="", why="No.", actor=shop.ada.actor, at=AT)
    row = services.guard_host(
        host="B.shop.localhost", always="198.51.100.0/24", why="Ours.", actor=shop.cyd.actor, at=AT
    )
    assert (row.host, row.always) == ("b.shop.localhost", ["198.51.100.0/24"])
    assert reach("198.51.100.9", AT, "b.shop.localhost").allowed
    assert not reach("203.0.113.5", AT, "b.shop.localhost").allowed
    assert Event.objects.filter(action="access.host.guarded", target_id="b.shop.localhost").count() == 1


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"host": "nonsense"}, refusals.BadHost),
        ({"always": "10.0.0.0/8"}, refusals.BadAddresses),
        ({"why": ""}, refusals.BadReason),
    ],
)
def test_a_guard_that_makes_no_sense_is_refused(shop: Shop, given: dict[str, str], refusal: type[Exception]) -> None:
    facts = {"host": "b.shop.localhost", "always": "", "why": "Ours.", **given}
    with pytest.raises(refusal):
        services.guard_host(**facts, actor=SYSTEM, at=AT)
    assert GuardedHost.objects.count() == 1


def test_a_party_holds_no_standing_access(shop: Shop) -> None:
    acme = outside.party(shop.ada, shop.storefront)
    with pytest.raises(refusals.BadAddresses):
        services.create_standing_grant(
            actor=SYSTEM, subject_key=acme.key, service_slug="payments", route_keys=["read"], at=AT
        )
    assert not AddressAsk.objects.exists()
