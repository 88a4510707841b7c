"""The pages of an edge with something on them, in a real browser: what differs, what was taken back, gaps, entries.

One console of our own with rows from the factories: nothing moves, so it is quick.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.rollout.models import Drift
from tests.e2e.browsing import LOOKS, Look, assert_no_grave_fault
from tests.factories import busy_edge, pages

EDGE = "/rollout/edge/"
SHOWN = {
    EDGE: "Calls may pass unchecked: 1 thing leaves a door open.",
    f"{EDGE}drift/": "A property belongs to more people than us",
    f"{EDGE}releases/": "1 of 12 calls was not answered|sp-good was put back by Sallyport.",
    f"{EDGE}log/": "lacks 2 calls that the mesh saw",
    f"{EDGE}lists/": "The host is guarded no longer",
    f"{EDGE}property/": "Sallyport access",
    "/settings/hosts/": "partners.shop.test",
}


@pytest.fixture(scope="session")
def beside_playwright() -> None:
    """Playwright's loop runs in this thread, where Django would not ask the database otherwise, to the very end."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


@pytest.fixture
def console(beside_playwright: None, live_server: LiveServer) -> str:
    return str(live_server.url)


def looked_at(browser: Browser, console: str, cookie: str, look: Look) -> BrowserContext:
    context = browser.new_context(
        viewport={"width": look.width, "height": 900},
        color_scheme="dark" if look.scheme == "dark" else "light",
        base_url=console,
        reduced_motion="reduce",
    )
    context.set_default_timeout(60_000)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": console}])
    # Nothing moves here; a stream of events would keep a thread of this small server.
    context.route("**/events*", lambda route: route.abort())
    return context


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_a_busy_edge_is_readable_in_every_look_and_put_right_by_hand(console: str, browser: Browser) -> None:
    expect.set_options(timeout=30_000)
    house = pages.house()
    busy_edge.fill(datetime.now(UTC))
    cookie = pages.signed_in(house.olga).cookies[settings.SESSION_COOKIE_NAME].value
    for look in (LOOKS[0], LOOKS[3]):
        context = looked_at(browser, console, cookie, look)
        page = context.new_page()
        for address, words in SHOWN.items():
            page.goto(address)
            for one in page.locator("details").all():
                one.evaluate("one => { one.open = true; }")
            expect(page.locator("main")).to_contain_text(words.partition("|")[2] or words)
            assert_no_grave_fault(page)
            picture(page, f"busy{address.replace('/', '-')}{look.name}")
        context.close()
    put_right(looked_at(browser, console, cookie, LOOKS[0]).new_page())


def put_right(page: Page) -> None:
    """Both ways out of a difference."""
    page.goto(f"{EDGE}drift/")
    row = page.locator("li[data-row]")
    expect(row).to_have_count(3)
    row.filter(has_text=busy_edge.PLACE).get_by_role("button", name="Adopt").click()
    page.get_by_role("dialog").get_by_role("button", name="Adopt").click()
    expect(page.get_by_text("It is taken over and counts as right from now on.")).to_be_visible()
    assert Drift.objects.get(path=busy_edge.PLACE).adopted
    expect(row).to_have_count(2)
    assert row.filter(has_text=busy_edge.ITEM).get_by_role("button", name="Adopt").count() == 0
    row.filter(has_text=busy_edge.ITEM).get_by_role("button", name="Put back").click()
    expect(page.get_by_text("It is being put back.")).to_be_visible()
    assert Drift.objects.get(path=busy_edge.ITEM).resolution == "Put back by Olga."


def picture(page: Page, name: str) -> None:
    """Kept where SALLYPORT_PICTURES says."""
    if folder := os.environ.get("SALLYPORT_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
