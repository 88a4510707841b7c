"""What a hash covers, and how it is computed. Pure: rows in, hashes out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime
from typing import NamedTuple, TypeAlias

import orjson

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

GENESIS = "0" * 64


class Row(NamedTuple):
    """Everything the hash covers except the previous hash."""

    seq: int
    at: str
    actor_id: str
    actor_name: str
    action: str
    target_type: str
    target_id: str
    target_name: str
    before: Json
    after: Json
    context: Json


def moment(at: datetime) -> str:
    """UTC with microseconds, as the hash covers it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(row: Row, prev_hash: str) -> str:
    """The hash of a row: over its fields and the previous hash."""
    return seal({**row._asdict(), "prev_hash": prev_hash})


def seal(body: Mapping[str, Json]) -> str:
    """SHA-256 over canonical JSON: one object, keys sorted, no spaces."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def plain_text(value: str) -> str:
    """Text that PostgreSQL can hold: without NUL and without half surrogate pairs."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def plain(value: object) -> Json:
    """The value as JSON that reads back from a ``jsonb`` column exactly as it was hashed.

    ``jsonb`` turns 1e16 into a whole number, so whole floats become integers here already.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, str):
        return plain_text(value)
    return _plain_other(value)


def _plain_other(value: object) -> Json:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {plain_text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return [plain(item) for item in sorted(value, key=str)]
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise TypeError(f"The audit record cannot hold a {type(value).__name__}.")
