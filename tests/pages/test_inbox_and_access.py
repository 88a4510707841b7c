"""The inbox, home and what one holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from django.test import Client

from apps.identity.models import Subject
from tests.factories import firewall, pages, rule_bases
from tests.reading import text_of

Browse = Callable[[Subject], Client]


def test_the_inbox_holds_what_waits_for_me(house: pages.House, browse: Browse) -> None:
    assert "1 request waits for you" in " ".join(text_of(browse(house.shop.ben), "/requests/").split())
    assert "Nothing waits for you" in text_of(browse(house.shop.cyd), "/requests/")


def test_the_count_is_fetched_for_both_navigations(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ben), "/requests/waiting")
    assert len(re.findall(r">\s*1\s*</span>", text)) == 2


def test_deciding_many_takes_a_confirming_step(house: pages.House, browse: Browse) -> None:
    client, data = browse(house.shop.ben), {"request": house.asked.public_id, "verdict": "approve"}
    step = client.post("/requests/decide", data).content.decode()
    house.asked.refresh_from_db()
    assert ("Yes, open it" in step, house.asked.state) == (True, "pending")
    client.post("/requests/decide", {**data, "sure": "1"})
    house.asked.refresh_from_db()
    assert house.asked.state == "approved"


def test_deciding_many_says_of_each_why_not(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    client.post("/requests/decide", {"request": house.asked.public_id, "verdict": "approve", "sure": "1"})
    assert f"{house.asked.public_id}: You asked for this" in text_of(client, "/requests/")


def test_deciding_nothing_asks_for_a_tick(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ben)
    client.post("/requests/decide", {"verdict": "approve"})
    assert "Tick the requests you mean first." in text_of(client, "/requests/")


def test_lists_are_filtered_by_the_address(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert house.asked.public_id in text_of(client, "/requests/", show="mine", state="pending")
    assert house.asked.public_id not in text_of(client, "/requests/", show="mine", state="denied")


def test_home_begins_with_what_waits(house: pages.House, browse: Browse) -> None:
    assert "1 request waits for you" in " ".join(text_of(browse(house.shop.ben), "/").split())
    assert "1 of your openings ends soon" in " ".join(text_of(browse(house.shop.ada), "/").split())


def test_home_leads_to_what_was_proposed(house: pages.House, browse: Browse) -> None:
    firewall.proposed(house.shop.ben, house.shop.service, datetime.now(UTC))
    rule_bases.quiet_cleaning(house.shop.ada, datetime.now(UTC))
    shown = " ".join(text_of(browse(house.shop.cyd), "/").split())
    assert "proposals wait for your answer" in shown
    assert '<a href="/firewall/decommission/payments/"><b>Give Payments up</b></a>' in shown
    assert '<a href="/firewall/rulebases/cleanings/rc_quiet0/"><b>Take lines out of Old firewall</b></a>' in shown


def test_home_shows_what_was_refused_with_a_way_to_ask(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), "/")
    assert "Nobody has opened this to you." in text
    assert f"/live/{house.rid}/ask" in text


def test_my_access_has_the_command_and_the_end(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), "/access/")
    assert "curl -i http" in text
    assert "/payments/payments/id" in text
    assert f"/access/{house.grant.public_id}/end" in text


def test_a_token_is_shown_once_and_kept_nowhere(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    answer = client.post("/access/")
    assert answer.content.decode().count("Authorization: Bearer eyJ") == 1
    assert "no-store" in answer.headers["Cache-Control"]
    assert "eyJ" not in text_of(client, "/access/")
