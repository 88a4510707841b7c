"""Firewall requests by program: the same road, the same refusals."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access.models import AccessRequest
from tests.api.calling import Caller, refused
from tests.factories import access as factory
from tests.factories import firewall
from tests.factories.access import Shop

pytestmark = pytest.mark.django_db
BODY = {
    "title": "Refund desk",
    "reason": "Customers wait.",
    "duration": 3600,
    "lines": [
        {"source": "person:ada", "destination": "payments", "method": "POST", "path": "/refunds"},
        {"source": "nobody at all", "destination": "payments", "ports": "443"},
    ],
}


def test_it_is_written_looked_at_mended_and_sent(there: Shop) -> None:
    ada = Caller(there.ada)
    answer = ada.post("firewall/requests/", BODY)
    made = answer.json()
    here = f"firewall/requests/{made['id']}/"
    assert answer.status_code == 201
    assert [line["state"] for line in made["lines"]] == ["choose", "wrong"]
    assert made["lines"][0]["routes"] == ["refund"]
    assert made["lines"][1]["problem"] == "Nobody here is called 'nobody at all'."
    ways = ada.get(f"{here}lines/1/ways/").json()
    assert [hop["code"] for hop in ways["hops"]] == ["source", "list", "edge", "ingress", "sidecar", "service"]
    assert [one["kind"] for one in ways["proposals"]] == ["new"]
    ada.post(f"{here}lines/1/take/", {"proposal": ways["proposals"][0]["id"]})
    assert refused(ada.post(f"{here}send/")) == (422, "lines_not_ready")
    ada.post(f"{here}lines/2/drop/", {"dropped": True})
    sent = ada.post(f"{here}send/").json()
    assert sent["opened"] == [AccessRequest.objects.get().public_id]
    assert sent["request"]["state"] == "moving"
    assert [line["state"] for line in sent["request"]["lines"]] == ["waiting", "dropped"]
    assert ada.get("firewall/requests/", mine="true").json()["results"][0]["id"] == made["id"]


def test_a_line_says_its_direction_and_its_last_day(there: Shop) -> None:
    ada = Caller(there.ada)
    line = {"source": "ada", "destination": "payments", "direction": "Inbound", "until": "2026-03-31"}
    (shown,) = ada.post("firewall/requests/", {**BODY, "lines": [line]}).json()["lines"]
    assert (shown["direction"], shown["until"]) == ("in", "2026-04-01T00:00:00Z")
    answer = ada.post("firewall/requests/", {**BODY, "lines": [{**line, "direction": "sideways"}]})
    assert refused(answer) == (400, "invalid")


def test_an_agent_asks_for_itself_through_the_same_road(there: Shop) -> None:
    bot = Caller(there.bot)
    line = {"source": "agent:release-bot", "destination": "payments", "path": "/refunds"}
    made = bot.post("firewall/requests/", {**BODY, "lines": [line]}).json()
    here = f"firewall/requests/{made['id']}/"
    assert bot.post(f"{here}narrowest/").json()["lines"][0]["state"] == "ready"
    assert len(bot.post(f"{here}send/").json()["opened"]) == 1


def test_what_is_forbidden_names_the_cell(there: Shop, at: datetime) -> None:
    firewall.zone("people", kinds=["person"])
    cyd, ada = Caller(there.cyd), Caller(there.ada)
    zone = {"name": "Cards", "services": ["payments"]}
    assert cyd.client.put("/api/v1/firewall/zones/cards/", zone, content_type="application/json").status_code == 200
    made = ada.post("firewall/requests/", {**BODY, "lines": BODY["lines"][:1]}).json()  # type: ignore[index]
    here = f"firewall/requests/{made['id']}/"
    ada.post(f"{here}narrowest/")
    cell = {"source": "people", "destination": "cards", "verdict": "forbidden", "why": "Never."}
    shown = cyd.post("firewall/zones/cells/", cell).json()
    assert {(one["source"], one["destination"]): one["verdict"] for one in shown["cells"]} == {
        ("Cards", "Cards"): "allowed",
        ("Cards", "People"): "security",
        ("People", "Cards"): "forbidden",
        ("People", "People"): "allowed",
    }
    answer = ada.post(f"{here}send/")
    assert refused(answer) == (422, "zone_forbids")
    assert answer.json()["cells"][0]["sentence"] == "People to Cards: forbidden. Never."
    left = cyd.client.delete("/api/v1/firewall/zones/cards/").json()
    assert [one["slug"] for one in left["zones"]] == ["people"]


def test_a_line_is_changed_as_a_whole(there: Shop) -> None:
    ada = Caller(there.ada)
    made = ada.post("firewall/requests/", BODY).json()
    path = f"/api/v1/firewall/requests/{made['id']}/lines/2/"
    line = {"source": "team:storefront", "destination": "payments", "path": "/refunds"}
    found = ada.client.put(path, line, content_type="application/json").json()["lines"][1]
    assert (found["subject"]["key"], found["state"]) == ("team:storefront", "choose")
    wrong = ada.client.put(path, {**line, "ports": "x"}, content_type="application/json")
    assert refused(wrong) == (400, "invalid")


def test_access_is_copied_and_a_service_given_up(there: Shop, at: datetime) -> None:
    factory.service("billing", team=there.payments_team)
    factory.active_grant(there.ada, there.ben, routes=("read",), at=at)
    body = {"source": "payments", "to": "billing", "sides": ["callee"], "reason": "It replaces it.", "duration": 3600}
    made = Caller(there.ada).post("firewall/clone/", body)
    assert made.status_code == 201
    assert [line["routes"] for line in made.json()["lines"]] == [["read"]]
    ben, cyd = Caller(there.ben), Caller(there.cyd)
    found = ben.post("firewall/decommissions/payments/", {"reason": "Replaced."})
    assert found.status_code == 201
    assert {one["kind"] for one in found.json()["named"]} == {"grant", "exposure"}
    assert refused(ben.post("firewall/decommissions/payments/decide/", {"outcome": "approved"})) == (
        403,
        "not_yours_to_end_all",
    )
    done = cyd.post("firewall/decommissions/payments/decide/", {"outcome": "approved"}).json()
    assert (done["retired"], done["named"], done["outcome"]) == (True, [], "approved")
