"""Our own rule within a property's tree, and nothing else of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from apps.rollout.drivers.akamai.rules import (
    RULE_NAME,
    Attached,
    NotOurRule,
    conditional_origins,
    difference,
    is_same,
    our_rule,
    with_our_rule,
    without_our_rule,
)

WISH = Attached("edge", 42, ("b.test", "a.test"))
OTHERS: dict[str, Any] = {
    "name": "default",
    "behaviors": [{"name": "origin", "options": {"hostname": "o.test"}, "uuid": "u-1"}],
    "children": [
        {"name": "Locked", "behaviors": [{"name": "caching", "options": {}, "locked": True}], "uuid": "u-2"},
        {"name": "Last", "behaviors": [], "comments": "by hand"},
    ],
    "variables": [{"name": "PMUSER_OWN", "value": "1", "hidden": False, "sensitive": False}],
    "options": {"is_secure": True},
    "customOverride": {"overrideId": "cbo_1", "name": "o"},
}


def test_our_rule_runs_the_edgeworker_for_these_hosts_and_fails_closed() -> None:
    rule = our_rule(WISH)
    assert rule["criteria"][0]["options"] == {"matchOperator": "IS_ONE_OF", "values": ["a.test", "b.test"]}
    (run,) = rule["behaviors"]
    assert (run["name"], run["options"]["edgeWorkerId"], run["options"]["continueOnError"]) == (
        "edgeWorker",
        "42",
        False,
    )
    (belt,) = rule["children"]
    assert belt["criteria"] == [{"name": "edgeWorkersFailure", "options": {"execStatus": "FAILURE"}}]
    assert [one["name"] for one in belt["behaviors"]] == ["denyAccess"]
    assert "[sallyport:edge]" in rule["comments"]


def test_it_is_added_last_and_the_rest_stays_as_it_was() -> None:
    before = copy.deepcopy(OTHERS)
    made = with_our_rule(OTHERS, WISH)
    assert before == OTHERS
    assert made["children"][:2] == OTHERS["children"]
    assert made["children"][2] == our_rule(WISH)
    for name in ("name", "behaviors", "options", "customOverride"):
        assert made[name] == OTHERS[name]
    assert made["variables"][0] == OTHERS["variables"][0]
    ours = {one["name"]: (one["hidden"], one["sensitive"]) for one in made["variables"][1:]}
    assert ours == {"PMUSER_SP_RID": (True, False), "PMUSER_SP_V": (True, False)}


def test_a_second_time_changes_nothing_even_after_akamai_wrote_ids_into_it() -> None:
    once = with_our_rule(OTHERS, WISH)
    stored = copy.deepcopy(once)
    stored["children"][2]["uuid"] = "u-3"
    stored["children"][2]["behaviors"][0]["uuid"] = "u-4"
    twice = with_our_rule(stored, WISH)
    assert twice == stored
    assert difference(stored, twice) == ""


GROUP = {
    "name": "Conditional Origin Group",
    "behaviors": [{"name": "allowCloudletsOrigins", "options": {"enabled": True}}],
    "children": [{"name": "Blue", "criteria": [{"name": "cloudletsOrigin", "options": {"originId": "blue"}}]}],
}


def test_the_group_of_conditional_origins_stays_the_last_one() -> None:
    before = {**OTHERS, "children": [*OTHERS["children"], GROUP]}
    made = with_our_rule(before, WISH)
    assert [child["name"] for child in made["children"]] == ["Locked", "Last", RULE_NAME, "Conditional Origin Group"]
    moved = {**made, "children": [made["children"][2], *made["children"][:2], GROUP]}
    assert with_our_rule(moved, replace(WISH, to_end=True))["children"] == made["children"]
    assert conditional_origins(made) == {"blue"}


def test_it_stays_in_its_place_when_it_changes() -> None:
    once = with_our_rule(OTHERS, WISH)
    once["children"].append({"name": "After", "behaviors": []})
    changed = with_our_rule(once, Attached("edge", 43, ("a.test",)))
    assert [child["name"] for child in changed["children"]] == ["Locked", "Last", RULE_NAME, "After"]
    assert changed["children"][2]["behaviors"][0]["options"]["edgeWorkerId"] == "43"
    assert not is_same(once, changed)


def test_what_was_loosened_by_hand_is_seen_and_put_right() -> None:
    held = with_our_rule(OTHERS, WISH)
    held["children"][2]["behaviors"][0]["options"]["continueOnError"] = True
    held["variables"][1] = {**held["variables"][1], "hidden": False}
    made = with_our_rule(held, WISH)
    assert made["children"][2] == our_rule(WISH)
    assert made["variables"][1]["hidden"] is True


def test_a_rule_of_our_name_without_our_mark_is_not_touched() -> None:
    theirs = {**OTHERS, "children": [{"name": RULE_NAME, "behaviors": [], "comments": "mine"}]}
    with pytest.raises(NotOurRule, match="without the mark"):
        with_our_rule(theirs, WISH)


def test_two_targets_have_a_rule_each() -> None:
    both = with_our_rule({**OTHERS, "children": []}, WISH)
    both["children"][0]["name"] = "Renamed by somebody"
    other = with_our_rule(both, Attached("edge-two", 7, ("c.test",)))
    assert [child["comments"].split()[0] for child in other["children"]] == ["[sallyport:edge]", "[sallyport:edge-two]"]


def test_taking_it_out_leaves_the_tree_as_it_was() -> None:
    assert without_our_rule(with_our_rule(OTHERS, WISH), WISH.mark) == OTHERS
    assert without_our_rule(OTHERS, WISH.mark) == OTHERS


def test_a_variable_that_somebody_else_names_stays() -> None:
    made = with_our_rule(OTHERS, WISH)
    made["children"].append({"name": "Log", "behaviors": [{"name": "log", "options": {"f": "{{user.PMUSER_SP_RID}}"}}]})
    rest = without_our_rule(made, WISH.mark)
    assert [one["name"] for one in rest["variables"]] == ["PMUSER_OWN", "PMUSER_SP_RID"]


def test_the_difference_shows_only_what_is_added() -> None:
    text = difference(OTHERS, with_our_rule(OTHERS, WISH))
    removed = [line for line in text.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert [line.strip("- ") for line in removed] in ([], ["}"], ["}", "}"])
    assert any(RULE_NAME in line for line in text.splitlines() if line.startswith("+"))


def test_the_variables_stay_while_another_target_runs_its_code_there() -> None:
    both = with_our_rule(OTHERS, WISH)
    both["children"][2]["name"] = "Renamed by somebody"
    both = with_our_rule(both, Attached("edge-two", 7, ("c.test",)))
    rest = without_our_rule(both, WISH.mark)
    assert [one["name"] for one in rest["variables"]] == ["PMUSER_OWN", "PMUSER_SP_RID", "PMUSER_SP_V"]
