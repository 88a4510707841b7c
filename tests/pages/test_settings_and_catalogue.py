"""The catalogue, its import, and the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.access import services as access_services
from apps.catalog.models import Service
from apps.compiler.reasons import TEXTS
from apps.identity.models import ApiToken, Subject
from tests.factories import access, identity, pages
from tests.reading import text_of

Browse = Callable[[Subject], Client]
ESTATE = Path(settings.BASE_DIR, "deploy/demo/estate.yaml")


def test_nobody_is_shown_a_part_of_the_settings_that_turns_them_away(house: pages.House, browse: Browse) -> None:
    shown = {who.name: _sections(browse(who)) for who in (house.shop.ada, house.shop.cyd, house.olga)}
    assert shown["Cyd"] - shown["Ada"] == {"/settings/aws/", "/settings/signals/"}
    assert {"/settings/outbox/", "/settings/gallery/", "/settings/providers/"} <= shown["Olga"] - shown["Cyd"]


def _sections(client: Client) -> set[str]:
    """Every section that is offered, each opened."""
    found: set[str] = set()
    waiting = {"/settings/tokens/"}
    while waiting:
        page = waiting.pop()
        found.add(page)
        answer = client.get(page)
        assert answer.status_code == 200, page
        text = answer.content.decode()
        tabs = text.partition('<div class="sections">')[2].partition("</div>")[0]
        waiting |= set(re.findall(r'href="([^"]+)"', tabs)) - found
    return found


# the catalogue


def test_services_are_found_by_name_by_route_and_by_team(house: pages.House, browse: Browse) -> None:
    access.service("shipping", team=house.shop.storefront, doors=("mesh",), routes={"q": (["POST"], "/quotes")})
    client = browse(house.shop.ada)
    assert "Payments" not in text_of(client, "/catalogue/", q="quotes").partition("<tbody>")[2]
    assert "/catalogue/shipping/" in text_of(client, "/catalogue/", q="quotes")
    assert "/catalogue/shipping/" not in text_of(client, "/catalogue/", team="team:payments")
    assert "Nothing matches" in text_of(client, "/catalogue/", q="nonsense")


def test_a_service_says_who_may_call_it_now_and_then(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert "Payments: 1 may call it now" in text_of(client, "/catalogue/payments/")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    assert "Payments: nobody may call it then" in text_of(client, "/catalogue/payments/", on=tomorrow)
    assert "Write the date as" in text_of(client, "/catalogue/payments/", on="soon")


def test_a_service_shows_its_danger_routes_and_doors(house: pages.House, browse: Browse) -> None:
    Service.objects.filter(slug="payments").update(danger_note="Money moves.")
    text = text_of(browse(house.shop.ada), "/catalogue/payments/")
    for said in ("Money moves.", "4 routes", "api.shop.localhost/payments", "spiffe://shop.test/ns/shop/sa/payments"):
        assert said in text


def test_around_a_service_are_its_callers_and_its_requests(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ben), "/catalogue/payments/around/")
    assert f"/requests/{house.asked.public_id}/" in text
    assert "1 call" in text


def test_requests_one_may_not_see_are_not_around(house: pages.House, browse: Browse) -> None:
    assert house.asked.public_id not in text_of(browse(identity.person("zed")), "/catalogue/payments/around/")


# import


def upload(client: Client, text: str) -> tuple[int, str]:
    answer = client.post("/catalogue/import/", {"file": SimpleUploadedFile("estate.yaml", text.encode())})
    return answer.status_code, answer.content.decode()


@pytest.mark.django_db
def test_an_import_shows_what_would_change_before_it_does(browse: Browse) -> None:
    client, text = browse(identity.person("olga", roles=("operator", "administrator"))), ESTATE.read_text()
    status, shown = upload(client, text)
    assert (status, Service.objects.count()) == (200, 0)
    assert "changes, if you apply it" in " ".join(shown.split())
    client.post("/catalogue/import/", {"text": text, "source": "estate.yaml", "sure": "1"})
    assert Service.objects.count() == 11
    assert "Nothing would change" in upload(client, text)[1]


@pytest.mark.django_db
def test_a_bad_file_is_answered_with_places(browse: Browse) -> None:
    client = browse(identity.person("olga", roles=("operator", "administrator")))
    status, shown = upload(client, "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: '!'}\n")
    assert (status, Service.objects.count()) == (422, 0)
    assert "to put right first" in shown
    assert upload(client, "\tnot yaml: [")[0] == 422


@pytest.mark.django_db
@pytest.mark.parametrize("data", [{}, {"text": " "}, {"file": SimpleUploadedFile("x", b"\xff\xfe\x00")}])
def test_nothing_readable_is_said_so(browse: Browse, data: dict[str, object]) -> None:
    client = browse(identity.person("olga", roles=("operator", "administrator")))
    assert client.post("/catalogue/import/", data).status_code == 422


@pytest.mark.django_db
def test_only_operators_import(browse: Browse) -> None:
    client = browse(identity.person("ada"))
    assert 'type="file"' not in text_of(client, "/catalogue/import/")
    client.post("/catalogue/import/", {"text": ESTATE.read_text(), "sure": "1"})
    assert Service.objects.count() == 0


# settings


def test_a_token_is_shown_once_and_can_be_revoked(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ben)
    data = {"subject": "person:ben", "name": "laptop", "scopes": ["read", "edge"], "days": "7"}
    answer = client.post("/settings/tokens/", data)
    made = ApiToken.objects.get(name="laptop")
    assert answer.content.decode().count(f"{made.prefix}") >= 2
    assert "no-store" in answer.headers["Cache-Control"]
    assert "sp_" not in text_of(client, "/settings/tokens/").replace(f"{made.prefix}…", "")
    client.post(f"/settings/tokens/{made.pk}/revoke")
    made.refresh_from_db()
    assert made.revoked_at is not None


@pytest.mark.parametrize("change", [{"name": ""}, {"scopes": []}, {"subject": "person:cyd"}, {"days": "9999"}])
def test_a_token_that_cannot_be_is_refused(house: pages.House, browse: Browse, change: dict[str, object]) -> None:
    data = {"subject": "person:ben", "name": "laptop", "scopes": ["read"], "days": "7", **change}
    assert browse(house.shop.ben).post("/settings/tokens/", data).status_code == 422
    assert not ApiToken.objects.filter(name="laptop").exists()


def test_tokens_can_be_made_for_ones_agent(house: pages.House, browse: Browse) -> None:
    data = {"subject": house.shop.bot.key, "name": "bot", "scopes": ["write"], "days": "7"}
    browse(house.shop.dan).post("/settings/tokens/", data)
    assert ApiToken.objects.get(name="bot").subject == house.shop.bot


def test_people_are_listed_with_teams_and_roles(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), "/settings/people/")
    for said in ("Ben", "Payments", "(owner)", "security"):
        assert said in text
    assert "Ben" not in text_of(browse(house.shop.ada), "/settings/people/", q="cyd").partition("<tbody>")[2]


def test_lists_go_on_where_they_stopped(house: pages.House, browse: Browse) -> None:
    for number in range(55):
        identity.person(f"x{number:02}")
    client = browse(house.shop.ada)
    first = text_of(client, "/settings/people/")
    assert "after=person%3Ax" in first
    second = text_of(client, "/settings/people/", after="person:x40")
    assert "person:x41" in second
    assert "person:x40" not in second.partition("<tbody>")[2]


def test_security_suspends_and_reinstates(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    client.post("/settings/who/person:ada/move", {"to": "suspended", "why": "Lost laptop"})
    assert "Ada is suspended" in text_of(client, "/settings/who/person:ada/")
    assert browse(house.shop.ben).get("/settings/who/person:ada/").status_code == 200
    client.post("/settings/who/person:ada/move", {"to": "active"})
    assert "Ada is suspended" not in text_of(client, "/settings/who/person:ada/")


def test_rules_and_guardrails_can_be_read_by_everybody(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert "The team that owns the service decides." in text_of(client, "/settings/rules/")
    assert "No guardrails stand" in text_of(client, "/settings/guardrails/")
    values = access_services.GuardrailValues(sentence="No agent deletes.", kinds=("agent",), methods=("DELETE",))
    access_services.set_guardrail(slug="no-agent-deletes", values=values, actor=house.shop.cyd.actor, at=access.AT)
    assert "every agent; DELETE" in text_of(client, "/settings/guardrails/")


# what anybody may read


@pytest.mark.django_db
def test_every_reason_is_explained_to_everybody() -> None:
    text = text_of(Client(), "/docs/reasons")
    assert [reason for reason in TEXTS if f'id="{reason}"' not in text] == []


@pytest.mark.django_db
def test_the_demo_offers_its_people_and_nobody_else_does(settings: object) -> None:
    identity.person("ada")
    assert "Be Ada" in text_of(Client(), "/sign-in/")
    settings.SALLYPORT_DEMO = False  # type: ignore[attr-defined]  # pytest-django's settings
    assert "Be Ada" not in text_of(Client(), "/sign-in/")
    assert Client().post("/demo/sign-in/person:ada").status_code == 404
