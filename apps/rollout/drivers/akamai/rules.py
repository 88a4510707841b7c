"""Our own rule within a property's rule tree. Everything else in the tree is kept as it was found.

A rule is ours when its comment carries the target's mark. The tree is the dictionary PAPI gives; nothing here does I/O.
Sources: techdocs.akamai.com, "edgeWorker" behaviour and "edgeWorkersFailure" criterion, rule format v2025-10-16.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RULE_NAME = "Sallyport access"
ANY_MARK = "[sallyport:"
FAILURE_NAME = "Sallyport refuses when its code fails"
VARIABLES = ("PMUSER_SP_RID", "PMUSER_SP_V")
"""What the code hands from one event handler to the next. Hidden, or any client could read them."""
_DESCRIPTION = "Set by the Sallyport EdgeWorker"
_THEIRS = ("uuid", "templateUuid", "templateLink", "criteriaLocked", "locked")
"""What Property Manager writes into a rule by itself."""

Rules = Mapping[str, Any]


class NotOurRule(Exception):
    """There is a rule of our name that does not carry our mark: somebody else made it, so it is not touched."""


LOG_TEMPLATE = "{{user.PMUSER_SP_RID}};{{user.PMUSER_SP_V}}"
"""The custom field of a log line: the request id and what the code decided. At most 1000 bytes, says Akamai."""


@dataclass(frozen=True, slots=True)
class Attached:
    """What a property should do: run the EdgeWorker for these hosts, and refuse when it fails.

    With ``stream_id`` it also logs to that stream; with ``client_certificate``, the GUID of a version in the keystore,
    it shows that to the origin, and goes nowhere that does not ask for it. ``to_end``: our rule moves behind all
    others, where nothing overrules it. ``origins`` are ids of conditional origins the code may send calls to; others
    make those, we only look whether they are there.
    """

    target: str
    edgeworker_id: int
    hostnames: tuple[str, ...]
    to_end: bool = False
    stream_id: int | None = None
    client_certificate: str = ""
    origins: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        return f"{ANY_MARK}{self.target}]"


def our_rule(wish: Attached) -> dict[str, Any]:
    """``continueOnError`` false ends a failing request with an error; the rule within it refuses in any case."""
    run = {
        "name": "edgeWorker",
        "options": {
            "enabled": True,
            "createEdgeWorker": "",
            "edgeWorkerId": str(wish.edgeworker_id),
            "continueOnError": False,
            "mPulse": False,
        },
    }
    refuse = {
        "name": FAILURE_NAME,
        "criteria": [{"name": "edgeWorkersFailure", "options": {"execStatus": "FAILURE"}}],
        "criteriaMustSatisfy": "all",
        "behaviors": [{"name": "denyAccess", "options": {"reason": "sallyport-code-failed", "enabled": True}}],
        "children": [],
        "comments": f"{wish.mark} Part of the rule around it.",
    }
    hosts = {"name": "hostname", "options": {"matchOperator": "IS_ONE_OF", "values": sorted(wish.hostnames)}}
    return {
        "name": RULE_NAME,
        "criteria": [hosts],
        "criteriaMustSatisfy": "all",
        "behaviors": [run, *_certificate(wish), *_log(wish)],
        "children": [refuse],
        "comments": f"{wish.mark} Written by Sallyport. Change or remove it there, not here.",
    }


def _certificate(wish: Attached) -> list[dict[str, Any]]:
    """``authClientCert``: an origin that does not ask for it gets no connection, rather than a plain one."""
    options = {"enable": True, "authClientCert": True, "clientCertificateVersionGuid": wish.client_certificate}
    return [{"name": "mtlsOriginKeystore", "options": options}] if wish.client_certificate else []


def _log(wish: Attached) -> list[dict[str, Any]]:
    if wish.stream_id is None:
        return []
    stream = {
        "streamType": "LOG",
        "logEnabled": True,
        "logStreamName": [str(wish.stream_id)],
        "samplingPercentage": 100,
        "collectMidgressTraffic": False,
    }
    field = {"logCustomLogField": True, "customLogField": LOG_TEMPLATE}
    return [{"name": "datastream", "options": stream}, {"name": "report", "options": field}]


def certificate_of(rules: Rules, mark: str) -> str:
    """The client certificate our rule names; empty for none."""
    place = place_of(rules, mark)
    behaviours = [] if place is None else rules["children"][place].get("behaviors") or []
    named = [one["options"] for one in behaviours if one.get("name") == "mtlsOriginKeystore"]
    return str(named[0].get("clientCertificateVersionGuid", "")) if named else ""


_GUID_LINE = re.compile(r'[-+]\s*"clientCertificateVersionGuid": "[0-9A-Za-z-]*",?')


def is_renewal(text: str) -> bool:
    """Whether a difference replaces one client certificate by another, and does nothing else."""
    told = [line for line in text.splitlines() if line[:1] in "-+" and not line.startswith(("--- ", "+++ "))]
    return len(told) == 2 and all(_GUID_LINE.fullmatch(line) for line in told)


def with_our_rule(rules: Rules, wish: Attached) -> dict[str, Any]:
    """The tree with our rule in its place, or at the end, where it overrules the others; and with our variables."""
    children, place = list(rules.get("children") or []), place_of(rules, wish.mark)
    if place is None:
        if any(child.get("name") == RULE_NAME for child in children):
            raise NotOurRule(f"A rule named {RULE_NAME} is there already, without the mark {wish.mark}.")
        children.insert(_end_of(children), our_rule(wish))
    elif not is_same(children[place], our_rule(wish)):
        children[place] = our_rule(wish)
    if place is not None and wish.to_end:
        ours = children.pop(place)
        children.insert(_end_of(children), ours)
    return {**rules, "children": children, "variables": _with_variables(rules.get("variables") or [])}


def _end_of(children: Sequence[Rules]) -> int:
    """Behind all others but the group of conditional origins, which Property Manager wants to be the last."""
    return len(children) - (1 if children and is_origin_group(children[-1]) else 0)


def is_origin_group(rule: Rules) -> bool:
    """Source: techdocs.akamai.com, "Allow Conditional Origins"."""
    return any(one.get("name") == "allowCloudletsOrigins" for one in rule.get("behaviors") or [])


def conditional_origins(rules: Rules) -> frozenset[str]:
    """Ids of those the property has, wherever they stand in its tree."""
    own = {
        str(one.get("options", {}).get("originId", ""))
        for one in rules.get("criteria") or []
        if one.get("name") == "cloudletsOrigin"
    }
    return frozenset(own).union(*(conditional_origins(child) for child in rules.get("children") or []))


def hosts_of(rules: Rules, mark: str) -> tuple[str, ...]:
    """The hosts our rule is for; none when it is not there."""
    place = place_of(rules, mark)
    criteria = [] if place is None else rules["children"][place].get("criteria") or []
    return tuple(host for one in criteria if one["name"] == "hostname" for host in one["options"].get("values", []))


def without_our_rule(rules: Rules, mark: str) -> dict[str, Any]:
    """The tree without our rule, and without our variables unless something else names them."""
    place = place_of(rules, mark)
    if place is None:
        return dict(rules)
    children = [child for number, child in enumerate(rules["children"]) if number != place]
    rest = {**rules, "children": children}
    return {**rest, "variables": _without_variables(rest)} if "variables" in rules else rest


def _without_variables(rest: Rules) -> list[Rules]:
    spoken_of = json.dumps({name: value for name, value in rest.items() if name != "variables"})
    needed = ANY_MARK in spoken_of  # another target's code runs here and sets them
    return [one for one in rest["variables"] if one["name"] not in VARIABLES or needed or one["name"] in spoken_of]


def place_of(rules: Rules, mark: str) -> int | None:
    """Where our rule stands among the children of the tree."""
    for number, child in enumerate(rules.get("children") or []):
        if mark in str(child.get("comments") or ""):
            return number
    return None


def _with_variables(held: Sequence[Rules]) -> list[Rules]:
    """Ours are made hidden; all others stay."""
    ours = {
        name: {"name": name, "value": "", "description": _DESCRIPTION, "hidden": True, "sensitive": False}
        for name in VARIABLES
    }
    kept = [one if one["name"] not in ours or _is_hidden(one) else ours[one["name"]] for one in held]
    names = {one["name"] for one in held}
    return [*kept, *(ours[name] for name in VARIABLES if name not in names)]


def _is_hidden(variable: Rules) -> bool:
    return bool(variable.get("hidden")) and not variable.get("sensitive")


def is_same(one: Any, other: Any) -> bool:
    """Whether two rules, or trees, say the same, whatever Property Manager wrote into them by itself."""
    return bool(_said(one) == _said(other))


def _said(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _said(part) for name, part in value.items() if name not in _THEIRS and part not in ([], "", None)}
    if isinstance(value, list):
        return [_said(part) for part in value]
    return value


def difference(before: Rules, after: Rules) -> str:
    """Unified text; empty when the trees say the same."""
    if is_same(before, after):
        return ""
    old, new = (json.dumps(tree, indent=2, ensure_ascii=False).splitlines() for tree in (before, after))
    return "\n".join(difflib.unified_diff(old, new, "before", "after", lineterm=""))
