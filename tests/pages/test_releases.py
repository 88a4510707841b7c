"""The page of an edge target's releases: what became of each version, in words, and how careful the target is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.identity.models import Subject
from apps.rollout.models import Release, Target
from apps.rollout.services.safety import Safety, safety_of
from tests.factories import edges, pages
from tests.reading import text_of

Browse = Callable[[Subject], Client]
PAGE = "/rollout/edge/releases/"
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def olga(house: pages.House, browse: Browse) -> Client:
    edges.edge_target(datetime.now(UTC))
    return browse(house.olga)


def release(version: str, state: str, **more: object) -> Release:
    target = Target.objects.get(slug="edge")
    facts = {"number": 1, "began_at": AT, "tried_at": AT, "production_at": AT, "ended_at": AT + timedelta(minutes=10)}
    return Release.objects.create(target=target, version=version, state=state, **{**facts, **more})


def test_before_the_first_release_the_page_says_what_brings_one(olga: Client) -> None:
    shown = olga.get(PAGE).content.decode()
    assert "No code was released yet" in shown
    assert "The first version comes with the first service" in shown


def test_what_was_taken_back_is_told_with_the_calls_and_one_click_goes_back(olga: Client) -> None:
    good = release("sp-good", "good", words="3 calls were answered on production as the policy says.", number=1)
    answer = {
        "call": "GET a.test/x as person:ada",
        "expected": "allow (granted)",
        "answered": "HTTP 500",
        "good": False,
    }
    words = "On production, 1 of 1 calls were not answered as the policy says. Version sp-good was put back."
    bad = release("sp-bad", "taken_back", words=words, production=[answer], number=2)
    release("sp-good", "watched", instead_of=bad, straight=True, number=3, watch_until=AT, asked_by="Sallyport")
    shown = text_of(olga, PAGE)
    assert "sp-good is on production and watched" in shown
    assert words in shown
    assert "HTTP 500 instead of allow (granted)" in shown
    assert "instead of sp-bad" in shown
    assert f'action="/rollout/edge/revisions/{good.number}/roll-back"' in shown
    assert 'action="/rollout/edge/revisions/3/roll-back"' not in shown, "that is what runs"


def test_how_careful_it_is_is_kept_and_what_is_wrong_is_said(olga: Client) -> None:
    wish = {"staging_entry": "api.test.edgekey-staging.net", "error_share": "10", "watch_minutes": "30"}
    assert olga.post(PAGE, wish)["Location"] == PAGE
    assert safety_of(Target.objects.get(slug="edge")) == Safety("api.test.edgekey-staging.net", False, 10, 30)
    wrong = olga.post(PAGE, {**wish, "staging_entry": "http://elsewhere.test/x"})
    assert wrong.status_code == 422
    assert 'value="http://elsewhere.test/x"' in wrong.content.decode()
    assert "Write a host of the staging network" in wrong.content.decode()


def test_who_only_watches_sees_no_buttons(house: pages.House, browse: Browse) -> None:
    edges.edge_target(datetime.now(UTC))
    release("sp-one", "good")
    release("sp-two", "good")
    shown = browse(house.shop.cyd).get(PAGE).content.decode()
    assert "Use this version again" not in shown
    assert "no way in is set" in shown
    assert browse(house.shop.cyd).post(PAGE, {}).status_code in (302, 403)


def test_a_mesh_has_no_releases(olga: Client) -> None:
    assert olga.get("/rollout/mesh/releases/").status_code == 404


def test_the_moving_part_is_asked_for_alone(olga: Client) -> None:
    release("sp-one", "refused", words="On staging, 1 of 4 calls were not answered as the policy says.")
    part = olga.get(PAGE, headers={"HX-Request": "true", "HX-Target": "moving"}).content.decode()
    assert "sp-one was refused on staging" in part
    assert "<html" not in part


def test_a_stop_by_a_person_is_not_told_as_a_next_try(olga: Client) -> None:
    target = Target.objects.get(slug="edge")
    target.error, target.trouble = "Activation 5 on PRODUCTION: ended as CANCELLED", "activation_cancelled"
    target.retry_at = datetime.now(UTC) + timedelta(minutes=5)
    target.save()
    release("sp-new", "tried")
    shown = olga.get("/rollout/edge/").content.decode()
    assert "does not ask again by itself" in shown
    assert "Next try" not in shown
    assert "sp-new does not get on" in olga.get(PAGE).content.decode()


def test_what_goes_back_does_not_go_by_staging(olga: Client) -> None:
    release("sp-good", "staging", straight=True)
    assert "sp-good is on its way back to production" in olga.get(PAGE).content.decode()


def test_pages_of_a_target_that_was_taken_out_say_so_and_it_comes_back_to_its_own_page(olga: Client) -> None:
    Target.objects.filter(slug="edge").update(delivery="removed", checked_at=AT)
    release("sp-good", "good")
    for path in (PAGE, "/rollout/edge/drift/"):
        assert "Shop edge was taken out of Akamai" in olga.get(path).content.decode(), path
    answer = olga.post("/rollout/edge/export/", {"delivery": "direct"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/edge/")
