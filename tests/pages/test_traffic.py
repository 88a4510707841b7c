"""Traffic rules as people meet them: asked for on a form, shown with their service, refused with both sides told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.access import services
from apps.access.models import AccessRequest, Grant
from apps.catalog.models import Exposure
from apps.identity.models import Subject
from tests.factories import access, identity, pages
from tests.reading import text_of

Browse = Callable[[Subject], Client]
FORM = {
    "service": "payments",
    "subject": "everybody",
    "percent": "10",
    "routes": "list",
    "variant": "v2",
    "points": ["edge", "mesh"],
    "duration": "3600",
    "reason": "A first share.",
    "ticket": "PAY-8",
}


@pytest.fixture
def shop(house: pages.House) -> access.Shop:
    Exposure.objects.filter(service=house.shop.service, point="mesh").update(variants=["v2:9301", "v3:9302"])
    return house.shop


def ask(client: Client, **more: object) -> tuple[int, str]:
    answer = client.post("/requests/traffic", {**FORM, **more})
    return answer.status_code, answer.content.decode()


def in_force(shop: access.Shop) -> Grant:
    at = datetime.now(UTC)
    request = services.open_request(
        actor=shop.ben,
        subject_key="team:storefront",
        service_slug="payments",
        route_keys=("list",),
        duration=3600,
        reason="The storefront tries it.",
        treatment={"variant": "v2"},
        at=at,
    )
    access.approve(request, shop.bea, at=at)
    return services.activate(grant_id=Grant.objects.get(request=request).public_id, at=at)


def test_a_rule_is_asked_for_and_its_request_says_what_it_does(shop: access.Shop, browse: Browse) -> None:
    client = browse(shop.ben)
    assert ask(client)[0] == 302
    request = AccessRequest.objects.order_by("-pk")[0]
    assert request.treatment == {
        "everybody": True,
        "percent": 10,
        "variant": "v2",
        "set_headers": {},
        "remove_headers": [],
        "calls_per_minute": None,
        "breaker": None,
    }
    text = text_of(browse(shop.bea), f"/requests/{request.public_id}/")
    assert "A traffic rule for Payments is asked for" in text
    assert "calls of 10 % of all callers to GET /payments on Payments go to v2" in text
    assert "Put the rule in force for 1 hour" in text
    assert text.count("Calls go on as before until this is approved.") == 2
    assert "Not in force" in text


def test_a_rule_is_not_mistaken_for_access_where_one_decides(shop: access.Shop, browse: Browse) -> None:
    ask(browse(shop.ben))
    request = AccessRequest.objects.order_by("-pk")[0]
    client = browse(shop.bea)
    assert '<span class="tag">Traffic rule</span>' in client.get("/requests/").content.decode()
    chosen = {"request": request.public_id, "verdict": "approve"}
    assert (
        "Puts in force a traffic rule for <b>Payments</b>" in client.post("/requests/decide", chosen).content.decode()
    )


def test_whoever_asked_for_a_rule_ends_it_on_its_page(shop: access.Shop, browse: Browse) -> None:
    rule = in_force(shop)
    assert rule.request is not None
    client, page = browse(shop.ben), f"/requests/{rule.request.public_id}/"
    text = text_of(client, page)
    assert "A traffic rule for Payments is in force" in text
    assert "End this rule" in text
    assert client.post(f"/access/{rule.public_id}/end", {"next": page}).headers["Location"] == page
    assert "A traffic rule for Payments is over" in text_of(client, page)
    assert "every call is treated alike" in client.get("/catalogue/payments/traffic/").content.decode()


def test_a_contradiction_shows_both_and_keeps_what_was_typed(shop: access.Shop, browse: Browse) -> None:
    first = in_force(shop)
    assert first.request is not None
    status, text = ask(browse(shop.ben), variant="v3", set_name="X-Canary", set_value="blue")
    assert status == 422
    assert "calls of 10 % of all callers to GET /payments on Payments go to v3" in text
    assert "calls of Storefront to GET /payments on Payments go to v2" in text
    assert f"/requests/{first.request.public_id}/" in text
    for kept in (
        '<option value="everybody" selected>',
        'name="percent" value="10"',
        'value="list" checked',
        '<option value="v3" selected>',
        "<option selected>X-Canary</option>",
        'name="set_value" value="blue"',
        ">A first share.</textarea>",
        'name="ticket" value="PAY-8"',
    ):
        assert kept in text, kept


def test_nonsense_is_told_beside_its_field_and_kept(shop: access.Shop, browse: Browse) -> None:
    status, text = ask(browse(shop.ben), percent="lots", calls_per_minute="-1", variant="v9")
    assert status == 422
    for said in ("Give a whole number from 1 to 100.", "from 1 to 100000.", "Payments has no version v9"):
        assert said in text
    for kept in ('name="percent" value="lots"', 'name="calls_per_minute" value="-1"', '<option value="v9" selected>'):
        assert kept in text


def test_half_a_breaker_is_told_beside_its_field_and_a_whole_one_is_asked_for(
    shop: access.Shop, browse: Browse
) -> None:
    status, text = ask(browse(shop.ben), errors="5")
    assert (status, "Give errors from 1 to 100 and seconds from 1 to 600" in text) == (422, True)
    assert 'id="errors" name="errors" value="5"' in text
    assert ask(browse(shop.ben), errors="5", seconds="30", variant="")[0] == 302
    request = AccessRequest.objects.order_by("-pk")[0]
    assert request.treatment is not None
    assert request.treatment["breaker"] == {"errors": 5, "seconds": 30}
    text = browse(shop.bea).get(f"/requests/{request.public_id}/").content.decode()
    assert "are turned away for 30 s after 5 errors within 30 s (in the mesh alone: the edge has no breaker)" in text


def test_the_replay_of_a_breaker_tells_how_often_it_would_have_tripped(
    house: pages.House, shop: access.Shop, browse: Browse
) -> None:
    at = datetime.now(UTC)
    access.active_grant(shop.dan, shop.ben, routes=("refund",), at=at)
    for status in (500, 502, 200):
        pages.call(shop.dan, at=at, verdict="allow", reason="granted", point="sidecar", status=status)
    services.open_request(
        actor=shop.ben,
        subject_key=shop.payments_team.key,
        service_slug="payments",
        route_keys=("refund",),
        duration=3600,
        reason="It fails by the hundred.",
        treatment={"breaker": {"errors": 2, "seconds": 60}, "everybody": True},
        at=at,
    )
    request = AccessRequest.objects.order_by("-pk")[0]
    text = browse(shop.bea).get(f"/requests/{request.public_id}/change/").content.decode()
    assert "The breaker would have tripped 1 time and turned 1 call away." in text


def test_only_the_owning_team_is_offered_everybody(shop: access.Shop, browse: Browse) -> None:
    for who, offered in ((shop.ben, True), (shop.ada, False)):
        text = browse(who).get("/requests/traffic?service=payments").content.decode()
        assert ('<option value="everybody"' in text) == offered
    status, text = ask(browse(shop.ada))
    assert (status, "people of the team that owns the service" in text) == (422, True)


def test_the_preview_tells_who_agrees_and_that_nothing_opens(shop: access.Shop, browse: Browse) -> None:
    headers = {"HX-Request": "true", "HX-Target": "preview"}
    part = browse(shop.ben).get("/requests/traffic", {**FORM, "look": "1"}, headers=headers).content.decode()
    assert part.lstrip().startswith('<aside class="card" id="preview"')
    for said in ("Owners of Payments", "It opens nothing", "It is about 10 % of everybody who calls."):
        assert said in part


def test_a_services_rules_are_shown_to_everybody_and_their_requests_to_whom_they_concern(
    shop: access.Shop, browse: Browse
) -> None:
    rule = in_force(shop)
    assert rule.request is not None
    link = f"/requests/{rule.request.public_id}/"
    for who, linked in ((shop.ben, True), (shop.ada, True), (shop.dan, False)):
        text = text_of(browse(who), "/catalogue/payments/traffic/")
        assert "Payments: 1 traffic rule" in text
        assert "go to v2" in text
        assert (link in text) == linked
    assert "/catalogue/payments/traffic/" in browse(shop.dan).get("/catalogue/payments/").content.decode()


def test_the_page_of_rules_costs_the_same_with_many(
    shop: access.Shop, browse: Browse, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client, costs = browse(shop.ada), []
    for more in (1, 4):
        for number in range(more):
            at = datetime.now(UTC)
            team = identity.team(f"t{more}{number}")
            request = services.open_request(
                actor=shop.ben,
                subject_key=team.key,
                service_slug="payments",
                route_keys=("list",),
                duration=3600,
                reason="One of many.",
                treatment={"variant": "v2"},
                at=at,
            )
            access.approve(request, shop.bea, at=at)
        with django_assert_max_num_queries(8) as asked:
            assert client.get("/catalogue/payments/traffic/").status_code == 200
        costs.append(len(asked))
    assert costs[0] == costs[1]


def test_a_service_without_rules_teaches(shop: access.Shop, browse: Browse) -> None:
    text = browse(shop.dan).get("/catalogue/payments/traffic/").content.decode()
    assert "every call is treated alike" in text
    assert "Every allowed call goes to the usual version" in text


def test_the_replay_counts_calls_that_would_go_elsewhere(house: pages.House, shop: access.Shop, browse: Browse) -> None:
    at = datetime.now(UTC)
    access.active_grant(shop.dan, shop.ben, routes=("refund",), at=at)
    pages.call(shop.dan, at=at, verdict="allow", reason="granted")
    services.open_request(
        actor=shop.ben,
        subject_key=shop.payments_team.key,
        service_slug="payments",
        route_keys=("refund",),
        duration=3600,
        reason="A try.",
        treatment={"variant": "v2", "everybody": True},
        at=at,
    )
    request = AccessRequest.objects.order_by("-pk")[0]
    text = browse(shop.bea).get(f"/requests/{request.public_id}/change/").content.decode()
    assert "answered by v2" in text
    assert "Who is let in stays as it was." in text
