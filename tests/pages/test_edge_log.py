"""The log of an edge, and its client certificate, as people see them; and gaps on the live page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.identity import vault
from apps.identity.models import Subject
from apps.rollout.models import EdgeStream, OriginCertificate, StreamKey, Target
from apps.telemetry import edge_gaps
from apps.telemetry import services as telemetry
from apps.telemetry.models import LogMinute
from tests.factories import edges, pages
from tests.telemetry.test_ingest import line, ndjson

Browse = Callable[[Subject], Client]
LOG, CERTIFICATE = "/rollout/edge/log/", "/rollout/edge/certificate/"


@pytest.fixture
def olga(house: pages.House, browse: Browse) -> Client:
    edges.edge_target(datetime.now(UTC))
    return browse(house.olga)


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


# -- the log ------------------------------------------------------------------------------------------------------
def test_asking_for_the_log_keeps_what_was_typed_when_it_is_wrong(olga: Client) -> None:
    assert "The log of Shop edge is not delivered here yet" in text(olga, LOG)
    wrong = olga.post(LOG, {"hostname": "api.shop.test", "email": "nobody", "address": "ftp://x"})
    assert wrong.status_code == 422
    shown = wrong.content.decode()
    assert 'value="api.shop.test"' in shown
    assert "This edge runs on this machine and delivers to this machine only" in shown
    right = {"hostname": "api.shop.test", "email": "o@shop.test", "address": "http://127.0.0.1:8000"}
    assert olga.post(LOG, right)["Location"] == LOG
    assert "The log of Shop edge is being set up" in text(olga, LOG)


def test_the_page_tells_what_was_brought_and_never_the_secret(olga: Client) -> None:
    stream = edges.edge_stream(datetime.now(UTC), secrets=2)
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    LogMinute.objects.create(stream=stream, minute=minute, lines=12, repeated=3, bad=2, missing=1)
    shown = text(olga, LOG)
    assert "The log of Shop edge is delivered here" in shown
    assert "12, of which 3 were known already" in shown
    assert "lacks 1 call that the mesh saw" in shown
    plain = [vault.unseal(key.secret_sealed).decode() for key in StreamKey.objects.all()]
    assert [one for one in plain if one in shown] == []


def test_it_is_delivered_only_once_a_line_has_come(olga: Client) -> None:
    """Akamai calls the stream active, and its sample request has used the secret: neither is a line."""
    at = datetime.now(UTC)
    stream = edges.edge_stream(at)
    StreamKey.objects.update(used_at=at)
    LogMinute.objects.create(stream=stream, minute=at - timedelta(hours=3), lines=12)
    LogMinute.objects.create(stream=stream, minute=at - timedelta(minutes=5), bad=2, missing=1)
    waiting = text(olga, LOG)
    assert "The log of Shop edge is switched on, and no line has come yet" in waiting
    assert "Nothing came yet" in waiting
    assert "compare the property" in waiting
    LogMinute.objects.create(stream=stream, minute=at - timedelta(hours=1, minutes=50), lines=1)
    told = text(olga, LOG)
    assert "The log of Shop edge is delivered here" in told
    assert "compare the property" not in told
    assert mark(waiting) != mark(told), "a page that is open looks again"


def mark(page: str) -> str:
    return page.partition("log/events?seen=")[2][:16]


def test_its_secret_is_turned_over_with_two_buttons(olga: Client) -> None:
    edges.edge_stream(datetime.now(UTC))
    olga.post(f"{LOG}renew-secret")
    assert StreamKey.objects.filter(ended_at=None).count() == 2
    refused = olga.post(f"{LOG}renew-secret", follow=True).content.decode()
    assert "Two secrets are believed already" in refused
    refused = olga.post(f"{LOG}end-secret", follow=True).content.decode()
    assert "Akamai still delivers with this secret." in refused
    StreamKey.objects.update(active_at=datetime.now(UTC))
    olga.post(f"{LOG}end-secret")
    assert StreamKey.objects.filter(ended_at=None).count() == 1


def test_it_is_stopped_and_a_mesh_has_none(olga: Client) -> None:
    edges.edge_stream(datetime.now(UTC))
    olga.post(f"{LOG}stop")
    assert not EdgeStream.objects.get().wanted
    assert "is being stopped" in text(olga, LOG)
    assert olga.get("/rollout/mesh/log/").status_code == 404
    part = olga.get(LOG, headers={"HX-Request": "true", "HX-Target": "moving"}).content.decode()
    assert "<html" not in part


# -- gaps ---------------------------------------------------------------------------------------------------------
def test_gaps_are_shown_as_gaps_on_the_live_page(house: pages.House, browse: Browse) -> None:
    at = datetime.now(UTC)
    cyd = browse(house.shop.cyd)
    assert "no lines from" not in text(cyd, "/live/")
    edges.edge_stream(at)
    assert "no lines from Shop edge: no calls, or lines lost." in text(cyd, "/live/")
    token = telemetry.register_source(name="mesh", actor=SYSTEM, at=at)
    when = (at - timedelta(minutes=6)).timestamp()
    seen = [line("ingress", rid=uuid4().hex, ts=when) for _ in range(2)]
    telemetry.ingest(token=token, body=ndjson(*seen), at=at)
    edge_gaps.look_for_gaps(at=at)
    shown = text(cyd, "/live/")
    assert "the log of Shop edge lacks 2 calls that the mesh saw" in shown
    assert shown.count("edge line missing") == 2
    gap = next(one for one in cyd.get("/api/v1/calls/gaps/").json()["results"] if one["calls"])
    assert (gap["target"], gap["calls"]) == ("Shop edge", 2)


# -- the client certificate ---------------------------------------------------------------------------------------
def test_before_the_set_up_there_is_no_certificate_to_ask_for(olga: Client) -> None:
    shown = text(olga, CERTIFICATE)
    assert "Nobody has asked for a certificate yet" in shown
    assert "The EdgeWorker is not set up yet" in shown


def test_asking_for_a_certificate_keeps_what_was_typed_when_it_is_wrong(olga: Client) -> None:
    Target.objects.filter(slug="edge").update(facts={"edgeworker_id": 42})
    wrong = olga.post(CERTIFICATE, {"hostname": "api.shop.test", "email": "x"})
    assert (wrong.status_code, 'value="api.shop.test"' in wrong.content.decode()) == (422, True)
    given = {"hostname": "api.shop.test", "email": "o@shop.test", "agree_to_renewals": "on"}
    assert olga.post(CERTIFICATE, given)["Location"] == CERTIFICATE
    assert OriginCertificate.objects.get().agreed_by == "Olga"


def test_the_page_says_what_a_renewal_takes_and_when(olga: Client) -> None:
    row = edges.origin_certificate(datetime.now(UTC))
    shown = text(olga, CERTIFICATE)
    assert "Shop edge shows a certificate of ours" in shown
    assert "one version, and 2 activations of the property; 20 are left today" in shown
    assert "when a person has looked at it" in shown
    olga.post(f"{CERTIFICATE}renew")
    row.refresh_from_db()
    assert row.renew_asked


def test_the_page_says_why_the_next_one_is_not_shown_and_until_when_the_present_one_is(olga: Client) -> None:
    at = datetime.now(UTC)
    row = edges.origin_certificate(at)
    row.versions = [
        {"number": 2, "guid": "g2", "status": "DEPLOYED", "expires_at": (at + timedelta(days=30)).isoformat()},
        {"number": 1, "guid": "g1", "status": "DEPLOYED", "expires_at": (at + timedelta(days=6)).isoformat()},
    ]
    row.deployed_guid = row.planned_guid = "g2"
    row.deployed_until = at + timedelta(days=30)
    row.save()
    change = edges.property_change(at, "failed")
    change.error = "Activation 7 on production ended as FAILED."
    change.save()
    shown = text(olga, CERTIFICATE)
    assert "certificate of ours, and the next one is on its way" in shown
    assert "The last change of the property failed: Activation 7 on production ended as FAILED." in shown
    assert f"{at + timedelta(days=6):%-d %b %Y, %H:%M} UTC" in shown
    assert "ends soon" not in text(olga, "/")
    row.versions[1]["expires_at"] = (at + timedelta(days=4)).isoformat()
    row.save()
    assert "Shop edge shows a certificate that ends soon" in " ".join(text(olga, CERTIFICATE).split())
    assert "Shop edge shows the mesh a certificate that ends soon" in text(olga, "/")


def test_a_change_of_the_property_says_how_many_activations_are_left(olga: Client) -> None:
    edges.property_change(datetime.now(UTC))
    assert "20 are left today" in text(olga, "/rollout/edge/property/")
