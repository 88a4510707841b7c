"""What administrators set up, and what those who watch over the estate see."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client

from apps.access.models import Grant, GrantDoor
from apps.audit.actors import SYSTEM
from apps.identity import services
from apps.identity.models import ProviderSecret, ReceivedSignal, SignalSource, Subject
from tests.factories import access, identity, pages
from tests.identity.signals.world import World, deliver, known, log_event, now
from tests.reading import text_of

pytestmark = pytest.mark.django_db
PAGE = "/settings/signals/okta/"
SOURCE = {"issuer": "https://id.shop.test", "jwks_uri": "https://id.shop.test/keys", "audience": "us"}


@pytest.fixture
def eve(there: World) -> Client:
    return pages.signed_in(identity.person("eve", roles=("administrator",)))


def test_a_secret_is_shown_once_and_works(there: World, eve: Client) -> None:
    answer = eve.post(f"{PAGE}secrets")
    plain = answer.content.decode().partition("<code>sps_")[2].partition("<")[0]
    assert there.hook(log_event("user.session.end"), secret=f"sps_{plain}").status_code == 204
    assert plain not in text_of(eve, PAGE)
    assert "Make a secret" not in text_of(eve, PAGE), "two are in use"
    eve.post(f"{PAGE}secrets")
    assert ProviderSecret.objects.count() == 2


def test_a_revoked_secret_works_no_more(there: World, eve: Client) -> None:
    assert eve.post(f"{PAGE}secrets/{ProviderSecret.objects.get().pk}")["Location"] == PAGE
    assert there.hook(log_event("user.session.end")).status_code == 401
    assert "No secret is in use" in text_of(eve, PAGE)


def test_a_transmitter_is_set_and_forgotten(there: World, eve: Client) -> None:
    assert eve.post(f"{PAGE}source", SOURCE)["Location"] == PAGE
    assert SignalSource.objects.get().audience == "us"
    assert "https://id.shop.test/keys" in text_of(eve, PAGE)
    eve.post(f"{PAGE}source", {"to": "none"})
    assert SignalSource.objects.count() == 0


@pytest.mark.parametrize("changes", [{"issuer": ""}, {"jwks_uri": "ftp://a"}, {"audience": "x" * 301}])
def test_what_is_wrong_with_it_is_said(there: World, eve: Client, changes: dict[str, str]) -> None:
    answer = eve.post(f"{PAGE}source", SOURCE | changes)
    assert answer.status_code == 422
    assert 'class="error"' in answer.content.decode()
    assert SignalSource.objects.count() == 0


def test_the_addresses_to_paste_are_there(there: World, eve: Client) -> None:
    text = text_of(eve, PAGE)
    for path in ("/signals/okta/okta-events", "/signals/okta/global-token-revocation", "/ssf/events/okta"):
        assert f"http://127.0.0.1:8000{path}" in text
    assert eve.get("/settings/signals/other/").status_code == 404


def test_the_list_says_what_was_done_and_how_long_the_doors_took(eve: Client, there: World) -> None:
    shop = access.shop()
    known(shop.dan, "00u9", there.directory.issuer)
    for holder in (shop.dan, shop.bot):
        access.active_grant(holder, shop.ben, at=now())
    there.hook(log_event("user.lifecycle.deactivate", sub="00u9"), log_event("user.session.end"))
    deliver()
    text = text_of(eve, "/settings/signals/")
    for said in ("user.lifecycle.deactivate", "person:dan", "Closing", "Signed out", "person:ada"):
        assert said in text
    signal = ReceivedSignal.objects.get(outcome="left")
    assert Grant.objects.filter(state="revoked").count() == 2
    GrantDoor.objects.update(state="closed", closed_at=signal.received_at + timedelta(seconds=1.26))
    assert "Closed after 1.3 s" in text_of(eve, "/settings/signals/")


def test_the_list_goes_on(eve: Client, there: World) -> None:
    for _ in range(60):
        pages.received(there.row, there.ada, now())
    first = text_of(eve, "/settings/signals/")
    older = first.partition("?before=")[2].partition('"')[0]
    assert first.count("user.lifecycle.deactivate") == 30
    assert text_of(eve, f"/settings/signals/?before={older}").count("user.lifecycle.deactivate") == 30
    assert text_of(eve, "/settings/signals/?before=x%00").count("user.lifecycle.deactivate") == 30


def test_only_an_administrator_is_led_to_what_is_set_up(there: World) -> None:
    flo = pages.signed_in(identity.person("flo", roles=("auditor",)))
    text = text_of(flo, "/settings/signals/")
    assert "Who may tell us" in text
    assert PAGE not in text
    assert flo.get(PAGE).status_code == 403


def ways_of(client: Client) -> list[list[str]]:
    """Way, how it is, when it was last heard, and how many were acted on; for each row of the table."""
    table = text_of(client, "/settings/signals/").partition('aria-label="Who may tell us"')[2].partition("</table>")[0]
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", table, re.DOTALL)]
    return [[cell.strip() for cell in row.split("|") if cell.strip()][1:] for row in rows]


def test_every_way_is_listed_with_whether_it_is_connected(there: World, eve: Client) -> None:
    assert [row[:2] for row in ways_of(eve)] == [
        ["SCIM", "Not connected"],
        ["Event hook", "Set up, silent"],
        ["Shared Signals", "Not connected"],
        ["Universal Logout", "Not connected"],
        ["Back-channel logout", "Not connected"],
        ["Asked again", "Not connected"],
    ]
    assert {row[-1] for row in ways_of(eve)} == {"0"}


def test_what_was_heard_and_acted_on_is_counted(there: World, eve: Client) -> None:
    there.hook(log_event("user.lifecycle.deactivate"), log_event("user.lifecycle.unsuspend"))
    deliver()
    token = there.directory.logout_token(sub="00u1")
    form = urlencode({"logout_token": token})
    told = Client().post("/oidc/okta/backchannel-logout/", form, content_type="application/x-www-form-urlencoded")
    assert told.status_code == 200
    found = {row[0]: row for row in ways_of(eve)}
    assert (found["Event hook"][1], found["Event hook"][-1]) == ("Connected", "1"), "coming back is not acted on"
    assert (found["Back-channel logout"][1], found["Back-channel logout"][-1]) == ("Connected", "0"), "nobody was in"


def test_a_user_made_inactive_over_scim_is_listed(there: World, eve: Client) -> None:
    plain = identity.scim_token(there.row)
    headers = {"Authorization": f"Bearer {plain}"}
    user: dict[str, object] = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ada",
        "externalId": "00u1",
        "active": False,
    }
    made = Client().post("/scim/v2/Users", user, content_type="application/scim+json", headers=headers)
    assert made.status_code == 201
    row = ReceivedSignal.objects.get()
    assert (row.channel, row.kind, row.outcome, row.sub) == ("scim", "active: false", "left", "00u1")
    found = {row[0]: row for row in ways_of(eve)}
    assert (found["SCIM"][1], found["SCIM"][-1]) == ("Connected", "1")


def test_a_persons_page_says_by_whose_word_they_left(eve: Client, there: World) -> None:
    there.hook(log_event("user.lifecycle.deactivate"))
    deliver()
    text = text_of(eve, "/settings/who/person:ada/")
    assert "<dt>Left</dt><dd>Okta, " in text
    assert "Okta said user.lifecycle.deactivate." in text
    services.reinstate_subject(key="person:ada", actor=SYSTEM, at=now())
    services.suspend_subject(key="person:ada", actor=Subject.objects.get(key="person:eve").actor, at=now())
    assert "<dt>Left</dt>" not in text_of(eve, "/settings/who/person:ada/")
