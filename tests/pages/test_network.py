"""Who calls whom, as a picture and as the table that says the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.access import services as access_services
from apps.access.models import GrantDoor
from apps.audit.actors import SYSTEM
from apps.catalog.models import Service
from apps.identity.models import Subject
from apps.telemetry.models import Call
from apps.telemetry.network.reading import MOST_CALLS, MOST_SERVICES, find_around_service, find_busiest
from tests.factories import access, identity, pages

pytestmark = pytest.mark.django_db
Browse = Callable[[Subject], Client]


def text(answer: HttpResponse) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def words(answer: HttpResponse) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def standing(who: Subject, service: str, points: tuple[str, ...] = ("edge", "mesh"), state: str = "proven") -> None:
    at = datetime.now(UTC)
    made = access_services.create_standing_grant(
        actor=SYSTEM, subject_key=who.key, service_slug=service, route_keys=["list"], points=points, at=at
    )
    access_services.activate(grant_id=made.public_id, at=at)
    GrantDoor.objects.filter(grant=made).update(state=state)


def drawn(answer: HttpResponse) -> set[str]:
    """Where the nodes of the drawing lead."""
    drawing = re.search(r"<svg width=.*?</svg>(?=\s*</div>)", answer.content.decode(), re.DOTALL)
    assert drawing is not None
    return set(re.findall(r' href="(\?[^"]+)"', drawing[0]))


def tabled(answer: HttpResponse) -> set[tuple[str, ...]]:
    """Where the first two cells of each row lead."""
    cells = r'<tr[^>]*>\s*<td>(.*?)</td>\s*<td data-label="to">(.*?)</td>'
    found = re.findall(cells, answer.content.decode(), re.DOTALL)
    return {tuple(re.findall(r'href="(\?[^"]+)"', cell)[0] for cell in row) for row in found}


def test_the_picture_and_the_table_say_the_same(house: pages.House, browse: Browse) -> None:
    answer = browse(house.shop.cyd).get("/network/")
    assert drawn(answer) == {"?service=payments", "?subject=person%3Aada"}
    assert tabled(answer) == {("?subject=person%3Aada", "?service=payments")}
    assert "Who calls whom: refused on 1 line" in words(answer)
    assert "1 denied" in words(answer)
    assert f'href="/live/{house.rid}/ask"' in text(answer)
    assert 'href="/live/?service=payments&amp;subject=person%3Aada&amp;verdict=deny"' in text(answer)


def test_no_style_and_no_script_stands_in_it(house: pages.House, browse: Browse) -> None:
    shown = text(browse(house.shop.cyd).get("/network/"))
    assert " style=" not in shown
    assert "<style" not in shown
    assert not re.search(r"<script(?! src=)", shown)


def test_calls_are_those_whoever_looks_may_see(house: pages.House, browse: Browse) -> None:
    pages.call(house.shop.ada, at=datetime.now(UTC), verdict="allow", reason="granted", rids=["ab" * 16, "cd" * 16])
    for who, calls, denied in ((house.shop.cyd, "2", True), (house.shop.ben, "2", True), (house.shop.dan, "0", False)):
        answer = browse(who).get("/network/")
        assert f'<td class="num" data-label="calls">{calls}</td>' in text(answer), who
        assert ("1 denied" in words(answer)) is denied, who


def test_a_service_is_shown_with_what_is_around_it_and_nothing_else(house: pages.House, browse: Browse) -> None:
    shop = house.shop
    cart = access.service("cart", team=shop.storefront)
    access.service("far", team=shop.storefront)
    itself = Subject.objects.get(exposures__service=cart)
    standing(itself, "payments", ("mesh",))
    standing(shop.ben, "far")
    client = browse(shop.ben)
    around = client.get("/network/?service=payments")
    assert drawn(around) == {"?service=payments", "?service=cart", "?subject=person%3Aada"}
    assert "Payments: 2 may call it " in words(around)
    assert 'class="node picked"' in text(around)
    assert drawn(client.get("/network/?service=cart")) == {"?service=payments", "?service=cart"}
    assert drawn(client.get(f"/network/?subject={itself.key}")) == {"?service=payments", "?service=cart"}


def test_a_team_is_shown_with_what_its_members_may_call(house: pages.House, browse: Browse) -> None:
    standing(house.shop.storefront, "payments")
    answer = browse(house.shop.ben).get("/network/?subject=team:storefront")
    assert drawn(answer) == {"?service=payments", "?subject=person%3Aada", "?subject=team%3Astorefront"}
    assert "Storefront may call 1 service" in words(answer)


def test_a_door_that_moves_is_seen_to_move(house: pages.House, browse: Browse) -> None:
    GrantDoor.objects.update(state="proven")
    assert "moving-line" not in text(browse(house.shop.ben).get("/network/"))
    standing(house.shop.ben, "payments", state="closing")
    assert text(browse(house.shop.ben).get("/network/")).count('class="moving-line"') == 2, "the line, and its key"


def test_words_choose_services_and_htmx_gets_the_part_with_its_title(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert "Nothing matches" in words(client.get("/network/?q=zzz"))
    assert drawn(client.get("/network/?q=refund")) == {"?service=payments", "?subject=person%3Aada"}
    part = client.get("/network/?service=payments", headers={"HX-Request": "true", "HX-Target": "network"})
    assert "<html" not in text(part)
    assert '<h1 id="title" hx-swap-oob="true">Payments: 1 may call it' in text(part)


def test_the_most_called_are_drawn_first_whether_words_chose_them_or_not(house: pages.House) -> None:
    cyd, at = house.shop.cyd, datetime.now(UTC)
    for number in range(MOST_SERVICES + 2):
        slug = f"svc{number:02}"
        access.service(slug, team=house.shop.storefront, doors=("mesh",))
        for count in range(number if number > 2 else 0):
            Call.objects.create(rid=uuid4(), first_at=at - timedelta(minutes=count), subject="person:x", service=slug,
                                verdict="allow", reason="granted", status=200, ms=1)  # fmt: skip
    for query in ("", "svc"):
        found = find_busiest(cyd, at, query=query)
        assert list(found.stops)[:3] == ["svc17", "svc16", "svc15"], query
        assert not {"svc01", "svc02"} & found.stops.keys(), query


def test_calls_beyond_those_that_are_counted_are_told_of_wherever_they_went(house: pages.House) -> None:
    cyd, at = house.shop.cyd, datetime.now(UTC)
    Call.objects.bulk_create(
        Call(rid=uuid4(), first_at=at - timedelta(seconds=number), subject="person:x", service=f"gone{number % 50}",
             verdict="allow", reason="granted", status=200, ms=1) for number in range(MOST_CALLS)
    )  # fmt: skip
    assert find_busiest(cyd, at).is_sampled
    assert not find_around_service(cyd, at, "payments").is_sampled


def test_what_is_not_there_is_not_found(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    for query in ("service=nowhere", "subject=person:nobody", "subject=%3A", "service=%22"):
        assert client.get(f"/network/?{query}").status_code == 404, query


def test_what_is_empty_teaches(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    access.service("alone", team=house.shop.storefront)
    assert "It stands alone" in words(client.get("/network/?service=alone"))
    assert "No line leaves here" in words(client.get("/network/?subject=person:dan"))
    assert "Without a line here: Alone" in words(client.get("/network/"))
    found = words(client.get("/network/?q=alone"))
    assert "No line here" in found
    assert "Without a line here: Alone" in found


def test_the_map_and_a_services_page_lead_to_it(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert 'href="/network/"' in text(client.get("/map/"))
    assert 'href="/map/" ' in text(client.get("/network/")) or 'href="/map/"' in text(client.get("/network/"))
    assert 'href="/network/?service=payments"' in text(client.get("/catalogue/payments/"))


def test_a_large_estate_is_drawn_in_part_and_says_so(house: pages.House, browse: Browse) -> None:
    at, shop = datetime.now(UTC), house.shop
    Service.objects.bulk_create(
        Service(slug=f"a{n:03}", title=f"A{n}", team=shop.storefront, created_at=at) for n in range(300)
    )
    for number in range(15):
        who = identity.person(f"q{number:02}", teams=(shop.storefront,))
        standing(who, "payments")
        pages.call(who, at=at - timedelta(minutes=number))
    client = browse(shop.cyd)
    with CaptureQueriesContext(connection) as asked:
        answer = client.get("/network/")
    assert len(asked) <= 8
    assert "Drawn are 16 of 301 services, those most called first." in words(answer)
    assert "each is drawn as its team" in words(answer)
    assert "?service=payments" in drawn(answer), "the one that is called, though sixteen come before it by name"
    assert ("?subject=team%3Astorefront", "?service=payments") in tabled(answer)
