"""Lists that are drawn again while somebody types: leaving the field draws nothing, so a click that left it counts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import LOOKS, context_for, settle
from tests.running import Running

pytestmark = pytest.mark.e2e
COUNT = """() => {
  const form = document.querySelector("form[role=search]");
  window.asked = 0;
  form.addEventListener("htmx:beforeRequest", (event) => { if (event.target === form) window.asked += 1; });
}"""
CALM = 900
"""Longer than typing is waited for, in milliseconds."""


def typed(page: Page, path: str, words: str) -> int:
    """Types into the search field, and counts what the form asks for from then on."""
    page.goto(path)
    settle(page)
    page.evaluate(COUNT)
    page.get_by_role("searchbox").press_sequentially(words)
    page.wait_for_function("() => window.asked > 0")
    page.wait_for_timeout(CALM)
    return asked(page)


def asked(page: Page) -> int:
    return int(page.evaluate("() => window.asked"))


@pytest.mark.parametrize(("who", "path"), [("ada", "/catalogue/"), ("ada", "/live/"), ("olga", "/settings/aws/")])
def test_leaving_the_field_asks_for_nothing_and_each_choice_asks_once(
    demo: Running, browser: Browser, who: str, path: str
) -> None:
    context = context_for(browser, demo, who, LOOKS[0])
    page = context.new_page()
    before = typed(page, path, "pay")
    page.get_by_role("searchbox").blur()
    page.wait_for_timeout(CALM)
    assert asked(page) == before
    choices = page.locator("form[role=search]").locator("select, [type=checkbox]")
    for number in range(choices.count()):
        one = choices.nth(number)
        one.check() if one.get_attribute("type") else one.select_option(index=1)
        page.wait_for_function(f"() => window.asked === {before + number + 1}")
    assert choices.count() > 0
    context.close()


def test_a_click_on_what_was_found_is_kept_however_slowly_it_is_pressed(demo: Running, browser: Browser) -> None:
    context = context_for(browser, demo, "ada", LOOKS[0])
    page = context.new_page()
    typed(page, "/catalogue/", "payments")
    found = page.locator("#rows tbody").get_by_role("link", name="Payments", exact=True).first
    expect(found).to_be_visible()
    box = found.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(CALM)
    page.mouse.up()
    page.wait_for_url("**/catalogue/payments/")
    context.close()
