"""The picture of who calls whom, clicked; and what may not widen a narrow page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browsing import LOOKS, assert_no_grave_fault, context_for, settle
from tests.running import Running

pytestmark = pytest.mark.e2e


def test_a_click_draws_what_is_around_and_the_table_follows(demo: Running, browser: Browser) -> None:
    context = context_for(browser, demo, "ben", LOOKS[0])
    page = context.new_page()
    page.goto("/network/")
    page.evaluate("window.kept = true")
    page.locator("#drawn").fill("checkout")
    expect(page).to_have_url(re.compile(r"\?q=checkout$"))
    page.locator('.net a[href="?service=checkout"]').click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Checkout: ")
    expect(page).to_have_url(re.compile(r"/network/\?service=checkout$"))
    expect(page.locator("#drawn")).to_have_value("")
    page.get_by_role("table").get_by_role("link", name="Payments", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Payments: ")
    assert page.evaluate("window.kept"), "only the picture was fetched"
    settle(page)
    assert_no_grave_fault(page)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Checkout: ")
    context.close()


def test_words_that_are_only_heard_do_not_widen_a_page_beside_which_a_table_scrolls(
    demo: Running, browser: Browser
) -> None:
    context = context_for(browser, demo, "ada", LOOKS[2])
    page = context.new_page()
    page.goto("/map/")
    page.locator(".matrix table").evaluate("table => { table.style.minWidth = '120rem' }")
    assert page.locator(".matrix .vh").count()
    assert_no_grave_fault(page)
    context.close()
