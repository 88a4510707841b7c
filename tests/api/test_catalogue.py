"""/services/, /imports/, /rules/ and /guardrails/."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.catalog.models import ImportRun, Service
from tests.api.calling import Caller, refused
from tests.factories import catalog, identity
from tests.factories.access import Shop, active_grant, service

FILE = catalog.component("ledger", owner="payments") + catalog.api("ledger")


def test_services_are_found_page_by_page(there: Shop) -> None:
    for slug in ("cart", "ledger"):
        service(slug, team=there.payments_team, doors=())
    ada = Caller(there.ada)
    first = ada.get("services/", limit=2).json()
    assert ([row["slug"] for row in first["results"]], first["after"]) == (["cart", "ledger"], "ledger")
    rest = ada.get("services/", limit=2, after="ledger").json()
    assert ([row["slug"] for row in rest["results"]], rest["after"]) == (["payments"], None)
    assert [row["slug"] for row in ada.get("services/", query="refunds led").json()["results"]] == ["ledger"]
    assert refused(ada.get("services/", limit=0)) == (400, "invalid")


def test_a_service_has_routes_and_doors(there: Shop) -> None:
    body = Caller(there.ada).get("services/payments/").json()
    assert (body["team"], body["sensitivity"], body["retired"]) == ("team:payments", "internal", False)
    assert {row["key"]: (row["methods"], row["template"]) for row in body["routes"]}["refund"] == (["POST"], "/refunds")
    assert [(row["point"], row["host"], row["base_path"]) for row in body["exposures"]] == [
        ("edge", "api.shop.localhost", "/payments"),
        ("mesh", "", ""),
    ]
    assert refused(Caller(there.ada).get("services/nothing/")) == (404, "unknown_service")


def test_who_can_reach_it_at_any_moment(there: Shop, at: datetime) -> None:
    grant = active_grant(there.ada, there.ben, at=at, points=("edge",))
    ben = Caller(there.ben)
    now = ben.get("services/payments/reach/", at=(at + timedelta(minutes=1)).isoformat()).json()["results"]
    assert [(row["subject"], row["point"], row["grants"]) for row in now] == [("person:ada", "edge", [grant.public_id])]
    assert [route["key"] for route in now[0]["routes"]] == ["refund"]
    assert ben.get("services/payments/reach/", at=(at + timedelta(days=2)).isoformat()).json()["results"] == []
    assert refused(ben.get("services/nothing/reach/")) == (404, "unknown_service")
    assert refused(ben.get("services/payments/reach/", at="soon")) == (400, "invalid")


@pytest.fixture
def olga(there: Shop) -> Caller:
    return Caller(identity.person("olga", roles=("operator",)))


def as_yaml(caller: Caller, text: str | bytes, **query: Any) -> Any:
    return caller.client.post("/api/v1/imports/", text, content_type="application/yaml", query_params=query)


def test_a_dry_run_says_what_would_change_and_changes_nothing(olga: Caller) -> None:
    body = olga.post("imports/", {"text": FILE, "dry_run": True}).json()
    assert (body["dry_run"], body["file"]) == (True, "api")
    assert ("created", "service:ledger") in [(row["kind"], row["ref"]) for row in body["changes"]]
    assert not Service.objects.filter(slug="ledger").exists()


def test_the_file_itself_may_be_the_body(olga: Caller) -> None:
    assert as_yaml(olga, FILE, file="ledger.yaml").status_code == 200
    assert Service.objects.get(slug="ledger").team.key == "team:payments"
    runs = olga.get("imports/").json()["results"]
    assert [run["file"] for run in runs] == ["ledger.yaml"]
    again = as_yaml(olga, FILE, file="ledger.yaml").json()
    assert (again["changes"], ImportRun.objects.count()) == ([], 1)


def test_a_bad_file_is_refused_with_every_problem_in_its_place(olga: Caller) -> None:
    answer = olga.post("imports/", {"text": catalog.component("ledger", owner="nobody"), "file": "l.yaml"})
    assert refused(answer) == (422, "import_refused")
    problem = answer.json()["problems"][0]
    assert (problem["file"], problem["entity"]) == ("l.yaml", "component:ledger")
    assert not Service.objects.filter(slug="ledger").exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"\xff\xfe", 400, "parse_error"),
        (b"", 400, "invalid"),
        (b"\x00", 400, "invalid"),
        (b"[" * 10_000, 422, "import_refused"),
    ],
)
def test_garbage_is_refused(olga: Caller, body: bytes, status: int, code: str) -> None:
    assert refused(as_yaml(olga, body)) == (status, code)


def test_an_operator_imports_no_people(olga: Caller) -> None:
    assert refused(olga.post("imports/", {"text": catalog.TEAM})) == (422, "import_refused")


@pytest.mark.parametrize("who", ["ada", "ben", "cyd", "bot"])
def test_only_operators_import(there: Shop, who: str) -> None:
    caller = Caller(getattr(there, who))
    assert refused(caller.post("imports/", {"text": FILE})) == (403, "may_not_import")
    assert refused(caller.get("imports/")) == (403, "may_not_import")
    assert not Service.objects.filter(slug="ledger").exists()


def test_everybody_may_read_the_rules_they_are_judged_by(there: Shop) -> None:
    rules = Caller(there.bot).get("rules/").json()["results"]
    assert [rule["slug"] for rule in rules] == [
        "agents-are-short",
        "critical-writes-are-short",
        "outside-addresses",
        "owner-approves",
        "security-agrees",
    ]
    assert (rules[3]["approver_kind"], rules[3]["count"], rules[3]["max_duration"]) == ("owner_team", 1, None)
    assert Caller(there.bot).get("guardrails/").json() == {"results": []}
