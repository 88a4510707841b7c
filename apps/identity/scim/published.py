"""Answers from our rows, as the library would write them, without making its models in between.

What a directory sent was checked and put into the library's own words on its way in, so it is given back as it is kept.
A request that chooses attributes is answered by the library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scim2_models import Resource
from scim2_server.storage import SearchPage

from apps.identity.models import DirectoryUser, Group
from apps.identity.scim.resources import ENTERPRISE, GROUP, USER, group_resource, user_resource

Members = list[tuple[str, str]]
"""Ids and shown names."""

Locate = Callable[[str], str]
"""The address of what a reference such as ``Users/2819c223`` names."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A row, and what goes into an answer beside it."""

    row: DirectoryUser | Group
    members: Members | None = None

    @property
    def id(self) -> str:
        return str(self.row.scim_id)

    def resource(self) -> Resource[Any]:
        if isinstance(self.row, DirectoryUser):
            return user_resource(self.row)
        return group_resource(self.row, self.members)

    def published(self, locate: Locate) -> dict[str, Any]:
        if isinstance(self.row, DirectoryUser):
            return _user(self.row, locate)
        return _group(self.row, self.members or [], locate)


class FoundPage(SearchPage):
    """A page whose resources are made only when somebody looks at them."""

    def __init__(self, total: int, shown: list[Shown]) -> None:
        self.total, self.shown = total, shown
        self.next = self.previous = None

    @property
    def resources(self) -> list[Resource[Any]]:  # type: ignore[override]  # a field of the library's, never assigned here
        return [one.resource() for one in self.shown]


def _user(entry: DirectoryUser, locate: Locate) -> dict[str, Any]:
    schemas = [USER, *([ENTERPRISE] if ENTERPRISE in entry.document else [])]
    document = {"schemas": schemas, "id": str(entry.scim_id), **entry.document, "meta": _meta("User", entry, locate)}
    manager = document.get(ENTERPRISE, {}).get("manager") or {}
    if "$ref" in manager:
        document[ENTERPRISE] = {**document[ENTERPRISE], "manager": {**manager, "$ref": locate(manager["$ref"])}}
    return document


def _group(group: Group, members: Members, locate: Locate) -> dict[str, Any]:
    document: dict[str, Any] = {"schemas": [GROUP], "id": str(group.scim_id), "displayName": group.name}
    if group.external_id:
        document["externalId"] = group.external_id
    users = locate("Users/-")[:-1]
    told = [{"value": one, "$ref": users + one, "type": "User", "display": display} for one, display in members]
    told += [{"value": one, "display": display} for one, display in sorted(group.unknown_members.items())]
    for one in told:
        if not one["display"]:
            del one["display"]
    if told:
        document["members"] = told
    document["meta"] = _meta("Group", group, locate)
    return document


def _meta(kind: str, row: DirectoryUser | Group, locate: Locate) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "created": _moment(row.created_at),
        "lastModified": _moment(row.updated_at),
        "location": locate(f"{kind}s/{row.scim_id}"),
        "version": f'W/"{row.revision}"',
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
