"""The tables of a test database, made from the models at once: migrating step by step takes ten times as long.

What migrations do besides (extensions, triggers) is done here too. tests/arch/test_migrations.py migrates another
database and finds nothing in it that is not in this one, and nothing missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.operations import CreateExtension
from django.db import connection, transaction
from django.db.migrations import RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.signals import pre_migrate

Found = list[tuple[str, Operation]]
STAYING = (ContentType, Permission)
"""Rows that come with the tables."""


@contextmanager
def made_from_models() -> Iterator[Callable[[], None]]:
    """While migrations are still known: what is called when the tables are there. Extensions come before them."""
    steps = _steps()
    extensions = [one for one in steps if isinstance(one[1], CreateExtension)]

    def before(**_: Any) -> None:
        _run(extensions)
        extensions.clear()

    pre_migrate.connect(before)
    try:
        yield lambda: _run([one for one in steps if isinstance(one[1], RunSQL)])
    finally:
        pre_migrate.disconnect(before)


def _steps() -> Found:
    """Every operation, in an order in which they may run, with its app."""
    graph = MigrationLoader(None).graph
    keys = dict.fromkeys(key for leaf in graph.leaf_nodes() for key in graph.forwards_plan(leaf))
    return [(key[0], operation) for key in keys for operation in graph.nodes[key].operations]


def _run(steps: Found) -> None:
    """None of these looks at the models of its time."""
    with connection.schema_editor() as editor:
        for label, operation in steps:
            operation.database_forwards(label, editor, None, None)  # type: ignore[arg-type]


def empty() -> None:
    """What Django's ``flush`` does, many times as fast: only where there are rows. What comes with the tables stays."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_which_hold_rows())
        full = [name for (name,) in cursor.fetchall()]
        statements = [f'DELETE FROM "{name}"' for name in full]
        cursor.execute("; ".join(["SET LOCAL sallyport.audit_unlock = 'DELETE'", *statements]))


@cache
def _which_hold_rows() -> str:
    tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True) if model not in STAYING]
    return " UNION ALL ".join(f"(SELECT '{name}' FROM \"{name}\" LIMIT 1)" for name in tables)
