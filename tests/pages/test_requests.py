"""Asking, deciding, watching and ending, as people meet them on pages."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.access import services
from apps.access.models import AccessRequest, Grant
from apps.access.selectors import get_visible_request
from apps.access.views.events import mark_now, mark_shown
from apps.identity.models import Subject
from tests.factories import access, pages
from tests.reading import text_of

Browse = Callable[[Subject], Client]
ASK = {"service": "payments", "routes": "list", "duration": "3600", "reason": "Looking at one.", "ticket": "PAY-7"}


# asking


def test_a_link_from_a_denial_fills_the_form_in(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    answer = client.get(f"/live/{house.rid}/ask")
    text = client.get(answer.headers["Location"]).content.decode()
    assert 'value="refund" checked' in text
    assert 'value="list" checked' not in text
    assert f"/live/?rid={house.rid}" in text


def test_the_preview_says_who_must_agree_and_what_would_open(house: pages.House, browse: Browse) -> None:
    query = {"service": "payments", "routes": "list", "duration": "3600", "look": "1"}
    headers = {"HX-Request": "true", "HX-Target": "preview"}
    part = browse(house.shop.ada).get("/requests/new", query, headers=headers).content.decode()
    assert part.lstrip().startswith('<aside class="card" id="preview"')
    for said in ("Owners of Payments", "Ben", "Bea", "Low risk", "Ada may call GET /payments on Payments"):
        assert said in part


def test_the_preview_works_by_a_button_without_scripts(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), "/requests/new", **{**ASK, "look": "1"})
    assert "Owners of Payments" in text
    assert "Looking at one." in text


def test_everything_that_reads_can_be_asked_for_at_once(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), "/requests/new", service="payments", reads="1")
    checked = {key: f'value="{key}" checked' in text for key in access.ROUTES}
    assert checked == {"list": True, "read": True, "refund": False, "purge": False}


def test_sending_leads_to_the_request(house: pages.House, browse: Browse) -> None:
    answer = browse(house.shop.ada).post("/requests/new", ASK)
    made = AccessRequest.objects.latest("pk")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/requests/{made.public_id}/")
    assert (made.requester, made.reason, made.ticket, made.duration, made.points, made.origin) == (
        house.shop.ada,
        "Looking at one.",
        "PAY-7",
        3600,
        ["edge", "mesh"],
        "web",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reason": " "}, "Say why, in a few words."),
        ({"reason": "Look \u202egnihton ta"}, "Control characters cannot be kept."),
        ({"points": ""}, "Choose at least one door."),
        ({"routes": ""}, "Choose at least one route."),
        ({"duration": "864000"}, "Payments allows this at most"),
        ({"routes": "refund"}, "already asked for"),
    ],
)
def test_what_is_refused_is_said_where_it_belongs_and_nothing_typed_is_lost(
    house: pages.House, browse: Browse, change: dict[str, str], said: str
) -> None:
    before = AccessRequest.objects.count()
    answer = browse(house.shop.ada).post("/requests/new", {**ASK, **change})
    text = answer.content.decode()
    assert (answer.status_code, AccessRequest.objects.count()) == (422, before)
    assert said in text
    assert 'value="PAY-7"' in text


def test_the_form_says_that_it_names_the_doors_and_a_link_gets_the_usual_ones(
    house: pages.House, browse: Browse
) -> None:
    text = text_of(browse(house.shop.ada), "/requests/new", service="payments", routes="list")
    assert '<input type="hidden" name="points" value="">' in text
    assert text.count('name="points" value="edge" checked') == text.count('name="points" value="mesh" checked') == 1


def test_a_form_sent_twice_is_one_request_and_leads_to_it(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    first, second = client.post("/requests/new", ASK), client.post("/requests/new", ASK)
    assert (second.status_code, second.headers["Location"]) == (302, first.headers["Location"])
    assert AccessRequest.objects.filter(reason=ASK["reason"]).count() == 1


def test_the_same_ask_for_another_reason_names_the_one_that_waits(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    where = client.post("/requests/new", ASK).headers["Location"]
    answer = client.post("/requests/new", {**ASK, "reason": "Another one."})
    assert answer.status_code == 422
    assert f'already asked for and waits for an answer. <a href="{where}">See it</a>' in answer.content.decode()


def test_one_may_ask_for_ones_agent_and_not_for_somebody_else(house: pages.House, browse: Browse) -> None:
    browse(house.shop.dan).post("/requests/new", {**ASK, "subject": house.shop.bot.key})
    assert AccessRequest.objects.latest("pk").subject == house.shop.bot
    browse(house.shop.dan).post("/requests/new", {**ASK, "subject": house.shop.ada.key})
    assert AccessRequest.objects.latest("pk").subject == house.shop.dan


# the page of a request


def test_whoever_may_decide_reads_the_consequence_on_the_button(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ben), f"/requests/{house.asked.public_id}/")
    assert "Open Payments POST /refunds to Ada for 1 hour" in " ".join(text.split())


def test_whoever_asked_cannot_decide_and_reads_why(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), f"/requests/{house.asked.public_id}/")
    assert "You asked for this, so somebody else has to decide." in text
    assert 'name="verdict"' not in text
    assert ">Withdraw<" in text


def test_the_story_says_what_is_awaited(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), f"/requests/{house.asked.public_id}/")
    assert text.index("Ada asked") < text.index("1 rule matched") < text.index("Waits for Owners of Payments")
    assert "Bea or Ben" in text


def test_an_approval_opens_and_the_story_goes_on(house: pages.House, browse: Browse) -> None:
    where = f"/requests/{house.asked.public_id}/"
    browse(house.shop.ben).post(f"{where}review", {"verdict": "approve", "comment": "Fine."})
    text = text_of(browse(house.shop.ada), where)
    for said in ("Ada may soon call Payments", "Ben approved", "Fine.", "The edge door is opening", "curl -i -X POST"):
        assert said in text
    assert text.count('data-state="opening"') == 2


def test_a_refused_approval_returns_to_the_page_with_the_reason(house: pages.House, browse: Browse) -> None:
    where, client = f"/requests/{house.asked.public_id}/", browse(house.shop.ada)
    answer = client.post(f"{where}review", {"verdict": "approve"}, headers={"Referer": f"http://testserver{where}"})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"http://testserver{where}")
    assert "so somebody else has to decide" in text_of(client, where)
    house.asked.refresh_from_db()
    assert house.asked.state == "pending"


def test_a_form_that_says_neither_yes_nor_no_decides_nothing(house: pages.House, browse: Browse) -> None:
    where, ben = f"/requests/{house.asked.public_id}/", browse(house.shop.ben)
    for given in ({}, {"verdict": "maybe"}):
        ben.post(f"{where}review", given)
        ben.post("/requests/decide", {**given, "request": house.asked.public_id, "sure": "1"})
    assert text_of(ben, "/").count("Nothing was decided: say whether you approve or deny.") == 4
    house.asked.refresh_from_db()
    assert (house.asked.state, house.asked.reviews.count()) == ("pending", 0)


def test_a_denial_is_told_with_its_words(house: pages.House, browse: Browse) -> None:
    where = f"/requests/{house.asked.public_id}/"
    browse(house.shop.ben).post(f"{where}review", {"verdict": "deny", "comment": "Use the other one."})
    text = text_of(browse(house.shop.ada), where)
    assert "Ada may not call Payments: denied" in text
    assert "Use the other one." in text


def test_whoever_asked_may_ask_again_once_it_is_over_and_nothing_but_the_reason_is_to_be_written(
    house: pages.House, browse: Browse
) -> None:
    where, ada, ben = f"/requests/{house.asked.public_id}/", browse(house.shop.ada), browse(house.shop.ben)
    assert "Ask again" not in text_of(ada, where)
    ben.post(f"{where}review", {"verdict": "deny", "comment": "Later."})
    assert "Ask again" not in text_of(ben, where)
    link = re.search(r'href="(/requests/new\?[^"]+)"[^>]*>\s*<svg.*?</svg>\s*Ask again', text_of(ada, where), re.S)
    assert link is not None
    form = ada.get(html.unescape(link[1])).content.decode()
    checked = {key: f'value="{key}" checked' in form for key in access.ROUTES}
    assert checked == {"list": False, "read": False, "refund": True, "purge": False}
    assert '<option value="3600" selected>' in form
    assert "required></textarea>" in form


def test_what_somebody_types_is_shown_and_not_run(house: pages.House, browse: Browse) -> None:
    browse(house.shop.ada).post("/requests/new", {**ASK, "reason": "<script>alert(1)</script>"})
    made = AccessRequest.objects.latest("pk")
    text = text_of(browse(house.shop.ben), f"/requests/{made.public_id}/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text


def test_done_is_one_click_and_both_doors_close(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert house.grant.request is not None
    where = f"/requests/{house.grant.request.public_id}/"
    assert "I am done" in text_of(client, where)
    client.post(f"/access/{house.grant.public_id}/end", {"next": where})
    text = text_of(client, where)
    assert "Ada handed it back" in text
    assert text.count('data-state="closing"') == 2


def test_the_last_use_is_part_of_the_story(house: pages.House, browse: Browse) -> None:
    at = datetime.now(UTC)
    pages.call(house.shop.ada, at=at, verdict="allow", reason="granted", grants=[house.grant.public_id])
    assert house.grant.request is not None
    assert "Last used" in text_of(browse(house.shop.ada), f"/requests/{house.grant.request.public_id}/")


def test_the_page_moves_exactly_when_what_it_shows_does(house: pages.House) -> None:
    """What the stream of pokes watches and what the page was made from are named alike, state by state."""

    def shown() -> str:
        found = get_visible_request(viewer=house.shop.ada, public_id=house.asked.public_id)
        assert mark_shown(found) == mark_now(found.public_id)
        return mark_shown(found)

    at = datetime.now(UTC)
    seen = [shown()]
    services.review(public_id=house.asked.public_id, actor=house.shop.ben, verdict="approve", at=at)
    seen.append(shown())
    grant = Grant.objects.latest("pk")
    services.mark_door(grant_id=grant.public_id, point="edge", state="open", detail="Written.", at=at)
    seen.append(shown())
    services.activate(grant_id=grant.public_id, at=at)
    seen.append(shown())
    services.end_grant(public_id=grant.public_id, actor=house.shop.ada, at=at)
    seen.append(shown())
    assert len(set(seen)) == len(seen)


def test_the_change_is_compiled_on_demand(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ben), f"/requests/{house.asked.public_id}/change/")
    assert "Replay of the last hour" in text
    assert "1 denied would be allowed" in text
    assert "services/payments/grants.map" in text
