"""The pages of firewall requests: written without a script, looked at line by line, sent, and followed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.access.models import AccessRequest, Grant
from apps.catalog.models import Service
from apps.firewall import services
from apps.firewall.models import FirewallLine, FirewallRequest, Zone
from apps.firewall.standing import Stand, overall
from apps.identity.models import Subject
from tests.factories import access as factory
from tests.factories import firewall, pages
from tests.factories.firewall import written
from tests.pages.test_addresses import text

pytestmark = pytest.mark.django_db
Browse = Callable[[Subject], Client]
HEAD = {"title": "Refund desk", "head_reason": "Customers wait.", "duration": "3600"}
COLUMNS = ("source", "destination", "method", "path", "ports", "protocol", "reason", "direction", "until")


def rows(*given: tuple[str, ...], **more: str) -> dict[str, object]:
    """What the form posts: every column once a row."""
    full = [(*row, *[""] * (len(COLUMNS) - len(row))) for row in given]
    return {**HEAD, **{name: [row[n] for row in full] for n, name in enumerate(COLUMNS)}, **more}


def test_rows_are_added_and_nothing_typed_is_lost(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert client.get("/firewall/new").content.count(b'name="source"') == 3
    shown = text(client.post("/firewall/new", rows(("ada", "payments"), add="1")))
    assert shown.count('name="source"') == 6
    for typed in ('value="ada"', 'value="payments"', 'value="Refund desk"', "Customers wait."):
        assert typed in shown
    assert not FirewallRequest.objects.exists()


def test_wrong_rows_are_told_all_at_once(house: pages.House, browse: Browse) -> None:
    given = rows(("ada", "payments", "", "", "https"), ("", "payments"), ("ada", "payments"), title="")
    answer = browse(house.shop.ada).post("/firewall/new", given)
    shown = text(answer)
    assert answer.status_code == 422
    for words in ("is no port and no range", "Write both who calls and what is called.", "each says why"):
        assert words.replace("'", "&#x27;") in shown, words
    assert not FirewallRequest.objects.exists()


def test_what_was_pasted_and_not_understood_stays_in_sight(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    answer = client.post("/firewall/new", {**rows(), "pasted": "me;payments;443"})
    assert (answer.status_code, "a first row that names its columns" in text(answer)) == (422, True)
    assert "me;payments;443" in text(answer)
    pasted = "Hello,\nopen tcp 443 from ada to payments until 32 Dec\n"
    shown = text(client.post("/firewall/new", {**rows(), "pasted": pasted}, follow=True))
    assert shown.count("is no day of the calendar") == 1
    assert "asks for no access; left aside." in shown
    assert "sentences, as in a ticket" in shown
    here = FirewallRequest.objects.get().public_id
    for act in ("send", "leave"):
        shown = text(client.post(f"/firewall/{here}/act", {"act": act}, follow=True))
        assert "is no day of the calendar" in shown
        assert "Anybody is nobody" not in shown, "it names nobody because it could not be read"
    client.post(f"/firewall/{here}/lines/1/", {"act": "restore"})
    assert "Line 1 cannot be read" in text(client.get(f"/firewall/{here}/lines/1/"))
    client.post(f"/firewall/{here}/lines/1/", {"act": "edit", "source": "ada", "destination": "payments"})
    assert "is no day of the calendar" not in text(client.get(f"/firewall/{here}/lines/1/"))


def test_a_row_has_a_direction_and_a_last_day_and_a_line_keeps_them_when_it_is_changed(
    house: pages.House, browse: Browse
) -> None:
    client = browse(house.shop.ada)
    given = rows(
        ("ada", "payments", "GET", "/payments", "", "", "", "in", "2026-12-31"), ("", "", "", "", "", "", "", "out")
    )
    asked = client.post("/firewall/new", given).headers["Location"]
    line = FirewallLine.objects.get()
    assert (line.direction, line.until) == ("in", datetime(2027, 1, 1, tzinfo=UTC))
    assert "inbound" in text(client.get(asked))
    shown = text(client.get(f"{asked}lines/1/"))
    assert '<option value="in" selected>Inbound</option>' in shown
    assert 'name="until" value="2026-12-31"' in shown
    changed = {"act": "edit", "source": "ada", "destination": "payments", "direction": "out", "until": "2026-12-31"}
    assert client.post(f"{asked}lines/1/", changed).status_code == 302
    line.refresh_from_db()
    assert (line.direction, line.until) == ("out", datetime(2027, 1, 1, tzinfo=UTC))
    answer = client.post(f"{asked}lines/1/", {**changed, "direction": "sideways", "until": "soon"})
    assert (answer.status_code, "is no direction" in text(answer)) == (422, True)


@pytest.mark.parametrize("day", ["soon", "2026-02-30", "9999-12-31"])
def test_a_day_that_is_none_is_told_at_its_field(house: pages.House, browse: Browse, day: str) -> None:
    answer = browse(house.shop.ada).post("/firewall/new", rows(("ada", "payments"), ends_on=day))
    assert answer.status_code == 422
    assert "Write the day as 2026-03-31." in text(answer)


def test_signs_no_database_keeps_are_left_out(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    given = rows(("a\x00da", "payments"), pasted="from ada\x00 to payments", title="Refunds\x00")
    assert client.post("/firewall/new", given).status_code == 302
    assert client.post("/firewall/copy", {"from": "pay\x00", "to": "b", "reason": "x"}).status_code in (404, 422)


def test_from_a_form_to_a_proven_line(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    answer = client.post(
        "/firewall/new", rows(("me", "payments", "GET", "/payments"), ("any", "payments")), follow=True
    )
    shown, asked = text(answer), FirewallRequest.objects.get()
    here = f"/firewall/{asked.public_id}/"
    assert answer.redirect_chain[-1][0] == here
    for words in ("95 % sure", "Is this right?", "Anybody is nobody", "Cannot be opened so"):
        assert words in shown, words
    client.post(f"{here}lines/2/", {"act": "drop"})
    client.post(f"{here}act", {"act": "confirm"})
    client.post(f"{here}act", {"act": "narrowest"})
    shown = text(client.post(f"{here}act", {"act": "send"}, follow=True))
    assert "Sent as 1 request" in shown
    assert "Waits for approval" in shown
    assert 'hx-trigger="every 5s"' in shown
    request = AccessRequest.objects.get(subject=house.shop.ada, state="pending", routes__key="list")
    at = datetime.now(UTC)
    factory.approve(request, house.shop.ben, at=at)
    grant = Grant.objects.get(request=request)
    for point in ("edge", "mesh"):
        factory.services.mark_door(grant_id=grant.public_id, point=point, state="proven", at=at)
    ends_at = at + timedelta(hours=1)
    Grant.objects.filter(pk=grant.pk).update(starts_at=at, ends_at=ends_at)
    part = client.get(here, headers={"HX-Request": "true", "HX-Target": "moving"}).content.decode()
    assert part.lstrip().startswith('<div class="split" id="moving"')
    assert "Open and proven" in part
    assert 'hx-trigger="every 20s"' in part, "what is open ends"
    assert f'until <time datetime="{ends_at:%Y-%m-%dT%H:%M:%SZ}"' in part
    said = overall(asked, [Stand.PROVEN, Stand.ENDED]).sentence
    assert said == "1 line of 2 open. 1 line ended; ask again for what is still needed."
    factory.services.end_grant(public_id=grant.public_id, actor=house.shop.ada, at=at)
    part = client.get(here, headers={"HX-Request": "true", "HX-Target": "moving"}).content.decode()
    assert "Ended" in part
    assert "hx-trigger" not in part, "nothing moves any more"


def test_sending_is_offered_when_it_can_be_done_and_what_holds_it_up_is_left_out_at_once(
    house: pages.House, browse: Browse
) -> None:
    client = browse(house.shop.ada)
    lines = [written("person:ada", method="GET", path="/payments"), written("any"), written("person:ada", "nobody")]
    asked = firewall.request(house.shop.ada, *lines, at=datetime.now(UTC))
    here = f"/firewall/{asked.public_id}/"
    shown = text(client.post(f"{here}act", {"act": "narrowest"}, follow=True))
    assert "2 lines need you first; 1 line is ready to send." in shown
    assert re.search(r"One more beside what is open, for \d\d minutes", shown)
    assert "Owners of Payments must agree." in shown
    assert "Send what is ready" not in shown
    shown = text(client.post(f"{here}act", {"act": "leave"}, follow=True))
    assert "2 lines left out." in shown
    assert "1 line can be sent." in shown
    assert "Sent as 1 request." in text(client.post(f"{here}act", {"act": "send"}, follow=True))


def test_a_line_that_cannot_be_opened_says_what_to_do_and_offers_no_way_to_open_it(
    house: pages.House, browse: Browse
) -> None:
    lines = [written("person:ada", protocol="udp"), written("10.1.2.3"), written("me")]
    asked = firewall.request(house.shop.ada, *lines, at=datetime.now(UTC))
    client, here = browse(house.shop.ada), f"/firewall/{asked.public_id}/lines"
    assert "Have it say something else below, or leave it out." in text(client.get(f"{here}/1/"))
    shown = text(client.get(f"{here}/1/ways/"))
    assert "What stands on its way" in shown
    assert "Take this" not in shown
    shown = text(client.get(f"{here}/2/"))
    assert "An address names nobody. Say who calls from there." in shown
    assert "Who calls from these addresses?" not in shown, "no party ever calls from a private one"
    shown = text(client.get(f"{here}/3/ways/"))
    assert "A new rule for everything" in shown
    assert "Take this" not in shown, "nobody said yet that it is understood rightly"


def test_a_line_shows_its_candidates_and_takes_a_choice(house: pages.House, browse: Browse) -> None:
    factory.service("orders", team=house.shop.payments_team)
    asked = firewall.request(house.shop.ada, written("person:ada", "api.shop.localhost"), at=datetime.now(UTC))
    client, here = browse(house.shop.ada), f"/firewall/{asked.public_id}/lines/1/"
    shown = text(client.get(here))
    assert "It is one of 2 services behind api.shop.localhost." in shown
    client.post(here, {"act": "choose", "side": "destination", "key": "orders"})
    assert "Confirmed by Ada" in text(client.get(here))


def test_the_way_is_drawn_with_words_and_the_narrowest_is_first(house: pages.House, browse: Browse) -> None:
    asked = firewall.request(house.shop.ada, written("person:ada"), at=datetime.now(UTC))
    client, here = browse(house.shop.ada), f"/firewall/{asked.public_id}/lines/1/"
    assert f'hx-get="{here}ways/"' in client.get(here).content.decode()
    shown = text(client.get(f"{here}ways/"))
    for hop in ("source", "list", "edge", "ingress", "sidecar", "service"):
        assert f'data-hop="{hop}"' in shown
    assert "Lets a part through; then it lets it through." in shown
    assert shown.index("what was refused lately") < shown.index("A new rule for everything")


def test_an_edited_line_keeps_what_was_typed_when_it_is_wrong(house: pages.House, browse: Browse) -> None:
    asked = firewall.request(house.shop.ada, written("person:ada"), at=datetime.now(UTC))
    client, here = browse(house.shop.ada), f"/firewall/{asked.public_id}/lines/1/"
    given = {"act": "edit", "source": "ben", "destination": "payments", "ports": "http"}
    answer = client.post(here, given)
    assert answer.status_code == 422
    assert 'value="ben"' in text(answer)
    assert FirewallLine.objects.get().source == "person:ada"
    assert client.post(here, {**given, "ports": "443"}).status_code == 302
    assert FirewallLine.objects.get().source == "ben"


def test_what_cannot_be_sent_is_said_line_by_line(house: pages.House, browse: Browse) -> None:
    asked = firewall.request(
        house.shop.ada, written("person:ada", path="/refunds"), written("ada"), at=datetime.now(UTC)
    )
    services.take(public_id=asked.public_id, number=1, proposal="narrowest", actor=house.shop.ada, at=datetime.now(UTC))
    client = browse(house.shop.ada)
    shown = text(client.post(f"/firewall/{asked.public_id}/act", {"act": "send"}, follow=True))
    assert "Some lines cannot be sent yet; nothing was sent." in shown
    assert "Line 2: Is this right?" in shown


def test_the_matrix_is_set_cell_by_cell(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    assert "Nothing is zoned" in text(client.get("/firewall/zones/"))
    assert client.post("/firewall/zones/new/", {"slug": "web", "name": "Web", "kinds": ["person"]}).status_code == 302
    client.post("/firewall/zones/new/", {"slug": "cards", "name": "Cards", "services": "payments"})
    assert Zone.objects.count() == 2
    cell = {"source": "web", "destination": "cards", "verdict": "forbidden", "why": "Never from a desk."}
    assert client.post("/firewall/zones/", cell).status_code == 302
    shown = text(browse(house.shop.ada).get("/firewall/zones/?source=web&destination=cards"))
    assert "Web to Cards: forbidden. Never from a desk." in shown
    assert "Keep it" not in shown
    assert client.post("/firewall/zones/", {**cell, "why": ""}).status_code == 422
    assert browse(house.shop.ada).post("/firewall/zones/", cell).status_code == 302
    client.post("/firewall/zones/web/", {"name": "Web people", "services": "nothing"})
    assert Zone.objects.get(slug="web").name == "Web"


def test_giving_a_service_up_is_proposed_by_one_and_decided_by_another(house: pages.House, browse: Browse) -> None:
    here = "/firewall/decommission/payments/"
    ben, cyd = browse(house.shop.ben), browse(house.shop.cyd)
    shown = text(ben.get(here))
    for words in ("things name Payments", "Requests that wait", "Ada asked for Ada to Payments", "The edge at api"):
        assert words in shown, words
    shown = text(ben.post(here, {"reason": "Replaced by billing."}, follow=True))
    assert "Waits for security or an administrator." in shown
    assert "and retire Payments" in text(cyd.get(here))
    cyd.post(f"{here}decide", {"outcome": "approved"})
    assert Service.objects.get(slug="payments").retired_at is not None
    assert "Payments is given up" in text(cyd.get(here))


def test_copying_writes_a_request_with_a_line_for_each(house: pages.House, browse: Browse) -> None:
    factory.service("billing", team=house.shop.payments_team)
    client = browse(house.shop.ada)
    given = {"from": "payments", "to": "billing", "sides": ["callee"], "reason": "It replaces it.", "duration": "3600"}
    answer = client.post("/firewall/copy", given, follow=True)
    assert "billing like payments" in text(answer)
    assert FirewallLine.objects.get().path == "/payments/{id}"
    answer = client.post("/firewall/copy", {**given, "sides": ["caller"]})
    assert answer.status_code == 422
    assert "has no access of that kind" in text(answer)


def test_requests_home_and_the_catalogue_lead_there(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    for path in ("/", "/requests/"):
        assert 'href="/firewall/new"' in client.get(path).content.decode(), path
    here = client.get("/firewall/").content.decode()
    assert 'href="/requests/" aria-current="page"' in here, "it belongs to Requests"
    assert 'href="/firewall/copy?from=payments"' in client.get("/catalogue/payments/").content.decode()
