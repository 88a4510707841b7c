"""Firewall work in a real browser: a pasted ticket until it is open, zones, old lines asked for, upkeep, giving up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import LOOKS, Look, assert_no_grave_fault, context_for
from tests.e2e.several import take_rule_base
from tests.running import Running, wait_until

pytestmark = pytest.mark.e2e

As = Callable[[str], Page]
PLAIN = Look("plain", 1440, "light", javascript=False)
TICKET = """Hello,
please open tcp 443 from Gus to products because GET /search is refused
Thanks"""


@pytest.fixture(scope="module")
def as_(demo: Running, browser: Browser) -> Iterator[As]:
    """A tab for each person."""
    made: dict[str, Page] = {}

    def find(who: str) -> Page:
        if who not in made:
            made[who] = context_for(browser, demo, who, LOOKS[len(made) % 2 * 3]).new_page()
        return made[who]

    yield find
    for page in made.values():
        page.context.close()


def test_a_pasted_ticket_is_understood_sent_approved_and_proven(demo: Running, as_: As) -> None:
    page = as_("gus")
    page.goto("/firewall/")
    page.get_by_role("link", name="Ask for several at once").first.click()
    page.get_by_label("Or paste").fill(TICKET)
    page.get_by_label("Title").fill("Search for the desk")
    page.get_by_label("Reason").fill("Customers ask what there is.")
    assert_no_grave_fault(page)
    page.get_by_role("button", name="See how it is understood").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Search for the desk")
    assert_no_grave_fault(page)
    page.get_by_role("button", name="confirm all that are clear").click()
    page.get_by_role("button", name="Take the narrowest way for each").click()
    page.get_by_role("button", name="Send what is ready").click()
    expect(page.get_by_text("Sent as 1 request").first).to_be_visible()
    page.get_by_role("link", name="Request", exact=True).click()
    request = page.url.rstrip("/").rpartition("/")[2]
    page.go_back()
    eva = demo.api("eva")
    assert eva.post(f"requests/{request}/review/", {"verdict": "approve"}).status_code == 200
    expect(page.locator("li .state")).to_have_text("Open and proven", timeout=20_000)  # the page moved by itself
    assert demo.call("gus", "GET", demo.edge("/products/search?q=mug")).status_code == 200
    grant = eva.get(f"requests/{request}/")["grant"]["id"]
    assert demo.api("gus").post(f"grants/{grant}/end/").status_code == 200
    expect(page.locator("li .state")).to_have_text("Ended", timeout=40_000)  # and what was proven moves when it ends


def test_a_spreadsheet_with_a_bad_row_and_a_last_day_of_another_year(as_: As) -> None:
    """The bad row is left out at once; what is sent is told first, with the year of its end."""
    page = as_("gus")
    page.goto("/firewall/new")
    page.get_by_label("Or paste").fill("Quelle;Ziel;Port;Gültig bis\nme;products;443;31.12.2031\nme;paymnts;99999;\n")
    page.get_by_label("Title").fill("A sheet")
    page.get_by_label("Reason").fill("Customers ask what there is.")
    page.get_by_role("button", name="See how it is understood").click()
    expect(page.get_by_text("they go up to 65535")).to_be_visible()
    page.get_by_role("button", name="confirm all that are clear").click()
    page.get_by_role("button", name="Take the narrowest way for each").click()
    expect(page.get_by_role("button", name="Send what is ready")).to_have_count(0)
    page.get_by_role("button", name="Leave out 1 line").click()
    expect(page.get_by_role("button", name="Send what is ready")).to_be_visible()
    assert_no_grave_fault(page)
    page.get_by_role("link", name="Line 1").click()
    expect(page.locator("dd time")).to_contain_text("2032")
    assert_no_grave_fault(page)


def test_a_path_without_a_method_asks_which_is_meant(as_: As) -> None:
    """Copied out of a workbook with a title above the names of the columns, as nobody would type it."""
    page = as_("gus")
    page.goto("/firewall/new")
    sheet = "Q4, for the desk\t\t\r\n#\tSource\tDestination\tPort\r\n"
    page.get_by_label("Or paste").fill(f"{sheet}1\tme\thttp://api.shop.localhost/payments/charges\t443 (HTTPS)\r\n")
    page.get_by_label("Title").fill("Charges")
    page.get_by_label("Reason").fill("The desk looks at charges.")
    page.get_by_role("button", name="See how it is understood").click()
    expect(page.get_by_text("It names no method and is read as GET, not POST.")).to_be_visible()
    expect(page.locator("[data-row] code")).to_have_text("listCharges")
    assert_no_grave_fault(page)
    page.get_by_role("link", name="Line 1").click()
    expect(page.get_by_text("Ask for GET /charges, and nothing else.")).to_be_visible()
    page.get_by_role("button", name="It is POST").click()
    expect(page.get_by_text("Ask for POST /charges, and nothing else.")).to_be_visible()
    expect(page.get_by_text("Confirmed by Gus Tanaka")).to_be_visible()
    assert_no_grave_fault(page)


def test_lines_of_an_old_rule_base_are_ticked_and_asked_for(demo: Running, as_: As) -> None:
    """From both pages that offer it."""
    page, base = as_("ada"), take_rule_base(demo)["base"]
    for path, line in (("", 3), ("lines/", 2)):
        page.goto(f"/firewall/rulebases/{base}/{path}")
        page.get_by_role("checkbox", name=f"Choose line {line}", exact=True).first.check()
        page.get_by_role("button", name="Ask for the ticked as access").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 line to ask for as access")
        assert_no_grave_fault(page)
    page.get_by_role("button", name="Write a firewall request of them").click()
    expect(page.get_by_label("Or paste")).to_have_value(re.compile("10.1.0.0/16.*payments"))
    assert_no_grave_fault(page)


def test_zones_are_made_and_judge_a_line(demo: Running, as_: As) -> None:
    page = as_("cyd")
    for slug, field, value in (("desks", "Networks", "203.0.113.0/24"), ("mail", "Services", "email")):
        page.goto("/firewall/zones/")
        page.get_by_role("link", name="Make a zone").click()
        page.get_by_label("Short name").fill(slug)
        page.get_by_label("Name", exact=True).fill(slug.title())
        page.get_by_label(field).fill(value)
        assert_no_grave_fault(page)
        page.get_by_role("button", name="Make it").click()
    page.goto("/firewall/zones/")
    page.get_by_role("link", name="Desks to Mail:").click()
    page.get_by_label("May it be opened?").select_option(label="Forbidden")
    page.get_by_label("Why", exact=True).fill("Mail is written by the shop alone.")
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("link", name="Desks to Mail: Forbidden").click()
    expect(page.get_by_text("Desks to Mail: forbidden. Mail is written by the shop alone.")).to_be_visible()
    assert_no_grave_fault(page)


def test_one_service_gets_what_another_has(as_: As) -> None:
    page = as_("ada")
    page.goto("/catalogue/products/")
    page.get_by_role("link", name="Copy").first.click()
    page.get_by_label("To", exact=True).fill("ads")
    page.get_by_label("Reason").fill("Advertisements are shown beside products.")
    assert_no_grave_fault(page)
    page.get_by_role("button", name="Write the request").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("ads like products")
    assert_no_grave_fault(page)


def test_the_map_is_narrowed_while_one_types(as_: As) -> None:
    page = as_("ada")
    page.goto("/map/")
    page.get_by_label("Find a service or a path").fill("refunds")
    expect(page.locator("#map tbody tr")).to_have_count(1)
    page.locator("#map tbody").get_by_role("link", name="Payments").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Payments")
    assert_no_grave_fault(page)


def test_a_service_is_given_up_by_one_and_ended_by_another_without_a_script(demo: Running, browser: Browser) -> None:
    """Of Eva, who owns it, and of Cyd."""
    for who in ("eva", "cyd"):
        context = context_for(browser, demo, who, PLAIN)
        page = context.new_page()
        page.goto("/firewall/decommission/ads/")
        if who == "eva":
            page.get_by_label("Reason").fill("Partners have gone.")
            page.get_by_role("button", name="Propose it").click()
            expect(page.get_by_text("Waits for security or an administrator.")).to_be_visible()
        else:
            page.get_by_role("button", name=re.compile("^End all .* and retire Ads")).click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Ads is given up")
        context.close()
    grants = demo.api("cyd")
    wait_until(lambda: not grants.get("grants/", service="ads", state="active")["results"], what="its end")
