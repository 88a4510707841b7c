"""Claims a token must carry besides its subject: each equal to a text, or beginning with one.

Written a line each, with ``>`` between the names of claims that lie inside one another:

    repository_owner = shop
    ref ^= refs/heads/release/
    https://sts.amazonaws.com/ > principal_tags > env = prod
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypedDict

from apps.identity.errors import InvalidBinding

MOST = 10
LONGEST = 300
CALLER_CHOSEN = "request_tags"
"""Whoever asks AWS for a token writes these into it as it likes: they show nothing."""

_LINE = re.compile(r"\s*(?P<claim>[^=^]+?)\s*(?P<how>\^?=)\s*(?P<value>\S.*?)\s*")


class Condition(TypedDict):
    claim: list[str]
    match: str
    value: str


def parse(text: str) -> list[Condition]:
    """Lines as above; raises InvalidBinding."""
    return checked(_parse_line(line) for line in text.splitlines() if line.strip())


def _parse_line(line: str) -> Condition:
    found = _LINE.fullmatch(line)
    if found is None:
        raise InvalidBinding(fields={"conditions": [f"{line.strip()!r} is not like ref = refs/heads/main."]})
    claim = [part.strip() for part in found["claim"].split(">")]
    return {"claim": claim, "match": "equal" if found["how"] == "=" else "prefix", "value": found["value"]}


def checked(conditions: Iterable[Condition]) -> list[Condition]:
    found = [Condition(claim=list(one["claim"]), match=one["match"], value=one["value"]) for one in conditions]
    complaints = [complaint for one in found if (complaint := _complaint(one))]
    if len(found) > MOST:
        complaints.append(f"At most {MOST} claims can be asked for.")
    if complaints:
        raise InvalidBinding(fields={"conditions": complaints})
    return found


def _complaint(one: Condition) -> str:
    if not one["claim"] or not all(one["claim"]) or len(one["claim"]) > 5:
        return "Name the claim."
    if CALLER_CHOSEN in one["claim"]:
        return f"{CALLER_CHOSEN} are chosen by whoever asks for the token; they show nothing."
    if one["match"] not in {"equal", "prefix"} or not one["value"]:
        return f"Say what {' > '.join(one['claim'])} must be or begin with."
    long = any(len(text) > LONGEST or "\x00" in text for text in (*one["claim"], one["value"]))
    return f"A claim has at most {LONGEST} characters." if long else ""


def shown(conditions: Iterable[Condition]) -> list[str]:
    signs = {"equal": "=", "prefix": "^="}
    return [f"{' > '.join(one['claim'])} {signs[one['match']]} {one['value']}" for one in conditions]


def unmet(conditions: Iterable[Condition], claims: Mapping[str, object]) -> str:
    """The first condition the claims do not meet, as a person would write it; empty when they meet all."""
    return next((shown([one])[0] for one in conditions if not _met(one, claims)), "")


def _met(one: Condition, claims: Mapping[str, object]) -> bool:
    value: object = claims
    for name in one["claim"]:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        return False
    return value == one["value"] if one["match"] == "equal" else value.startswith(one["value"])
