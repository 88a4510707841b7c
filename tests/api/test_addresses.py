"""Outside addresses over the API: one call, the same rules."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access.models import GuardedHost
from apps.identity.models import Subject
from apps.rollout.models import AddressList
from tests.api.calling import Caller, refused
from tests.factories import addresses as outside
from tests.factories import edges, identity
from tests.factories.access import Shop

BODY = {
    "new_party": {
        "name": "Acme Logistics",
        "contact": "noc@acme.example",
        "purpose": "Carries our parcels",
        "team": "team:storefront",
    },
    "service": "payments",
    "addresses": ["203.0.113.9", "203.0.113.8"],
    "duration": 3600,
    "reason": "They report deliveries.",
}


def test_one_call_makes_the_party_known_and_asks(there: Shop, at: datetime) -> None:
    outside.guard(at=at)
    answer = Caller(there.ada).post("address-requests/", BODY)
    body = answer.json()
    assert answer.status_code == 201
    assert body["subject"] == {"key": "party:acme-logistics", "name": "Acme Logistics"}
    assert body["addresses"] == {"host": "api.shop.localhost", "blocks": ["203.0.113.8/31"]}
    assert [one["name"] for one in body["requirements"]] == ["Owners of Payments", "Security"]
    plain = {key: value for key, value in BODY.items() if key != "new_party"}
    again = Caller(there.ada).post("address-requests/", {**plain, "party": "party:acme-logistics"})
    assert refused(again) == (409, "already_asked")


def test_an_ordinary_request_has_no_addresses(there: Shop, at: datetime) -> None:
    asked = {"service": "payments", "routes": ["read"], "duration": 3600, "reason": "To look."}
    assert Caller(there.ada).post("requests/", asked).json()["addresses"] is None


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"addresses": ["10.0.0.1"]}, 422, "bad_addresses"),
        ({"addresses": []}, 400, "invalid"),
        ({"party": "party:acme"}, 400, "invalid"),
        ({"service": "nowhere"}, 404, "unknown_service"),
        ({"duration": 400 * 86_400}, 422, "bad_duration"),
        ({"new_party": {**BODY["new_party"], "team": "team:payments"}}, 403, "may_not_sponsor"),  # type: ignore[dict-item]  # a dict of texts
        ({"new_party": {**BODY["new_party"], "contact": "Bob"}}, 422, "invalid_subject"),  # type: ignore[dict-item]  # a dict of texts
    ],
)
def test_bad_input_is_a_problem_and_leaves_nothing_behind(
    there: Shop, at: datetime, more: dict[str, object], status: int, code: str
) -> None:
    outside.guard(at=at)
    assert refused(Caller(there.ada).post("address-requests/", {**BODY, **more})) == (status, code)
    assert not Subject.objects.filter(kind="party").exists()


def test_an_agent_cannot_ask_for_an_outside_party(there: Shop, at: datetime) -> None:
    outside.guard(at=at)
    assert refused(Caller(there.bot).post("address-requests/", BODY)) == (403, "may_not_sponsor")


def test_hosts_are_read_by_all_and_guarded_by_security(there: Shop, at: datetime) -> None:
    body = {"host": "api.shop.localhost", "always": ["198.51.100.0/24"], "why": "Partners only."}
    assert refused(Caller(there.ada).post("hosts/guard/", body)) == (403, "role_needed")
    assert not GuardedHost.objects.exists()
    shown = {**body, "environment": "demo"}
    assert Caller(there.cyd).post("hosts/guard/", body).json() == shown
    assert Caller(there.ada).get("hosts/").json() == {"results": [shown]}


def test_a_list_is_shown_and_put_back(there: Shop, at: datetime) -> None:
    olga = Caller(identity.person("olga", roles=("operator",)))
    row = edges.address_list(at)
    (shown,) = olga.get("targets/edge/lists/").json()["results"]
    assert (shown["list_id"], shown["production"], shown["production_version"]) == ("1001_SHOP", "ACTIVE", 3)
    assert shown["strange"] == [{"value": "198.51.100.7", "what": "Nobody here put this on the list."}]
    assert refused(Caller(there.ada).post(f"targets/edge/lists/{row.pk}/put-back/")) == (403, "role_needed")
    assert not AddressList.objects.get().put_back
    assert olga.post(f"targets/edge/lists/{row.pk}/put-back/").status_code == 200
    assert AddressList.objects.get().put_back
    assert refused(olga.post(f"targets/mesh/lists/{row.pk}/put-back/")) == (404, "not_found")
