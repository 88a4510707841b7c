"""What every page shares: closed by default, strict about scripts, whole without them, and in the reader's colours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.test import Client

from apps.identity.models import Subject
from console.errors import server_error
from tests.factories import pages

TEMPLATES = sorted(Path(settings.BASE_DIR, "templates").rglob("*.html"))
Browse = Callable[[Subject], Client]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_inline_script_style_or_handler(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|\|safe\b", text) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_stay_short_and_narrow(template: Path) -> None:
    """Django's tags cannot be broken: a sentence in one makes a line as long as it is."""
    lines = template.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250
    assert [line for line in lines if len(line) > 300] == []


@pytest.mark.parametrize("template", sorted(Path(settings.BASE_DIR, "templates/components").glob("*.html")))
def test_a_component_says_what_it_needs(template: Path) -> None:
    assert "{% comment %}" in template.read_text(encoding="utf-8")


def test_pages_forbid_scripts_from_elsewhere(house: pages.House, browse: Browse) -> None:
    policy = browse(house.shop.ada).get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_pages_are_not_kept_by_caches(house: pages.House, browse: Browse) -> None:
    answer = browse(house.shop.ada).get("/")
    assert "private" in answer.headers["Cache-Control"]
    assert "HX-Request" in answer.headers["Vary"]


def test_somebody_unknown_is_sent_to_sign_in_and_back(db: None) -> None:
    answer = Client().get("/requests/?show=mine")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in/?next=/requests/%3Fshow%3Dmine")


def test_a_fragment_for_somebody_whose_session_ended_reloads_the_page(db: None) -> None:
    answer = Client().get("/requests/", headers={"HX-Request": "true", "HX-Target": "waiting"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")


def test_htmx_gets_the_part_named_like_its_target(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    part = client.get("/catalogue/", headers={"HX-Request": "true", "HX-Target": "rows"}).content.decode()
    assert part.lstrip().startswith('<div id="rows"')
    assert "<html" not in part


def test_an_unknown_target_gets_the_whole_page(house: pages.House, browse: Browse) -> None:
    answer = browse(house.shop.ada).get("/catalogue/", headers={"HX-Request": "true", "HX-Target": "nonsense"})
    assert "<html" in answer.content.decode()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_kept_and_drawn_by_the_server(house: pages.House, browse: Browse, theme: str) -> None:
    client = browse(house.shop.ada)
    answer = client.post("/theme/", {"theme": theme, "next": "/live/"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/live/")
    assert f'data-theme="{theme}"' in client.get("/").content.decode()


def test_a_theme_that_is_none_is_ignored(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    client.post("/theme/", {"theme": '"><script>'})
    assert "data-theme" not in client.get("/").content.decode()


@pytest.mark.parametrize("target", ["https://elsewhere.test/", "//elsewhere.test/", "javascript:alert(1)"])
def test_a_form_never_leads_elsewhere(house: pages.House, browse: Browse, target: str) -> None:
    client = browse(house.shop.ada)
    assert client.post("/theme/", {"theme": "dark", "next": target}).headers["Location"] == "/"
    assert client.get("/sign-in/", {"next": target}).headers["Location"] == "/"


def test_what_is_not_there_is_said_in_the_design(house: pages.House, browse: Browse) -> None:
    answer = browse(house.shop.ada).get("/nowhere/")
    assert (answer.status_code, "There is no such page" in answer.content.decode()) == (404, True)


def test_a_form_without_its_token_changes_nothing(house: pages.House) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = pages.signed_in(house.shop.ada).cookies
    answer = client.post(f"/requests/{house.asked.public_id}/cancel")
    house.asked.refresh_from_db()
    assert (answer.status_code, house.asked.state) == (403, "pending")
    assert "could not be trusted" in answer.content.decode()


def test_our_own_fault_is_said_without_asking_the_database() -> None:
    answer = server_error(HttpRequest())
    assert (answer.status_code, "Something broke on our side" in answer.content.decode()) == (500, True)


def test_the_palette_finds_pages_services_and_people(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    found = client.get("/search", {"q": "pay"}, headers={"HX-Request": "true", "HX-Target": "found"}).content.decode()
    assert found.lstrip().startswith('<ul id="found">')
    assert found.index("/catalogue/payments/") < found.index("/requests/new?service=payments")
    assert "/settings/who/team:payments/" in found


def test_a_request_is_found_by_its_id_by_those_who_may_see_it(house: pages.House, browse: Browse) -> None:
    where = f"/requests/{house.asked.public_id}/"
    query = {"q": house.asked.public_id[:12]}
    assert where in browse(house.shop.ada).get("/search", query).content.decode()
    assert where not in browse(house.shop.dan).get("/search", query).content.decode()


@pytest.mark.parametrize("word", ["0", "home", "javascript:alert(1)"])
def test_a_word_that_is_no_address_leads_home(client: Client, db: None, word: str) -> None:
    assert client.post("/theme/", {"theme": "dark"}, headers={"referer": word}).headers["Location"] == "/"
