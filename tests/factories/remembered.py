"""What many tests begin with is made by the services once, and after that put back from the rows they wrote.

Making the usual shop takes some three hundred statements, and thousands of tests begin with it. Putting it back is one.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.apps import apps
from django.db import connection

Made = TypeVar("Made")
Rows = Mapping[str, frozenset[str]]

ALWAYS_THERE = frozenset({"audit_head"})
"""The head of the audit record is one row from the beginning."""


@dataclass(frozen=True)
class Memory:
    """``script`` writes the rows, ``vacant`` tells whether nobody is in their way, ``made`` is what was returned."""

    script: str
    vacant: str
    made: bytes


_memories: dict[tuple[object, ...], Memory] = {}


def remembered(build: Callable[..., Made]) -> Callable[..., Made]:
    """``build`` as it is, for tests that are first or have rows of their own already; else what it made before."""

    def found(**how: Any) -> Made:
        key = (build, *sorted(how.items()))
        if key in _memories:
            memory = _memories[key]
            if _is(memory.vacant):
                _run(memory.script)
                return pickle.loads(memory.made)  # type: ignore[no-any-return]  # noqa: S301 - written by this process
            return build(**how)
        before = _rows()
        made = build(**how)
        after = _rows()
        changed = {table: after[table] for table in after if after[table] != before[table]}
        if not any(before[table] for table in changed.keys() - ALWAYS_THERE):
            _memories[key] = _memory(changed, made)
        return made

    return found


@cache
def _tables() -> dict[str, str]:
    """Each table with what one of its rows looks like in an INSERT. Generated columns come by themselves."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        columns = [field.column for field in model._meta.concrete_fields if not getattr(field, "generated", False)]
        found[model._meta.db_table] = ", ".join(columns)
    return found


def _rows() -> Rows:
    with connection.cursor() as cursor:
        return {table: _of(cursor, table, columns) for table, columns in _tables().items()}


def _of(cursor: Any, table: str, columns: str) -> frozenset[str]:
    values = ", ".join(f'quote_nullable("{name}")' for name in columns.split(", "))
    cursor.execute(f"SELECT concat_ws(', ', {values}) FROM \"{table}\"")
    return frozenset(row for (row,) in cursor.fetchall())


def _memory(changed: Rows, made: object) -> Memory:
    statements = [f'DELETE FROM "{table}"' for table in changed if table in ALWAYS_THERE]
    statements += [_insert(table, rows) for table, rows in changed.items()]
    statements += [_past(table) for table in changed if '"id"' in f'"{_tables()[table].split(", ")[0]}"']
    there = " OR ".join(f'EXISTS (SELECT FROM "{table}")' for table in changed if table not in ALWAYS_THERE)
    return Memory("; ".join(statements), f"SELECT NOT ({there})", pickle.dumps(made))


def _insert(table: str, rows: frozenset[str]) -> str:
    names = ", ".join(f'"{name}"' for name in _tables()[table].split(", "))
    values = ", ".join(f"({row})" for row in sorted(rows))
    return f'INSERT INTO "{table}" ({names}) VALUES {values}'


def _past(table: str) -> str:
    """Rows that are made later get other ids, whatever became of the sequence."""
    sequence = f"pg_get_serial_sequence('{table}', 'id')"
    return f'SELECT setval({sequence}, greatest(nextval({sequence}), (SELECT max(id) FROM "{table}")))'


def _is(question: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return bool(cursor.fetchone()[0])


def _run(script: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(script)
