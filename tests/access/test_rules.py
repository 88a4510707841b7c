"""Which rules match, and how they add up to the strictest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.access.models import ApprovalRule
from apps.access.rules import Facts, Need, matches, resolve

FACTS = Facts(
    service="payments",
    service_title="Payments",
    owner_team="team:payments",
    owner_title="Payments people",
    sensitivity="sensitive",
    service_max_duration=28800,
    subject_kind="person",
    methods=frozenset({"GET", "POST"}),
    points=frozenset({"edge"}),
)


def rule(slug: str = "rule", **values: object) -> ApprovalRule:
    return ApprovalRule(slug=slug, sentence=f"{slug} says so.", **values)  # type: ignore[arg-type]  # passed through


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"services": ["payments", "cart"]}, True),
        ({"services": ["cart"]}, False),
        ({"sensitivities": ["sensitive"]}, True),
        ({"sensitivities": ["critical"]}, False),
        ({"subject_kinds": ["agent"]}, False),
        ({"subject_kinds": ["agent", "person"]}, True),
        ({"methods": ["DELETE", "POST"]}, True),
        ({"methods": ["DELETE"]}, False),
        ({"points": ["edge", "mesh"]}, True),
        ({"points": ["mesh"]}, False),
        ({"services": ["payments"], "methods": ["DELETE"]}, False),
    ],
)
def test_every_selector_that_says_something_must_agree(selectors: dict[str, object], expected: bool) -> None:
    assert matches(rule(**selectors), FACTS) is expected


def test_the_highest_count_and_the_shortest_duration_win() -> None:
    resolved = resolve(
        [
            rule("a-one-owner", approver_kind="owner_team", count=1, max_duration=7200),
            rule("b-two-owners", approver_kind="owner_team", count=2),
            rule("c-security", approver_kind="role", approver_value="security", count=1, max_duration=3600),
            rule("d-not-mine", approver_kind="owner_team", count=9, services=["cart"], max_duration=60),
        ],
        FACTS,
    )
    assert resolved.needs == (
        Need(
            "owner_team", "team:payments", 2, "Owners of Payments people", "a-one-owner says so. b-two-owners says so."
        ),
        Need("role", "security", 1, "Security", "c-security says so."),
    )
    assert (resolved.max_duration, resolved.max_duration_why) == (3600, "c-security says so.")
    assert [one.slug for one in resolved.rules] == ["a-one-owner", "b-two-owners", "c-security"]


def test_the_services_own_maximum_is_a_rule_too() -> None:
    resolved = resolve([rule("long", approver_kind="owner_team", count=1, max_duration=86400)], FACTS)
    assert (resolved.max_duration, resolved.max_duration_why) == (28800, "Payments allows this at most.")


def test_the_order_of_the_rules_does_not_matter() -> None:
    rules = [
        rule("a", approver_kind="owner_team", count=2, max_duration=3600),
        rule("b", approver_kind="owner_team", count=1, max_duration=60),
        rule("c", approver_kind="team", approver_value="team:change-board", count=1),
    ]
    assert resolve(rules, FACTS) == resolve(reversed(rules), FACTS)


def test_a_named_team_is_named() -> None:
    needs = resolve([rule("c", approver_kind="team", approver_value="team:change-board", count=1)], FACTS).needs
    assert [(need.name, need.value) for need in needs] == [("Members of change-board", "team:change-board")]


def test_no_match_is_no_need() -> None:
    assert resolve([rule(services=["cart"], approver_kind="owner_team", count=1)], FACTS).needs == ()
    assert resolve([], replace(FACTS, subject_kind="agent")).needs == ()
