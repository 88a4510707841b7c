"""What of a property's live rules is not as we left it, and which of it leaves a door open. Pure.

Most of all what fails open: our rule gone, narrowed, overruled or switched off, ``continueOnError``, Site Failover, a
missing refusal when the code fails.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.rollout.drivers.akamai.rules import (
    FAILURE_NAME,
    VARIABLES,
    Attached,
    Rules,
    conditional_origins,
    difference,
    hosts_of,
    is_origin_group,
    is_same,
    our_rule,
    place_of,
)

POSITION, MORE_HOSTS, FAILOVER, ORIGINS = "position", "more-hosts", "site-failover", "conditional-origins"
HOSTS_LEFT = "hosts-left"
MOST_WORDS = 190
"""Of what is expected and seen, as it is kept."""

FAILS_OPEN = "It lets calls through unchecked when something fails, so it is never taken over."
UNCHECKED = "Calls would reach the application unchecked, so it is never taken over."
UNKNOWN = "What it does to a call is not known here, so it is not taken over."


@dataclass(frozen=True, slots=True)
class Fault:
    """``opens``: a call may pass unchecked. ``why_not``: why it cannot be adopted; empty when it can."""

    what: str
    detail: str
    expected: str
    observed: str
    why_not: str
    opens: bool = False
    diff: str = ""


def faults(rules: Rules, wish: Attached) -> list[Fault]:
    """Each thing once, the ones that leave a door open first."""
    place = place_of(rules, wish.mark)
    if place is None:
        hosts = ", ".join(wish.hostnames)
        detail = f"Our rule is not in the version that is live, so nobody checks calls to {hosts}."
        return [Fault("rule", detail, "present", "gone", UNCHECKED, opens=True), *_failover(rules.get("behaviors"))]
    held = rules["children"][place]
    found = [
        *_code(held, wish),
        *_criteria(held, wish, hosts_of(rules, wish.mark)),
        *_refusal(held),
        *_later(rules["children"][place + 1 :], wish),
        *_failover([*(rules.get("behaviors") or []), *(held.get("behaviors") or [])]),
        *_variables(rules.get("variables") or []),
        *_origins(rules, wish),
    ]
    found += _rest(held, wish, found)
    return sorted(found, key=lambda fault: not fault.opens)


def _code(held: Rules, wish: Attached) -> Iterator[Fault]:
    """The behaviour that runs our code."""
    runs = [one for one in held.get("behaviors") or [] if one.get("name") == "edgeWorker"]
    options: Mapping[str, Any] = runs[0].get("options", {}) if runs else {}
    diff = difference(our_rule(wish), held)
    seen = str(options.get("edgeWorkerId", "none")) if options.get("enabled") else "switched off" if runs else "none"
    if len(runs) != 1 or seen != str(wish.edgeworker_id):
        detail = f"Our rule should run EdgeWorker {wish.edgeworker_id}; it runs: {seen}."
        yield Fault("behaviour", detail, str(wish.edgeworker_id), seen, UNCHECKED, opens=True, diff=diff)
    if options.get("continueOnError"):
        detail = "continueOnError is on: when the code fails, the call goes on to the application unchecked."
        yield Fault("continue-on-error", detail, "off", "on", FAILS_OPEN, opens=True, diff=diff)


def _criteria(held: Rules, wish: Attached, seen: Sequence[str]) -> Iterator[Fault]:
    """For which calls our rule holds."""
    wanted, diff = our_rule(wish)["criteria"][0], difference(our_rule(wish), held)
    criteria = held.get("criteria") or []
    plain = len(criteria) == 1 and criteria[0].get("name") == "hostname"
    operator = criteria[0].get("options", {}).get("matchOperator") if plain else None
    if not plain or operator != wanted["options"]["matchOperator"]:
        detail = "Our rule no longer holds for every call to its hosts."
        yield Fault("criteria", detail, _brief([wanted]), _brief(criteria), UNCHECKED, opens=True, diff=diff)
        return
    if missing := sorted(set(wish.hostnames) - set(seen)):
        detail = f"Our rule no longer holds for {', '.join(missing)}: nobody checks these calls."
        yield Fault("fewer-hosts", detail, names(wish.hostnames), names(seen), UNCHECKED, opens=True, diff=diff)
    if more := sorted(set(seen) - set(wish.hostnames)):
        detail = f"Our rule also holds for {', '.join(more)}, which was not asked for here."
        fits = len(", ".join(seen)) <= MOST_WORDS
        why_not = "" if fits else "These are too many to take over at once; ask for each under Properties."
        yield Fault(MORE_HOSTS, detail, names(wish.hostnames), names(seen), why_not, diff=diff)


def _refusal(held: Rules) -> Iterator[Fault]:
    if any(_refuses(child) for child in held.get("children") or []):
        return
    detail = "The rule that refuses a call when the code failed (edgeWorkersFailure) is gone or changed."
    yield Fault("failure-rule", detail, FAILURE_NAME, "none", FAILS_OPEN, opens=True)


def _refuses(child: Rules) -> bool:
    criteria, behaviors = child.get("criteria") or [], child.get("behaviors") or []
    fails = [one.get("options", {}).get("execStatus") for one in criteria if one.get("name") == "edgeWorkersFailure"]
    denies = [one.get("options", {}).get("enabled", True) for one in behaviors if one.get("name") == "denyAccess"]
    return fails == ["FAILURE"] and len(criteria) == 1 and denies == [True]


def _later(later: Sequence[Rules], wish: Attached) -> Iterator[Fault]:
    """Of two rules that hold for a call the later one wins."""
    overruling = [rule for rule in later if _overrules(rule, wish)]
    names = ", ".join(str(rule.get("name", "a rule")) for rule in later)
    if overruling:
        which = str(overruling[0].get("name", "a rule"))
        detail = f"The rule {which} comes after ours and overrules what it says about EdgeWorkers or failures."
        yield Fault("overruled", detail, "nothing after our rule", names, UNCHECKED, opens=True)
    elif len(later) > 1 or (later and not is_origin_group(later[0])):
        detail = f"Our rule is no longer the last one: {names} may come between. Nothing there overrules it today."
        yield Fault(POSITION, detail, "last", f"before {names}"[:MOST_WORDS], "")


def _overrules(rule: Rules, wish: Attached) -> bool:
    """Another target's own rule, for its own hosts, does not."""
    ours = {"options": {"enabled": True, "edgeWorkerId": str(wish.edgeworker_id)}}
    for behavior in _behaviors(rule):
        options = behavior.get("options", {})
        if behavior.get("name") == "failAction" and options.get("enabled", True):
            return True
        if behavior.get("name") != "edgeWorker":
            continue
        same = all(options.get(name) == value for name, value in ours["options"].items())
        if (not same and not _is_for_others(rule, wish)) or options.get("continueOnError"):
            return True
    return False


def _is_for_others(rule: Rules, wish: Attached) -> bool:
    named = [
        one.get("options", {}).get("values") or []
        for one in rule.get("criteria") or []
        if one.get("name") == "hostname" and one.get("options", {}).get("matchOperator") == "IS_ONE_OF"
    ]
    alone = rule.get("criteriaMustSatisfy", "all") == "all"
    return alone and any(not set(hosts) & set(wish.hostnames) for hosts in named)


def _behaviors(rule: Rules) -> Iterator[Rules]:
    yield from rule.get("behaviors") or []
    for child in rule.get("children") or []:
        yield from _behaviors(child)


def _failover(behaviors: Sequence[Rules] | None) -> Iterator[Fault]:
    if any(one.get("name") == "failAction" and one.get("options", {}).get("enabled", True) for one in behaviors or []):
        detail = "Site Failover is on: a call that fails here, also at our code, is answered from elsewhere."
        yield Fault(FAILOVER, detail, "off", "on", FAILS_OPEN, opens=True)


def _variables(held: Sequence[Rules]) -> Iterator[Fault]:
    known = {str(one.get("name")): one for one in held}
    missing = [name for name in VARIABLES if name not in known]
    shown = [name for name in VARIABLES if name in known and not known[name].get("hidden")]
    if missing:
        detail = f"The property lacks the variables {', '.join(missing)}; the code answers every call with an error."
        yield Fault(
            "variables", detail, names(VARIABLES), names(known.keys() & VARIABLES), "Without them no call works."
        )
    if shown:
        detail = f"Any client can read {', '.join(shown)}: they are no longer hidden."
        yield Fault("visible-variables", detail, "hidden", "visible", "What the doors decide is not for every client.")


def _origins(rules: Rules, wish: Attached) -> Iterator[Fault]:
    held = conditional_origins(rules)
    if missing := sorted(set(wish.origins) - held):
        detail = f"The property has no conditional origin {', '.join(missing)}: calls for that version end in an error."
        yield Fault(ORIGINS, detail, names(wish.origins), names(held), "Without it these calls fail.")


def _rest(held: Rules, wish: Attached, found: Sequence[Fault]) -> Iterator[Fault]:
    """What differs though none of the above does; a rule may be renamed as anybody likes."""
    explained = {"behaviour", "continue-on-error", "criteria", "fewer-hosts", MORE_HOSTS, "failure-rule"}
    wanted = {**our_rule(wish), "name": held.get("name"), "comments": held.get("comments")}
    if is_same(wanted, held) or any(fault.what in explained for fault in found):
        return
    diff = difference(wanted, held)
    yield Fault("other", "Somebody changed our rule.", "as written here", "otherwise", UNKNOWN, diff=diff)


def names(names: Any) -> str:
    return ", ".join(sorted(names))[:MOST_WORDS] or "none"


def _brief(criteria: Sequence[Rules]) -> str:
    return json.dumps([{"name": one.get("name"), "options": one.get("options")} for one in criteria])[:MOST_WORDS]


def text_diff(expected: str, observed: str) -> str:
    """Of two texts, laid out when they are JSON; empty when they say the same."""
    old, new = (_laid_out(text).splitlines() for text in (expected, observed))
    return "\n".join(difflib.unified_diff(old, new, "should be", "is", lineterm=""))


def _laid_out(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False)
    except ValueError:
        return text
