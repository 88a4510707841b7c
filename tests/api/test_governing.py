"""/rules/ and /guardrails/: written by those who may, and what they would concern."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access.models import ApprovalRule, Guardrail
from tests.api.calling import Caller, refused
from tests.factories.access import Shop, ask

RULE = {"slug": "short", "sentence": "Writes are short.", "methods": ["POST"], "max_duration": 3600}
WALL = {"slug": "no-refunds", "sentence": "No refunds.", "services": ["payments"], "routes": ["refund"]}


def put(caller: Caller, path: str, body: object) -> object:
    return caller.client.put(f"/api/v1/{path}", body, content_type="application/json")


def test_a_rule_is_made_read_replaced_and_retired(there: Shop) -> None:
    cyd = Caller(there.cyd)
    made = cyd.post("rules/", RULE)
    assert (made.status_code, made.json()["version"], made.json()["max_duration"]) == (201, 1, 3600)
    body = {name: value for name, value in RULE.items() if name != "slug"}
    changed = put(cyd, "rules/short/", {**body, "max_duration": 60, "version": 1})
    assert changed.json()["version"] == 2  # type: ignore[attr-defined]  # a response
    assert cyd.post("rules/short/enable/", {"enabled": False, "version": 2}).json()["enabled"] is False
    assert Caller(there.ada).get("rules/short/").json()["version"] == 3
    assert refused(put(cyd, "rules/short/", {**body, "version": 1})) == (409, "rule_moved")
    assert refused(cyd.get("rules/nowhere/")) == (404, "unknown_rule")


def test_a_guardrail_is_made_replaced_and_retired(there: Shop) -> None:
    cyd = Caller(there.cyd)
    assert cyd.post("guardrails/", WALL).status_code == 201
    body = {name: value for name, value in WALL.items() if name != "slug"}
    assert put(cyd, "guardrails/no-refunds/", {**body, "routes": [], "version": 1}).json()["routes"] == []  # type: ignore[attr-defined]  # a response
    assert cyd.post("guardrails/no-refunds/enable/", {"enabled": False, "version": 2}).json()["version"] == 3
    assert cyd.get("guardrails/no-refunds/").json()["enabled"] is False
    assert refused(cyd.post("guardrails/", {**WALL, "slug": "x", "services": ["nowhere"]})) == (422, "bad_guardrail")


def test_approvers_who_are_not_there_are_refused_with_words(there: Shop) -> None:
    wish = {**RULE, "approver_kind": "team", "approver_value": "team:nowhere", "count": 1}
    answer = Caller(there.cyd).post("rules/", wish)
    assert refused(answer) == (422, "bad_rule")
    assert "0 active people are in team:nowhere" in answer.json()["fields"]["approver_value"][0]


def test_what_it_would_concern_is_told_and_nothing_is_kept(there: Shop, at: datetime) -> None:
    waiting = ask(there.ada, at=at)
    cyd = Caller(there.cyd, scopes=("read",))
    body = {name: value for name, value in RULE.items() if name != "slug"}
    found = cyd.post("rules/short/preview/", body).json()
    assert (found["requests"], found["services"], found["uncovered"]) == ([waiting.public_id], ["payments"], [])
    wall = {name: value for name, value in WALL.items() if name != "slug"}
    found = cyd.post("guardrails/no-refunds/preview/", wall).json()
    assert (found["requests"], found["grants"]) == ([waiting.public_id], [])
    assert not ApprovalRule.objects.filter(slug="short").exists()
    assert not Guardrail.objects.exists()


@pytest.mark.parametrize("who", ["ada", "ben", "flo", "bot"])
def test_others_may_not(there: Shop, who: str) -> None:
    caller = Caller(getattr(there, who))
    for path, body in (("rules/", RULE), ("guardrails/", WALL)):
        assert refused(caller.post(path, body)) == (403, "role_needed")
    assert refused(caller.post("rules/owner-approves/enable/", {"enabled": False, "version": 1})) == (
        403,
        "role_needed",
    )
    assert refused(caller.post("rules/x/preview/", RULE)) == (403, "role_needed")
    assert not ApprovalRule.objects.filter(slug="short").exists()
