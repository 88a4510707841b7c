"""Upkeep and the map in the browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.access.models import CleanUp, Grant, StandingPolicy, StandingReview
from apps.access.services.examining import examine_due
from apps.access.services.standing import ensure_watching
from apps.access.services.uses import note_uses
from apps.catalog.models import Exposure, Route, Service
from apps.identity.models import Subject
from tests.access.test_clean_ups import standing, twins
from tests.factories import pages, upkeep
from tests.factories.access import service

Browse = Callable[[Subject], Client]


def text(answer: object) -> str:
    return " ".join(answer.content.decode().split())  # type: ignore[attr-defined]  # of the test client


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def test_a_finding_becomes_a_proposal_and_somebody_else_ends_it(
    house: pages.House, browse: Browse, now: datetime
) -> None:
    _, narrow = twins(house.shop, now)
    examine_due(at=now)
    cyd = browse(house.shop.cyd)
    listed = text(cyd.get("/settings/upkeep/?code=shadowed"))
    assert f'value="{narrow.public_id}"' in listed
    assert "Can go safely" in listed
    shown = text(cyd.post("/settings/upkeep/clean-ups/new", {"grant": narrow.public_id}))
    assert "changes nothing for anybody" in shown
    assert not CleanUp.objects.exists()
    sent = {"grant": narrow.public_id, "sure": "1", "safe": "1", "reason": ""}
    assert cyd.post("/settings/upkeep/clean-ups/new", sent).status_code == 422
    cyd.post("/settings/upkeep/clean-ups/new", {**sent, "reason": "Twice."})
    row = CleanUp.objects.get()
    address = f"/settings/upkeep/clean-ups/{row.public_id}/"
    assert "so somebody else has to decide" not in text(browse(house.shop.ben).get(address))
    assert "Your decision" not in text(cyd.get(address))
    browse(house.shop.ben).post(f"{address}decide", {"verdict": "approve"})
    narrow.refresh_from_db()
    assert narrow.state == "revoked"
    assert "Nobody loses anything" in text(cyd.get(address))


def test_what_takes_something_away_says_from_whom_before_it_is_proposed(
    house: pages.House, browse: Browse, now: datetime
) -> None:
    wide, _ = twins(house.shop, now)
    shown = text(browse(house.shop.ben).post("/settings/upkeep/clean-ups/new", {"grant": wide.public_id}))
    assert "Ada could no longer call GET /payments from the edge and inside the mesh on Payments." in shown
    assert "Propose to take this away" in shown


def test_what_is_wider_than_used_is_narrowed_to_its_use(house: pages.House, browse: Browse, now: datetime) -> None:
    then = now - timedelta(days=100)
    ensure_watching(at=then)
    wide = standing(house.shop.ada, "read", "list", at=then)
    ben, sent = browse(house.shop.ben), {"grant": wide.public_id, "how": "narrow"}
    assert "No call used it lately" in text(ben.post("/settings/upkeep/clean-ups/new", sent))
    note_uses({(wide.public_id, "read"): now - timedelta(days=1)})
    shown = text(ben.post("/settings/upkeep/clean-ups/new", sent))
    assert "Narrowing this changes access" in shown
    assert "Ada could no longer call GET /payments from" in shown
    ben.post("/settings/upkeep/clean-ups/new", {**sent, "sure": "1", "reason": "Too wide."})
    row = CleanUp.objects.get()
    assert row.kept == {wide.public_id: ["read"]}
    address = f"/settings/upkeep/clean-ups/{row.public_id}/"
    bea = browse(house.shop.bea)
    assert "narrow 1 grant?" in text(bea.get(address))
    bea.post(f"{address}decide", {"verdict": "approve"})
    assert "1 grant narrowed" in text(bea.get(address))
    assert [route.key for route in Grant.objects.latest("pk").routes.all()] == ["read"]


def test_grants_of_two_services_are_proposed_apart(house: pages.House, browse: Browse, now: datetime) -> None:
    service("ledger", team=house.shop.payments_team)
    here = standing(house.shop.ada, "list", at=now)
    there = standing(house.shop.ada, "list", at=now, service_slug="ledger")
    sent = {"grant": [here.public_id, there.public_id], "sure": "1", "reason": "Both."}
    answer = browse(house.shop.ben).post("/settings/upkeep/clean-ups/new", sent)
    assert "one service at a time" in text(answer)
    assert not CleanUp.objects.exists()


def test_standing_access_is_kept_with_a_reason_or_ended(house: pages.House, browse: Browse, now: datetime) -> None:
    row = upkeep.question(house.shop, now)
    ben = browse(house.shop.ben)
    assert "1 to keep or end" in text(ben.get("/"))
    shown = text(ben.get("/settings/upkeep/standing/"))
    assert "no call seen by it" in shown
    assert "answer until" in shown
    StandingReview.objects.filter(pk=row.pk).update(cause="unused")
    assert "it stays until somebody ends it" in text(ben.get("/settings/upkeep/standing/")), "it is only proposed to go"
    assert "Its owners are asked until" in text(browse(house.shop.ada).get("/access/"))
    address = f"/settings/upkeep/standing/{row.public_id}/answer"
    ben.post(address, {"answer": "keep"})
    row.refresh_from_db()
    assert row.state == "open"
    ben.post(address, {"answer": "keep", "comment": "On call."})
    row.refresh_from_db()
    assert (row.state, row.comment) == ("kept", "On call.")
    assert "On call." in text(ben.get("/settings/upkeep/standing/?show=answered"))


def test_one_click_ends_it_and_the_holder_cannot_keep_it(house: pages.House, browse: Browse, now: datetime) -> None:
    row = upkeep.question(house.shop, now)
    address = f"/settings/upkeep/standing/{row.public_id}/answer"
    browse(house.shop.ada).post(address, {"answer": "keep", "comment": "Mine."})
    row.refresh_from_db()
    assert row.state == "open"
    browse(house.shop.ben).post(address, {"answer": "end"})
    assert Grant.objects.get(pk=row.grant_id).state == "revoked"


def test_the_schedule_is_written_by_those_who_govern(house: pages.House, browse: Browse) -> None:
    address = "/settings/upkeep/schedule/"
    given = {"version": "0", "open_days": "0", "internal_days": "60", "sensitive_days": "30", "critical_days": "30"}
    given |= {"unused_days": "45", "answer_days": "7", "escalate_days": "3", "lapse": "ask"}
    assert "a running service's calls go on" in text(browse(house.shop.cyd).get("/settings/upkeep/standing/"))
    browse(house.shop.ben).post(address, given)
    assert not StandingPolicy.objects.filter(version=2).exists()
    assert browse(house.shop.cyd).post(address, {**given, "answer_days": "0"}).status_code == 422
    assert browse(house.shop.cyd).post(address, given).status_code == 302
    kept = StandingPolicy.objects.get()
    assert (kept.internal_days, kept.unused_days, kept.lapse, kept.version) == (60, 45, "ask", 2)
    assert "Nothing ends by itself" in text(browse(house.shop.cyd).get("/settings/upkeep/standing/"))
    answer = browse(house.shop.cyd).post(address, given)
    assert (answer.status_code, "Somebody else changed it meanwhile." in text(answer)) == (422, True)


class TestMap:
    def test_a_gap_is_seen_and_asked_for_by_whoever_may(
        self, house: pages.House, browse: Browse, now: datetime
    ) -> None:
        standing(house.shop.ada, "refund", at=now, points=("edge",))
        shown = text(browse(house.shop.ben).get("/map/"))
        assert "The doors disagree 1 time on this page" in shown
        assert "1 gap" in shown
        ada = text(browse(house.shop.ada).get("/map/payments/?team=team:storefront"))
        assert "The mesh has no grant for the claim sub person:ada of the Txn-Token." in ada
        link = "/requests/new?service=payments&amp;subject=person%3Aada&amp;points=mesh&amp;routes=refund"
        assert link in ada
        asked = text(browse(house.shop.ada).get(link.replace("&amp;", "&")))
        assert 'name="routes" value="refund" checked' in asked
        assert 'value="mesh" checked' in asked
        assert 'value="edge" checked' not in asked
        others = text(browse(house.shop.ben).get("/map/payments/"))
        assert "Ada or its owners can ask for it." in others

    def test_filters_narrow_it_and_nothing_teaches(self, house: pages.House, browse: Browse) -> None:
        client = browse(house.shop.ada)
        assert "Nothing matches" in text(client.get("/map/?q=zzz"))
        assert "Storefront" in text(client.get("/map/?team=team:storefront"))
        part = client.get("/map/?q=pay", headers={"HX-Request": "true", "HX-Target": "map"})
        assert "<html" not in text(part)
        assert client.get("/map/nowhere/").status_code == 404

    @pytest.mark.slow
    def test_it_is_quick_for_two_thousand_services(self, house: pages.House, browse: Browse, now: datetime) -> None:
        fill(house, now)
        client = browse(house.shop.ada)
        client.get("/map/")
        began = datetime.now(UTC)
        assert client.get("/map/?after=m0100").status_code == 200
        assert datetime.now(UTC) - began < timedelta(seconds=1), "measured in the benchmarks; this is a coarse net"


def fill(house: pages.House, now: datetime) -> None:
    """Two thousand services with a route and six grants each."""
    shop = house.shop
    made = Service.objects.bulk_create(
        Service(slug=f"m{n:04}", title=f"M{n}", team=shop.payments_team, created_at=now) for n in range(2000)
    )
    routes = Route.objects.bulk_create(
        Route(service=one, key="get", methods=["GET"], template="/x/{id}") for one in made
    )
    where = house.grant.environment
    Exposure.objects.bulk_create(
        Exposure(service=one, environment=where, point="edge", host=f"{one.slug}.shop.localhost") for one in made
    )
    holders = [shop.ada, shop.ben, shop.bea, shop.dan, shop.storefront, shop.payments_team]
    rows = Grant.objects.bulk_create(
        Grant(
            public_id=f"g_{one.slug}_{n}",
            subject=holder,
            service=one,
            environment=where,
            points=["edge"],
            state="active",
            fingerprint=f"{one.slug} {n}",
            approved_at=now,
            activated_at=now,
            starts_at=now,
        )
        for one in made
        for n, holder in enumerate(holders)
    )
    by_service = {route.service_id: route.pk for route in routes}
    through = Grant.routes.through
    through.objects.bulk_create(through(grant_id=row.pk, route_id=by_service[row.service_id]) for row in rows)
