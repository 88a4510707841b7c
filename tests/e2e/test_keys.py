"""The keyboard alone: keys move, find and ask; none of them opens a door by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browsing import LOOKS, context_for, settle
from tests.running import Running

pytestmark = pytest.mark.e2e
ROWS = "[data-row], .list tbody tr"


@pytest.fixture(scope="module")
def waiting(demo: Running) -> str:
    """What no other test asks for: the demo is shared, and the same is not asked for twice."""
    body = {"service": "payments", "routes": ["getRefund"], "duration": 3600, "reason": "Looking at one refund."}
    answer = demo.api("ada").post("requests/", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_key_decides_nothing_before_it_was_said_again(demo: Running, browser: Browser, waiting: str) -> None:
    context = context_for(browser, demo, "ben", LOOKS[0])
    page = context.new_page()
    page.goto(f"/requests/{waiting}/")
    settle(page)
    page.keyboard.press("a")
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Open Payments GET /refunds/{id} to Ada Okafor for 1 hour?")
    page.keyboard.press("Escape")
    expect(asked).to_be_hidden()
    assert demo.api("ada").get(f"requests/{waiting}/")["reviews"] == []
    page.goto("/requests/")
    settle(page)
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", level=1)).to_have_text("Approve 1 request?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", level=1)).to_contain_text("wait")
    page.goto(f"/requests/{waiting}/")
    settle(page)
    page.keyboard.press("d")
    asked.get_by_role("button", name="Yes").click()
    page.wait_for_function("() => document.title && /denied/i.test(document.body.textContent)")
    assert demo.api("ada").get(f"requests/{waiting}/")["state"] == "denied"
    context.close()


def test_keys_find_move_and_explain_themselves(demo: Running, browser: Browser) -> None:
    context = context_for(browser, demo, "ada", LOOKS[0])
    page = context.new_page()
    page.goto("/catalogue/")
    settle(page)
    page.keyboard.press("/")
    expect(page.get_by_label("Find a service or a path")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_role("heading", level=1).click()
    first, second = (page.locator(ROWS).nth(number).get_by_role("link").first for number in (0, 1))
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(second).to_be_focused()
    page.keyboard.press("k")
    expect(first).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next, previous")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(first).to_be_focused()
    where = first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{where}")
    context.close()


def test_the_first_stop_leads_past_the_navigation(demo: Running, browser: Browser) -> None:
    context = context_for(browser, demo, "ada", LOOKS[0])
    page = context.new_page()
    page.goto("/catalogue/")
    settle(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Who may call what")).to_be_focused()
    context.close()
