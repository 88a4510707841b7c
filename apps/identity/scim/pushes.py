"""What a request says of a group: read from the PATCHes that directories really send, without looking at the group.

Okta repeats the name and adds or removes some members; Entra removes them by value. None of that needs to know who is
in the group already, and a large group should not be read for each of its members. Any other PATCH is the library's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from scim2_models import PatchOp

ONE_MEMBER = re.compile(r'members\[value eq "([^"\\]{1,255})"\]', re.IGNORECASE)
OF_A_MEMBER = frozenset({"value", "display", "$ref", "type"})


@dataclass(slots=True)
class Push:
    """``come`` are ids and what the directory calls them. If ``whole`` everybody else leaves, or else ``gone`` do."""

    name: str | None = None
    external_id: str | None = None
    come: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    whole: bool = False

    def add(self, members: dict[str, str]) -> None:
        self.gone -= members.keys()
        self.come.update(members)

    def remove(self, members: Iterable[str]) -> None:
        for one in members:
            self.come.pop(one, None)
            self.gone.add(one)

    def replace(self, members: dict[str, str]) -> None:
        self.come, self.gone, self.whole = dict(members), set(), True


def uuid_or_none(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


class NotPlain(Exception):
    """An operation that only the library understands."""


def read(patch: PatchOp[Any]) -> Push | None:
    """None when some operation is of another kind."""
    push = Push()
    try:
        for operation in patch.operations or []:
            path = str(operation.path) if operation.path is not None else ""
            _apply(push, str(operation.op.value if operation.op else ""), path.lower(), path, operation.value)
    except NotPlain:
        return None
    return push


def _apply(push: Push, op: str, path: str, spelled: str, value: Any) -> None:
    if op == "remove":
        _remove(push, path, spelled, value)
    elif path == "members":
        _put(push, op, _members(value))
    elif path in {"displayname", "externalid"}:
        _call(push, path, value)
    elif not path and isinstance(value, dict):
        for key, item in value.items():
            if not key:
                raise NotPlain
            _apply(push, op, str(key).lower(), str(key), item)
    else:
        raise NotPlain


def _put(push: Push, op: str, members: dict[str, str]) -> None:
    if op == "add":
        push.add(members)
    else:
        push.replace(members)


def _remove(push: Push, path: str, spelled: str, value: Any) -> None:
    one = ONE_MEMBER.fullmatch(spelled)
    if one and value is None:
        push.remove([one[1]])
    elif path == "members" and value is None:
        push.replace({})
    elif path == "members" and isinstance(value, list) and all(_only_value(item) for item in value):
        push.remove([item["value"] for item in value])
    else:
        raise NotPlain


def _only_value(item: object) -> bool:
    return isinstance(item, dict) and item.keys() == {"value"} and isinstance(item["value"], str)


def _call(push: Push, path: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise NotPlain
    if path == "displayname":
        push.name = value
    else:
        push.external_id = value


def _members(value: Any) -> dict[str, str]:
    if not isinstance(value, list):
        raise NotPlain
    return dict(_member(one) for one in value)


def _member(told: Any) -> tuple[str, str]:
    if not isinstance(told, dict) or not told.keys() <= OF_A_MEMBER:
        raise NotPlain
    value, display = told.get("value"), told.get("display")
    if not isinstance(value, str) or not value or not isinstance(display, str | None):
        raise NotPlain
    return value, (display or "")[:255]
