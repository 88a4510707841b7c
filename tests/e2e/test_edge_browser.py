"""A person with a browser at the edge: sent to sign in, back at the door, through it, and out again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Look, assert_no_grave_fault, context_for
from tests.running import Running, wait_until

pytestmark = pytest.mark.e2e

WIDE = Look("wide", 1440, "light")
PLAIN = Look("plain", 390, "dark", javascript=False)
REASON = "To look at what was converted."


def approve(demo: Running, page: Page) -> None:
    request = page.url.rstrip("/").rpartition("/")[2]
    ben = demo.api("ben")
    assert ben.post(f"requests/{request}/review/", {"verdict": "approve"}).status_code == 200
    wait_until(lambda: (ben.get(f"requests/{request}/")["grant"] or {}).get("state") == "active", what="the grant")


def test_sign_in_be_refused_ask_be_let_in_and_sign_out(demo: Running, browser: Browser) -> None:
    """Without JavaScript, because none of it needs any."""
    context = context_for(browser, demo, None, PLAIN)
    page = context.new_page()
    wanted = demo.edge("/currency/currencies?from=a-link")

    page.goto(wanted)
    assert page.url.startswith(f"{demo.state['console']}/sign-in/")
    page.get_by_role("button", name="Be Finn", exact=True).click()
    page.wait_for_url(wanted)
    expect(page.get_by_role("heading", name="Nobody has opened this to you.")).to_be_visible()
    [session] = [one for one in context.cookies(demo.edge("/")) if one["name"].startswith("sallyport-")]
    assert (session["name"], session["httpOnly"], session["sameSite"]) == ("sallyport-session", True, "Lax")
    assert session["domain"] == "api.shop.localhost"

    page.get_by_role("link", name="Ask for access").click()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Send request").click()
    page.wait_for_url("**/requests/req_*/")
    approve(demo, page)

    page.goto(wanted)
    told = page.locator("body").inner_text()
    assert '"service": "currency"' in told
    assert '"called_by": "person:finn"' in told

    page.goto(demo.edge("/.sallyport/session"))
    expect(page.get_by_role("heading", name="Signed in as person:finn")).to_be_visible()
    page.get_by_role("button", name="Sign out here").click()
    expect(page.get_by_role("heading", name="Signed out of api.shop.localhost")).to_be_visible()
    assert [one for one in context.cookies(demo.edge("/")) if one["name"].startswith("sallyport-")] == []

    page.get_by_role("link", name="Sign in again").click()  # the console still knows Finn, so nobody is asked
    expect(page.get_by_role("heading", name="Signed in as person:finn")).to_be_visible()
    context.close()


def test_the_pages_on_the_way_are_pages(demo: Running, browser: Browser) -> None:
    """The one that leads back is seen for a moment only, after the form that signs in; so its way on is closed here."""
    context = context_for(browser, demo, "ada", WIDE)
    page = context.new_page()
    page.goto(demo.edge("/.sallyport/sign-in"))
    expect(page.get_by_role("heading", name="Signed in as person:ada")).to_be_visible()
    assert_no_grave_fault(page)
    page.goto(demo.edge("/payments/charges/1"))
    expect(page.get_by_role("heading", name="Nobody has opened this to you.")).to_be_visible()
    assert_no_grave_fault(page)
    page.goto(demo.edge("/.sallyport/sign-out"))
    page.get_by_role("button", name="Sign out here").click()
    expect(page.get_by_role("heading", name="Signed out of api.shop.localhost")).to_be_visible()
    assert_no_grave_fault(page)
    page.route("**/.sallyport/callback?*", lambda route: route.fulfill(status=204))
    page.goto("/")
    asked = f"/edge/sign-in?host=api.shop.localhost&challenge={'A' * 43}&state="
    page.evaluate("address => { window.location = address }", asked)
    expect(page.get_by_role("heading", name="To api.shop.localhost")).to_be_visible()
    assert_no_grave_fault(page)
    context.close()
