"""The five-minute story in a real browser: at most twelve clicks and three hundred seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.browsing import Look, context_for
from tests.running import Running, wait_until

pytestmark = pytest.mark.e2e

WIDE = Look("wide", 1440, "light")


@dataclass
class Clicks:
    count: int = 0

    def __call__(self, target: Locator) -> None:
        target.click()
        self.count += 1


def _arrive(browser: Browser, demo: Running, click: Clicks, name: str, path: str) -> tuple[BrowserContext, Page]:
    """Opens an address as nobody, and signs in with the one click the demo offers."""
    context = context_for(browser, demo, None, WIDE)
    page = context.new_page()
    page.goto(path)
    click(page.get_by_role("button", name=f"Be {name}", exact=True))
    return context, page


def _approve(browser: Browser, demo: Running, click: Clicks, name: str) -> Page:
    _, page = _arrive(browser, demo, click, name, "/")
    waiting = page.get_by_role("listitem").filter(has_text="/refunds")
    click(waiting.get_by_role("link", name="Look at it").first)
    assert "Refunds move real money" in page.content()
    click(page.get_by_role("button", name="Open Payments POST /refunds to Ada Okafor for 1 hour"))
    expect(page.get_by_text("Your decision")).to_have_count(0)
    return page


def test_denied_asked_approved_proven_used_handed_back_and_checked(demo: Running, browser: Browser) -> None:
    began, click = time.monotonic(), Clicks()
    url = demo.edge("/payments/refunds")

    denied = demo.call("ada", "POST", url, "{}")
    assert (denied.status_code, denied.json()["reason"]) == (403, "no_grant")
    ask_here = denied.json()["request_url"].removeprefix(demo.state["console"])

    ada, page = _arrive(browser, demo, click, "Ada", ask_here)
    expect(page.get_by_role("checkbox", name="/refunds").first).to_be_checked()
    expect(page.get_by_text("Ben Achterberg").first).to_be_visible()
    page.get_by_label("Reason").fill("A customer paid twice.")
    page.get_by_label("For how long").select_option(label="1 hour")
    live = ada.new_page()
    live.goto("/live/")
    expect(live.get_by_text("Nobody has opened this to you.").first).to_be_visible()
    click(page.get_by_role("button", name="Send request"))
    page.wait_for_url("**/requests/req_*/")

    _approve(browser, demo, click, "Ben")
    security = _approve(browser, demo, click, "Cyd")

    done = page.get_by_role("button", name="I am done")
    expect(done).to_be_visible(timeout=20_000)  # the page moved by itself
    expect(page.get_by_text("Open and proven").first).to_be_attached(timeout=20_000)
    charge = demo.call("ada", "POST", demo.edge("/payments/refunds"), '{"charge": "x"}')
    assert charge.status_code not in {401, 403, 503}, charge.text
    rid = charge.headers["X-Request-Id"]
    expect(live.locator(f'a[href*="{rid}"]').first).to_be_visible(timeout=5_000)

    click(done)
    wait_until(lambda: demo.call("ada", "POST", url, "{}").status_code == 403, seconds=10, what="both doors closed")
    expect(page.get_by_text("Closed").first).to_be_attached(timeout=20_000)
    ada.close()

    page = security
    page.goto("/audit/")
    click(page.get_by_role("button", name="Verify the chain"))
    expect(page.get_by_text("rows hold").first).to_be_visible()
    click(page.get_by_role("button", name="Tamper with a row"))
    click(page.get_by_role("button", name="Verify the chain"))
    expect(page.get_by_text("is not what was written").first).to_be_visible()
    page.get_by_role("button", name="Mend").click()  # the other tests want a whole chain again

    assert click.count <= 12, click.count
    assert time.monotonic() - began < 300
