"""Server-side apply and its bookkeeping: what each manager set, when two of them disagree, and what an update takes.

After the Kubernetes documentation "Server-Side Apply". A manager is a name and an operation (Apply or Update).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from apps.localcluster.fields import Fields, fields_of, from_v1, merged, to_v1, touches, value_at, without, written
from apps.localcluster.http import Cause, Obj, Refused
from apps.localcluster.schema import Schema

APPLY, UPDATE = "Apply", "Update"


@dataclass(frozen=True, slots=True)
class Owner:
    """One entry of ``managedFields``."""

    manager: str
    operation: str
    api_version: str
    fields: Fields
    time: str
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.manager, self.operation, self.subresource

    @property
    def words(self) -> str:
        """As a conflict names it."""
        named = f'"{self.manager}"'
        if self.subresource:
            named += f' with subresource "{self.subresource}"'
        return f"{named} using {self.api_version}" if self.operation == UPDATE else named


def owners_of(obj: Obj) -> list[Owner]:
    return [
        Owner(
            row["manager"],
            row["operation"],
            row["apiVersion"],
            from_v1(row.get("fieldsV1") or {}),
            row.get("time", ""),
            row.get("subresource", ""),
        )
        for row in obj["metadata"].get("managedFields") or ()
    ]


def with_owners(obj: Obj, owners: list[Owner]) -> Obj:
    rows: list[Obj] = []
    for owner in owners:
        if owner.fields:
            row: Obj = {
                "manager": owner.manager,
                "operation": owner.operation,
                "apiVersion": owner.api_version,
                "time": owner.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": to_v1(owner.fields),
            }
            rows.append({**row, "subresource": owner.subresource} if owner.subresource else row)
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": {**meta, **({"managedFields": rows} if rows else {})}}


def applied(live: Obj, config: Obj, mine: Owner, schema: Schema, *, force: bool) -> Obj:
    """The live object (or a bare one) after an apply. ``mine`` has no fields yet. Raises Refused for a conflict."""
    owners, wanted = owners_of(live), fields_of(config, schema)
    before = next((owner for owner in owners if owner.key == mine.key), None)
    others = [owner for owner in owners if owner is not before]
    found = merged(live, config, schema)
    lost = _conflicts(live, found, wanted, others, schema)
    if lost and not force:
        raise _refusal(lost)
    others = [replace(owner, fields=owner.fields - lost.get(owner, frozenset())) for owner in others]
    kept = wanted.union(*(owner.fields for owner in others))
    for path in sorted((before.fields if before else frozenset()) - kept):  # an entry of a list before its fields
        if not any(other[: len(path)] == path for other in kept):
            without(found, path, schema)
    now = replace(mine, fields=wanted)
    if before is not None and before.fields == wanted and not lost:
        now = replace(now, time=before.time)
    return with_owners(found, [*others, now])


def _conflicts(live: Obj, after: Obj, wanted: Fields, others: list[Owner], schema: Schema) -> dict[Owner, Fields]:
    """What others own of it and the apply would change."""
    changed = [path for path in wanted if value_at(live, path, schema) != value_at(after, path, schema)]
    found: dict[Owner, Fields] = {}
    for owner in others:
        lost = frozenset().union(*(touches(path, owner.fields) for path in changed)) if changed else frozenset()
        if lost:
            found[owner] = lost
    return found


def _refusal(lost: dict[Owner, Fields]) -> Refused:
    rows = [(owner, written(path)) for owner, paths in lost.items() for path in sorted(paths)]
    causes = [Cause("FieldManagerConflict", f"conflict with {owner.words}", field) for owner, field in rows]
    if len(rows) == 1:
        owner, field = rows[0]
        said = f"Apply failed with 1 conflict: conflict with {owner.words}: {field}"
    else:
        parts = [
            "\n".join([f"conflicts with {owner.words}:", *(f"- {written(path)}" for path in sorted(paths))])
            for owner, paths in lost.items()
        ]
        said = f"Apply failed with {len(rows)} conflicts: " + "\n".join(parts)
    return Refused(409, "Conflict", said, causes=causes)


def updated(live: Obj | None, new: Obj, mine: Owner, schema: Schema) -> Obj:
    """The new object after an ordinary create, update or patch: what it changed is the updater's now."""
    before: Obj = live or {"metadata": {}}
    old, now = fields_of(before, schema), fields_of(new, schema)
    changed = frozenset(path for path in now if path not in old or _differs(before, new, path, schema))
    gone = old - now
    owners = []
    for owner in owners_of(before):
        if owner.key == mine.key:
            mine = replace(mine, fields=owner.fields, time=mine.time if changed or gone else owner.time)
        else:
            lost = changed | gone
            owners.append(replace(owner, fields=owner.fields - lost))
    mine = replace(mine, fields=(mine.fields - gone) | changed)
    return with_owners(copy.copy(new), [*owners, mine])


def _differs(before: Obj, new: Obj, path: tuple[str, ...], schema: Schema) -> bool:
    old: Any = value_at(before, path, schema)
    return bool(old != value_at(new, path, schema))
