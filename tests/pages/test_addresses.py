"""The form for outside addresses, the request it makes, guarded hosts, and the list on the page of the edge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.access import services as access_services
from apps.access.models import AccessRequest, GuardedHost
from apps.identity.models import Subject
from apps.rollout.models import AddressList
from tests.factories import addresses as outside
from tests.factories import edges, pages

pytestmark = pytest.mark.django_db
FORM = "/requests/new/addresses"
Browse = Callable[[Subject], Client]


def asked(**more: str) -> dict[str, str]:
    return {
        "service": "payments",
        "party": "new",
        "name": "Acme Logistics",
        "contact": "noc@acme.example",
        "purpose": "Carries our parcels",
        "team": "team:storefront",
        "addresses": "203.0.113.0/28",
        "duration": "3600",
        "reason": "They report deliveries.",
        **more,
    }


def text(answer: object) -> str:
    return " ".join(answer.content.decode().split())  # type: ignore[attr-defined]  # of the test client


def test_the_form_sends_a_request_and_its_page_says_what_an_address_is(house: pages.House, browse: Browse) -> None:
    outside.guard()
    client = browse(house.shop.ada)
    assert "An address is not an identity." in text(client.get(f"{FORM}?service=payments"))
    answer = client.post(FORM, asked(), follow=True)
    request = AccessRequest.objects.get(subject__kind="party")
    assert answer.redirect_chain[-1][0] == f"/requests/{request.public_id}/"
    shown = text(answer)
    for words in (
        "Acme Logistics asks for a way to api.shop.localhost",
        "203.0.113.0/28",
        "noc@acme.example",
        "An address is not an identity.",
        "Nobody passes by an address alone.",
        "may come as far as the token check of api.shop.localhost, for 1 hour.",
    ):
        assert words in shown, words
    assert "Try it" not in shown


def test_whoever_decides_reads_what_would_be_let_where(house: pages.House, browse: Browse) -> None:
    outside.guard(at=datetime.now(UTC))
    at = datetime.now(UTC)
    request = outside.ask(house.shop.ada, outside.party(house.shop.ada, house.shop.storefront), at=at)
    client = browse(house.shop.ben)
    button = "Let 203.0.113.0/28 (Acme Logistics) as far as the token check of api.shop.localhost for 1 hour"
    assert button in text(client.get(f"/requests/{request.public_id}/"))
    assert "203.0.113.0/28" in text(client.get("/requests/"))
    assert "from its addresses" in text(client.get("/"))
    assert "no configuration of a door" in text(client.get(f"/requests/{request.public_id}/change/"))


def test_wrong_input_keeps_what_was_typed_and_says_each_thing_at_its_field(house: pages.House, browse: Browse) -> None:
    outside.guard()
    given = asked(addresses="10.0.0.1 203.0.113.5/28", reason="Because of parcels.")
    answer = browse(house.shop.ada).post(FORM, given)
    shown = text(answer)
    assert answer.status_code == 422
    assert "10.0.0.1 is private" in shown
    assert "write 203.0.113.5 or 203.0.113.0/28" in shown
    for typed in ("10.0.0.1 203.0.113.5/28", "Because of parcels.", "Acme Logistics", "noc@acme.example"):
        assert typed in shown, typed
    assert not AccessRequest.objects.filter(subject__kind="party").exists()


def test_the_preview_needs_no_script(house: pages.House, browse: Browse) -> None:
    outside.guard()
    party = outside.party(house.shop.ada, house.shop.storefront)
    client = browse(house.shop.ada)
    shown = text(client.get(FORM, {**asked(party=party.key), "look": "1"}))
    assert "Owners of Payments" in shown
    assert "Security" in shown
    assert "An address proves nobody" in shown
    assert not AccessRequest.objects.filter(subject=party).exists()


def test_an_unguarded_host_is_explained_instead_of_a_form(house: pages.House, browse: Browse) -> None:
    shown = text(browse(house.shop.ada).get(f"{FORM}?service=payments"))
    assert "This host is guarded by no list" in shown
    assert "Send request" not in shown


def test_the_ordinary_form_leads_there(house: pages.House, browse: Browse) -> None:
    assert f"{FORM}?service=payments" in text(browse(house.shop.ada).get("/requests/new?service=payments"))


def test_security_guards_a_host_and_others_read_it(house: pages.House, browse: Browse) -> None:
    given = {"host": "api.shop.localhost", "always": "198.51.100.0/24", "why": "Partners only."}
    assert browse(house.shop.cyd).post("/settings/hosts/", given).status_code == 302
    assert GuardedHost.objects.get().always == ["198.51.100.0/24"]
    shown = text(browse(house.shop.ada).get("/settings/hosts/"))
    assert "api.shop.localhost" in shown
    assert "Guard it" not in shown


def test_a_guard_that_makes_no_sense_is_told_at_its_field(house: pages.House, browse: Browse) -> None:
    given = {"host": "nonsense", "always": "", "why": "Partners only."}
    answer = browse(house.shop.cyd).post("/settings/hosts/", given)
    assert answer.status_code == 422
    assert "Write a host name" in text(answer)
    assert "Partners only." in text(answer)


def test_the_page_of_the_edge_shows_the_list_and_puts_it_back(house: pages.House, browse: Browse) -> None:
    row = edges.address_list(datetime.now(UTC))
    client = browse(house.olga)
    assert "1 list of addresses is not as approved." in text(client.get("/rollout/edge/"))
    shown = text(client.get("/rollout/edge/lists/"))
    for words in ("1001_SHOP", "203.0.113.0/28", "198.51.100.7", "Nobody here put this on the list.", "Put back"):
        assert words in shown, words
    client.post(f"/rollout/edge/lists/{row.pk}/put-back")
    assert AddressList.objects.get().put_back
    assert "Being put back" in text(client.get("/rollout/edge/lists/"))


def test_guarding_ends_when_nothing_hangs_on_it_and_the_policy_asks_no_longer(
    house: pages.House, browse: Browse
) -> None:
    row, cyd = outside.guard("198.51.100.0/24"), browse(house.shop.cyd)
    edges.address_list(datetime.now(UTC))
    address = f"/settings/hosts/{row.pk}/stop"
    partner = outside.party(house.shop.ada, house.shop.storefront)
    request = outside.ask(house.shop.ada, partner, at=datetime.now(UTC))
    assert "1 opening or request is there still." in text(cyd.get(address))
    refused = cyd.post(address, {"detached": "on"})
    assert (refused.status_code, "End them first." in text(refused)) == (422, True)
    access_services.cancel_request(public_id=request.public_id, actor=house.shop.ada, at=datetime.now(UTC))
    attached = cyd.post(address)
    assert (attached.status_code, "First have the edge" in text(attached)) == (422, True)
    assert cyd.post(address, {"detached": "on"}).status_code == 302
    assert not GuardedHost.objects.exists()
    assert "guarded no longer" in text(browse(house.olga).get("/rollout/edge/lists/"))


def test_a_party_has_a_page_and_a_place_in_the_settings(house: pages.House, browse: Browse) -> None:
    party = outside.party(house.shop.ada, house.shop.storefront)
    client = browse(house.shop.ada)
    assert "Acme Logistics" in text(client.get("/settings/parties/"))
    shown = text(client.get(f"/settings/who/{party.key}/"))
    assert "Outside party" in shown
    assert "noc@acme.example" in shown
