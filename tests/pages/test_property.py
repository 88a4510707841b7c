"""The page on which a person looks at what would change in a property, and says yes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.identity.models import Subject
from apps.rollout.models import PropertyChange, Target
from tests.factories import edges, pages
from tests.reading import text_of

Browse = Callable[[Subject], Client]
PAGE = "/rollout/edge/property/"


@pytest.fixture
def olga(house: pages.House, browse: Browse) -> Client:
    edges.edge_target(datetime.now(UTC))
    return browse(house.olga)


def set_up() -> None:
    Target.objects.filter(slug="edge").update(facts={"edgeworker_id": 42})


def test_before_the_set_up_there_is_nothing_to_attach(olga: Client) -> None:
    shown = olga.get(PAGE).content.decode()
    assert "No property was attached yet" in shown
    assert "The EdgeWorker is not set up yet" in shown


def test_asking_has_it_compared_and_keeps_what_was_typed_when_it_is_wrong(olga: Client) -> None:
    set_up()
    wrong = olga.post(PAGE, {"hostname": "api.shop.test", "email": "nobody"})
    assert wrong.status_code == 422
    assert 'value="api.shop.test"' in wrong.content.decode()
    assert "Akamai wants an e-mail address to tell of activations." in wrong.content.decode()
    assert PropertyChange.objects.count() == 0
    assert olga.post(PAGE, {"hostname": "API.shop.test ", "email": "o@shop.test"})["Location"] == PAGE
    change = PropertyChange.objects.get()
    assert (change.hostname, change.state, change.asked_by) == ("api.shop.test", "asked", "Olga")
    assert "api.shop.test is being compared" in olga.get(PAGE).content.decode()


def test_the_difference_is_shown_with_one_button_that_says_what_it_does(olga: Client) -> None:
    change = edges.property_change(datetime.now(UTC))
    shown = olga.get(PAGE).content.decode()
    assert "Sallyport access" in shown
    assert "Make a new version of shop with this change" in shown
    olga.post(f"{PAGE}{change.pk}/agree", {"shown": "another"})
    change.refresh_from_db()
    assert change.state == "planned"
    olga.post(f"{PAGE}{change.pk}/agree", {"shown": "e1"})
    change.refresh_from_db()
    assert change.state == "writing"


def test_once_it_is_done_the_new_version_is_the_one_that_is_live(olga: Client) -> None:
    change = edges.property_change(datetime.now(UTC), "done")
    change.version, change.found = 7, {**change.found, "name": "shop", "staging": 6, "production": 6}
    change.save()
    shown = text_of(olga, PAGE)
    assert "<dt>Live on production</dt><dd>7</dd>" in shown
    assert "<dd>6</dd>" not in shown


def test_what_went_wrong_is_said_once(olga: Client) -> None:
    words = "Activation atv_1 on staging ended as FAILED. An injected fault"
    change = edges.property_change(datetime.now(UTC))
    PropertyChange.objects.update(
        state="failed", error=words, events=[{"text": "Version 4 is written."}, {"text": words}]
    )
    shown = text_of(olga, PAGE)
    assert (shown.count(words), "Version 4 is written." in shown) == (1, True)
    assert f"{change.hostname} could not be changed" in shown


def test_a_change_that_meets_only_errors_can_be_dropped(olga: Client) -> None:
    edges.property_change(datetime.now(UTC), state="writing")
    drop = "Drop it; nothing live changes"
    assert drop not in text_of(olga, PAGE)
    PropertyChange.objects.update(error="Akamai does not accept the credential.")
    assert drop in text_of(olga, PAGE)
    olga.post(f"{PAGE}{PropertyChange.objects.get().pk}/drop")
    assert PropertyChange.objects.get().state == "dropped"


def test_each_warning_is_ticked(olga: Client) -> None:
    change = edges.property_change(datetime.now(UTC), "warned")
    assert "The origin is not verified." in olga.get(PAGE).content.decode()
    olga.post(f"{PAGE}{change.pk}/accept", {})
    change.refresh_from_db()
    assert change.state == "warned"
    olga.post(f"{PAGE}{change.pk}/accept", {"warning": "msg_1"})
    change.refresh_from_db()
    assert (change.state, change.accepted) == ("staging", ["msg_1"])


def test_a_change_is_reached_by_its_own_target_only(olga: Client) -> None:
    change = edges.property_change(datetime.now(UTC))
    olga.post(f"/rollout/mesh/property/{change.pk}/drop")
    change.refresh_from_db()
    assert change.state == "planned"
    assert olga.get("/rollout/mesh/property/").status_code == 404


def test_the_moving_part_is_asked_for_alone(olga: Client) -> None:
    edges.property_change(datetime.now(UTC), "production")
    part = olga.get(PAGE, headers={"HX-Request": "true", "HX-Target": "moving"}).content.decode()
    assert "api.shop.test is going live on production" in part
    assert "<html" not in part
