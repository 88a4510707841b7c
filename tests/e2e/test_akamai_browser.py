"""Connecting Akamai in a real browser, against the demo's local edge: what it lets us do, and a property made live."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import LOOKS, context_for
from tests.e2e.test_pages import assert_no_grave_fault
from tests.running import Running

pytestmark = pytest.mark.e2e

WORKED = 30_000


def seen(page: Page, name: str) -> None:
    """Free of grave faults; kept as a picture where SALLYPORT_PICTURES says."""
    assert_no_grave_fault(page)
    if folder := os.environ.get("SALLYPORT_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_worker_asks_akamai_while_the_page_watches(demo: Running, browser: Browser) -> None:
    page = context_for(browser, demo, "olga", LOOKS[0]).new_page()
    page.goto("/rollout/edge/preflight/")
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Akamai grants everything we need", timeout=WORKED)
    expect(page.get_by_text("sallyport-1 is there. It does not run out.")).to_be_visible()
    seen(page, "preflight-wide")
    for look in (LOOKS[1], LOOKS[3]):
        other = context_for(browser, demo, "olga", look).new_page()
        for name, path in (("preflight", "preflight/"), ("connect", "connect"), ("property", "property/")):
            other.goto(f"/rollout/edge/{path}")
            seen(other, f"{name}-{look.name}")


def test_a_property_is_compared_agreed_to_and_followed_until_it_is_live(demo: Running, browser: Browser) -> None:
    page = context_for(browser, demo, "olga", LOOKS[0]).new_page()
    title = page.get_by_role("heading", level=1)
    page.goto("/rollout/edge/property/")
    page.get_by_label("Host name").fill("api.shop.localhost")
    page.get_by_label("Whom Akamai tells").fill("ops@shop.test")
    page.get_by_role("button", name="Compare").click()
    expect(title).to_have_text("api.shop.localhost: look at what would change", timeout=WORKED)
    seen(page, "property-planned")
    page.get_by_role("button", name="Make a new version").click()
    expect(title).to_have_text("api.shop.localhost: Akamai warns", timeout=WORKED)
    page.get_by_role("checkbox").first.check()
    seen(page, "property-warned")
    page.get_by_role("button", name="Accept and go live").click()
    expect(title).to_have_text("api.shop.localhost is as it should be", timeout=2 * WORKED)
    page.reload()
    seen(page, "property-done")
