"""Every page, as people meet it: accessible, in both schemes and widths, with and without JavaScript."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.e2e.browsing import LOOKS, PAGES, Look, assert_no_grave_fault, context_for, settle, sign_in, visit
from tests.e2e.furnishing import furnished
from tests.e2e.several import ask_for_several, take_rule_base
from tests.running import Api, Running, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def names(demo: Running) -> Iterator[dict[str, str]]:
    """Something to look at: a request that waits, a grant that was used, and what identity's pages show."""
    ada, ben = demo.api("ada"), demo.api("ben")
    waiting = ask(ada, "payments", "getCharge")
    opened = ask(ada, "currency", "listCurrencies")
    ben.post(f"requests/{opened}/review/", {"verdict": "approve"})
    wait_until(lambda: (ada.get(f"requests/{opened}/")["grant"] or {}).get("state") == "active", what="proof")
    call = demo.call("ada", "GET", demo.edge("/currency/currencies"))
    assert call.status_code == 200, call.text
    rid = call.headers["X-Request-Id"]
    wait_until(lambda: ada.get("calls/", rid=rid)["results"], what="the call in the record")
    with furnished(demo) as made:
        asked = {"firewall": ask_for_several(demo), **take_rule_base(demo)}
        yield {"request": waiting, "rid": rid, "revision": "1", **asked, **made}


def ask(api: Api, service: str, route: str) -> str:
    body = {"service": service, "routes": [route], "duration": 3600, "reason": "Looking at one thing."}
    answer = api.post("requests/", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


Tab = Callable[[str | None, Look], Page]


@pytest.fixture(scope="module")
def tab(demo: Running, browser: Browser) -> Iterator[Tab]:
    """A tab for each person and look, signed in once: a fresh one for each page costs the browser a process."""
    made: dict[tuple[str | None, Look], Page] = {}

    def find(who: str | None, look: Look) -> Page:
        if (who, look) not in made:
            made[who, look] = context_for(browser, demo, who, look).new_page()
        return made[who, look]

    yield find
    for page in made.values():
        page.context.close()


@pytest.mark.parametrize("page_name", PAGES)
def test_axe_finds_nothing_grave(tab: Tab, names: dict[str, str], page_name: str) -> None:
    """Wide and light, or narrow and dark, in turn; ``SALLYPORT_LOOKS=both`` is thorough."""
    who, _ = PAGES[page_name]
    for look in looks_of(page_name):
        page = tab(who, look)
        errors: list[str] = []

        def hear(message: ConsoleMessage, errors: list[str] = errors) -> None:
            if message.type == "error":
                errors.append(message.text)

        page.on("console", hear)
        visit(page, page_name, names)
        assert who is None or "/sign-in" not in page.url, f"{page_name}: the session is over"
        assert_no_grave_fault(page)
        assert errors == [], errors
        page.remove_listener("console", hear)


def looks_of(page_name: str) -> list[Look]:
    both = [LOOKS[0], LOOKS[3]]
    return both if os.environ.get("SALLYPORT_LOOKS") == "both" else [both[list(PAGES).index(page_name) % 2]]


@pytest.mark.parametrize("where", ["edge", "console"])
def test_a_refusal_is_a_page_too(demo: Running, browser: Browser, where: str) -> None:
    address = demo.edge("/payments/refunds") if where == "edge" else "/requests/req_0000000000000000/"
    for look in (LOOKS[0], LOOKS[3]):
        context = context_for(browser, demo, "ada", look)
        page = context.new_page()
        answer = page.goto(address)
        assert answer is not None and answer.status == 404
        settle(page)
        assert_no_grave_fault(page)
        context.close()


def test_every_page_works_without_javascript(tab: Tab, names: dict[str, str]) -> None:
    plain = Look("plain", 1440, "light", javascript=False)
    for name, (who, _) in PAGES.items():
        page = tab(who, plain)
        visit(page, name, names, still=True)
        expect(page.locator("h1"), name).to_have_count(1)


def test_a_request_can_be_made_and_withdrawn_without_javascript(demo: Running, browser: Browser) -> None:
    context = context_for(browser, demo, "ada", Look("plain", 1440, "light", javascript=False))
    page = context.new_page()
    page.goto("/requests/new?service=currency&method=POST&path=/conversions")
    page.get_by_label("Reason").fill("Checking prices by hand.")
    page.get_by_role("button", name="Send request").click()
    assert "/requests/req_" in page.url
    page.get_by_role("link", name="Refresh").click()
    page.get_by_role("button", name="Withdraw").click()
    wait_until(lambda: "ithdrawn" in page.content() or "ancelled" in page.content(), what="the withdrawal")
    context.close()


def test_times_are_in_the_readers_zone_before_a_part_is_seen(demo: Running, browser: Browser) -> None:
    context = browser.new_context(base_url=demo.state["console"], timezone_id="America/New_York")
    sign_in(context, demo, "ada")
    page = context.new_page()
    page.goto("/live/")
    settle(page)
    page.evaluate(
        """() => {
            window.seen = [];
            const look = () => seen.push(document.querySelector("#calls time").textContent);
            document.addEventListener("htmx:afterSwap", look);
        }"""
    )
    demo.call("ada", "POST", demo.edge("/payments/refunds"), "{}")
    page.wait_for_function("() => seen.length > 0")
    assert [text for text in page.evaluate("seen") if "UTC" in text] == []
    context.close()
