"""What of a property's live rules is not as we left it, and which of it leaves a door open."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from apps.rollout.drivers.akamai.rules import Attached, with_our_rule
from apps.rollout.drivers.akamai.watch import Fault, faults

WISH = Attached("edge", 42, ("a.test", "b.test"))
OTHERS: dict[str, Any] = {
    "name": "default",
    "behaviors": [{"name": "origin", "options": {"hostname": "o.test"}}],
    "children": [{"name": "Compress", "behaviors": [{"name": "gzipResponse", "options": {}}]}],
    "variables": [],
}
Change = Callable[[dict[str, Any]], object]


def seen(change: Change) -> list[Fault]:
    tree = copy.deepcopy(with_our_rule(OTHERS, WISH))
    change(tree)
    return faults(tree, WISH)


def run(tree: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = tree["children"][1]["behaviors"][0]["options"]
    return options


def hosts(tree: dict[str, Any]) -> list[str]:
    values: list[str] = tree["children"][1]["criteria"][0]["options"]["values"]
    return values


def worker(number: str, **more: object) -> dict[str, Any]:
    return {"name": "edgeWorker", "options": {"enabled": True, "edgeWorkerId": number, **more}}


def test_what_we_left_is_right_also_with_what_akamai_wrote_into_it() -> None:
    def stored(tree: dict[str, Any]) -> None:
        tree["children"][1]["uuid"] = "u-1"
        tree["children"][1]["behaviors"][0]["uuid"] = "u-2"
        tree["children"][1]["name"] = "Renamed by somebody"
        tree["children"][0]["behaviors"].append({"name": "caching", "options": {}})

    assert seen(stored) == []


def test_a_conditional_origin_that_is_missing_is_told_and_their_group_may_stand_last() -> None:
    group = {
        "name": "Conditional Origin Group",
        "behaviors": [{"name": "allowCloudletsOrigins", "options": {"enabled": True}}],
        "children": [{"name": "Blue", "criteria": [{"name": "cloudletsOrigin", "options": {"originId": "blue"}}]}],
    }
    tree = with_our_rule({**OTHERS, "children": [*OTHERS["children"], group]}, WISH)
    assert faults(tree, replace(WISH, origins=("blue",))) == []
    [found] = faults(tree, replace(WISH, origins=("blue", "green")))
    assert (found.what, found.opens, found.expected, found.observed) == (
        "conditional-origins",
        False,
        "blue, green",
        "blue",
    )
    assert found.detail == "The property has no conditional origin green: calls for that version end in an error."
    tree["children"].append({"name": "By hand", "behaviors": []})
    assert [fault.what for fault in faults(tree, WISH)] == ["position"]


OPEN: list[tuple[str, Change]] = [
    ("rule", lambda tree: tree["children"].pop()),
    ("behaviour", lambda tree: run(tree).update(enabled=False)),
    ("behaviour", lambda tree: run(tree).update(edgeWorkerId="7")),
    ("behaviour", lambda tree: tree["children"][1]["behaviors"].clear()),
    ("continue-on-error", lambda tree: run(tree).update(continueOnError=True)),
    ("failure-rule", lambda tree: tree["children"][1]["children"].clear()),
    ("failure-rule", lambda tree: tree["children"][1]["children"][0]["behaviors"][0]["options"].update(enabled=False)),
    (
        "failure-rule",
        lambda tree: tree["children"][1]["children"][0]["criteria"][0]["options"].update(execStatus="SUCCESS"),
    ),
    ("fewer-hosts", lambda tree: hosts(tree).remove("b.test")),
    (
        "criteria",
        lambda tree: tree["children"][1]["criteria"].append({"name": "path", "options": {"values": ["/x"]}}),
    ),
    (
        "criteria",
        lambda tree: tree["children"][1]["criteria"][0]["options"].update(matchOperator="IS_NOT_ONE_OF"),
    ),
    ("overruled", lambda tree: tree["children"].append({"name": "Late", "behaviors": [worker("7")]})),
    (
        "overruled",
        lambda tree: tree["children"].append({"name": "Late", "behaviors": [worker("42", continueOnError=True)]}),
    ),
    (
        "overruled",
        lambda tree: tree["children"].append(
            {"name": "Late", "behaviors": [], "children": [{"name": "In", "behaviors": [{"name": "failAction"}]}]}
        ),
    ),
    ("site-failover", lambda tree: tree["behaviors"].append({"name": "failAction", "options": {"enabled": True}})),
]


@pytest.mark.parametrize(("what", "change"), OPEN, ids=[f"{number}-{row[0]}" for number, row in enumerate(OPEN)])
def test_what_leaves_a_door_open_is_an_alarm_and_never_to_be_adopted(what: str, change: Change) -> None:
    (fault,) = seen(change)
    assert (fault.what, fault.opens) == (what, True)
    assert fault.why_not.endswith("never taken over.")


def test_a_host_more_may_be_adopted() -> None:
    (fault,) = seen(lambda tree: hosts(tree).append("c.test"))
    assert (fault.what, fault.opens, fault.why_not) == ("more-hosts", False, "")
    assert (fault.expected, fault.observed) == ("a.test, b.test", "a.test, b.test, c.test")


def test_another_place_may_be_adopted_while_nothing_after_it_overrules_it() -> None:
    (fault,) = seen(lambda tree: tree["children"].reverse())
    assert (fault.what, fault.opens, fault.why_not, fault.observed) == ("position", False, "", "before Compress")


def test_another_targets_rule_for_its_own_hosts_overrules_nothing() -> None:
    one = copy.deepcopy(with_our_rule(OTHERS, WISH))
    one["children"][1]["name"] = "First"
    two = with_our_rule(one, Attached("two", 7, ("c.test",)))
    assert [fault.what for fault in faults(two, WISH)] == ["position"]


def test_variables_that_are_gone_or_visible_are_seen() -> None:
    (gone,) = seen(lambda tree: tree["variables"].clear())
    (visible,) = seen(lambda tree: tree["variables"][0].update(hidden=False))
    assert (gone.what, gone.opens) == ("variables", False)
    assert (visible.what, visible.detail) == (
        "visible-variables",
        "Any client can read PMUSER_SP_RID: they are no longer hidden.",
    )
    assert gone.why_not
    assert visible.why_not


def test_whatever_else_was_put_into_our_rule_is_shown_and_not_judged() -> None:
    (fault,) = seen(lambda tree: tree["children"][1]["behaviors"].append({"name": "caching", "options": {}}))
    assert (fault.what, fault.opens) == ("other", False)
    assert fault.why_not.startswith("What it does to a call is not known here")
    assert '+      "name": "caching"' in fault.diff


def test_several_things_are_told_one_by_one_the_open_doors_first() -> None:
    def much(tree: dict[str, Any]) -> None:
        tree["variables"].clear()
        hosts(tree).append("c.test")
        run(tree).update(continueOnError=True)

    assert [fault.what for fault in seen(much)] == ["continue-on-error", "more-hosts", "variables"]
