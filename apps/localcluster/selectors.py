"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from apps.localcluster.http import Obj, bad_request

Chooses = Callable[[Obj], bool]

_SET = re.compile(r"(?P<key>\S+)\s+(?P<word>in|notin)\s+\((?P<values>[^)]*)\)")
_PARTS = re.compile(r",(?![^(]*\))")


def choosing(labels: str, fields: str) -> Chooses:
    """Whether an object is meant by both selectors. Raises Refused."""
    tests = [_label_test(part.strip()) for part in _PARTS.split(labels) if part.strip()]
    wanted = [_field_test(part.strip()) for part in fields.split(",") if part.strip()]

    def chooses(obj: Obj) -> bool:
        found = obj["metadata"].get("labels") or {}
        return all(test(found) for test in tests) and all(test(obj) for test in wanted)

    return chooses


def _label_test(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(part):
        key, values = found["key"], {one.strip() for one in found["values"].split(",")}
        if found["word"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if "!=" in part:
        key, _, value = part.partition("!=")
        return lambda labels: labels.get(key.strip()) != value.strip()
    if "=" in part:
        key, _, value = part.replace("==", "=").partition("=")
        return lambda labels: labels.get(key.strip()) == value.strip()
    if part.startswith("!"):
        return lambda labels: part[1:].strip() not in labels
    if " " in part:
        raise bad_request(f'unable to parse requirement: found "{part}", expected: in, notin, =, ==, !=, or nothing')
    return lambda labels: part in labels


def _field_test(part: str) -> Callable[[Obj], bool]:
    negative = "!=" in part
    path, _, value = part.replace("==", "=").replace("!=", "=").partition("=")
    if path not in ("metadata.name", "metadata.namespace"):
        raise bad_request(f"field label not supported: {path}")

    def test(obj: Any) -> bool:
        return (str(obj["metadata"].get(path.removeprefix("metadata."), "")) == value) is not negative

    return test
