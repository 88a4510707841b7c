"""Writing rules and guardrails in the browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.access.models import ApprovalRule, Guardrail
from apps.identity.models import Subject
from tests.factories import pages

Browse = Callable[[Subject], Client]
RULE = {
    "slug": "short-writes",
    "version": "0",
    "sentence": "Writes are short.",
    "methods": ["POST"],
    "approver_kind": "",
    "count": "0",
    "max_duration": "8 hours",
}
WALL = {"slug": "no-refunds", "version": "0", "sentence": "No refunds.", "services": "payments", "routes": "refund"}


def test_a_rule_is_written_and_changed(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    assert "/settings/rules/new/" in client.get("/settings/rules/").content.decode()
    answer = client.post("/settings/rules/new/", RULE)
    assert (answer.status_code, answer["Location"]) == (302, "/settings/rules/")
    rule = ApprovalRule.objects.get(slug="short-writes")
    assert (rule.methods, rule.max_duration, rule.version) == (["POST"], 8 * 3600, 1)
    shown = client.get("/settings/rules/short-writes/").content.decode()
    assert 'value="8 hours"' in shown
    assert 'value="POST" id="id_methods_2" checked' in shown
    changed = {**RULE, "version": "1", "max_duration": "30 minutes", "slug": "another"}
    assert client.post("/settings/rules/short-writes/", changed).status_code == 302
    rule.refresh_from_db()
    assert (rule.slug, rule.max_duration, rule.version) == ("short-writes", 1800, 2)
    shown = client.get("/settings/rules/short-writes/").content.decode()
    assert "Version 2." in shown
    assert "/audit/?target=access.rule:short-writes" in shown
    told = client.get("/audit/", {"target": "access.rule:short-writes"}).content.decode()
    assert "access.rule.created" in told
    assert "access.rule.changed" in told


def test_what_was_typed_stays_when_it_is_refused(house: pages.House, browse: Browse) -> None:
    wish = {**RULE, "approver_kind": "role", "approver_value": "auditor", "count": "40", "max_duration": "a while"}
    answer = browse(house.shop.cyd).post("/settings/rules/new/", wish)
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "Write it like 8 hours, 30 minutes or 2 days." in shown
    assert 'value="a while"' in shown
    answer = browse(house.shop.cyd).post("/settings/rules/new/", {**wish, "max_duration": ""})
    assert (answer.status_code, "and the rule asks for 40." in answer.content.decode()) == (422, True)
    assert not ApprovalRule.objects.filter(slug="short-writes").exists()


def test_a_change_against_an_older_version_is_refused(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    client.post("/settings/rules/new/", RULE)
    client.post("/settings/rules/short-writes/", {**RULE, "version": "1", "sentence": "One."})
    answer = client.post("/settings/rules/short-writes/", {**RULE, "version": "1", "sentence": "Two."})
    assert answer.status_code == 422
    assert "Somebody else changed it meanwhile." in answer.content.decode()
    assert ApprovalRule.objects.get(slug="short-writes").sentence == "One."


def test_what_it_concerns_is_shown_before_it_is_kept(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    shown = client.get("/settings/rules/new/", RULE).content.decode()
    assert house.asked.public_id in shown
    assert not ApprovalRule.objects.filter(slug="short-writes").exists()
    part = client.get("/settings/guardrails/new/", WALL, headers={"HX-Request": "true"}).content.decode()
    assert "request that waits" in part or "requests that wait" in part
    assert not Guardrail.objects.filter(slug="no-refunds").exists()


def test_a_guardrail_is_set_retired_and_put_back(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    assert client.post("/settings/guardrails/new/", WALL).status_code == 302
    wall = Guardrail.objects.get(slug="no-refunds")
    assert (wall.services, wall.routes, wall.enabled) == (["payments"], ["refund"], True)
    assert client.post("/settings/guardrails/no-refunds/retire", {"version": "1"}).status_code == 302
    wall.refresh_from_db()
    assert (wall.enabled, wall.version) == (False, 2)
    client.post("/settings/guardrails/no-refunds/", {**WALL, "version": "2", "sentence": "No refunds at all."})
    wall.refresh_from_db()
    assert (wall.enabled, wall.sentence) == (False, "No refunds at all.")
    client.post("/settings/guardrails/no-refunds/retire", {"version": "3", "to": "on"})
    wall.refresh_from_db()
    assert wall.enabled


@pytest.mark.parametrize(
    "path", ["/settings/rules/new/", "/settings/guardrails/new/", "/settings/rules/owner-approves/"]
)
def test_others_may_read_the_lists_and_no_more(house: pages.House, browse: Browse, path: str) -> None:
    client = browse(house.shop.ben)
    assert client.get(path).status_code == 403
    client.post(path, RULE)
    assert not ApprovalRule.objects.filter(slug="short-writes").exists()
    shown = client.get("/settings/rules/").content.decode()
    assert "The team that owns the service decides." in shown
    assert "/settings/rules/new/" not in shown


def test_a_rule_that_is_not_there_is_not_found(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    assert client.get("/settings/rules/nowhere/").status_code == 404
    assert client.get("/settings/guardrails/nowhere/").status_code == 404
