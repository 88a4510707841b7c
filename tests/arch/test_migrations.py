"""Tests make their tables from the models. This is where migrating from nothing is shown to lead to the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection

from tests import schema
from tests.arch.source import ROOT
from tests.factories import pages
from tests.servers import child_environment

MIGRATED = "sallyport_migrated"
OURS = "n.nspname = 'public' AND c.relname NOT LIKE ALL (ARRAY['django_migrations%', 'auth_group_permissions%'])"
"""The first is about migrations; the second is Django's own, and wider where it was migrated."""
FACTS: Mapping[str, str] = {
    "columns": f"""
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               l.collname, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE {OURS} AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraints": f"""
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS}
    """,
    "indexes": f"""
        SELECT c.relname, pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS}
    """,
    "triggers": f"""
        SELECT c.relname, pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS} AND NOT t.tgisinternal
    """,
    "functions": """
        SELECT p.proname, pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.prokind = 'f'
          AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e')
    """,
    "extensions": "SELECT extname FROM pg_extension",
    "sequences": f"""
        SELECT c.relname, s.seqtypid::regtype::text, s.seqstart, s.seqincrement
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS}
    """,
    "rows that come with it": """
        SELECT app_label, model FROM django_content_type
    """,
}


@pytest.fixture
def migrated(db: None) -> Iterator[str]:
    """The address of a database that a console of its own has migrated from nothing."""
    environment = child_environment()
    server = environment["DATABASE_URL"].rpartition("/")[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {MIGRATED} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {MIGRATED}")
        try:
            migrate({**environment, "DATABASE_URL": f"{server}/{MIGRATED}"})
            yield f"{server}/{MIGRATED}"
        finally:
            admin.execute(f"DROP DATABASE {MIGRATED} WITH (FORCE)")


def migrate(environment: dict[str, str]) -> None:
    argv = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_migrating_from_nothing_makes_the_database_that_the_tests_run_on(migrated: str) -> None:
    with psycopg.connect(migrated) as other:
        there = {name: sorted(other.execute(query).fetchall(), key=str) for name, query in FACTS.items()}
    with connection.cursor() as cursor:
        here = {name: sorted(rows(cursor, query), key=str) for name, query in FACTS.items()}
    assert all(there.values())
    for name, found in there.items():
        assert [row for row in found if row not in here[name]] == [], f"{name} that only migrating makes"
        assert [row for row in here[name] if row not in found] == [], f"{name} that migrating does not make"


def rows(cursor: Any, query: str) -> list[tuple[object, ...]]:
    cursor.execute(query)
    return list(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_emptying_leaves_no_row_but_those_that_come_with_the_tables() -> None:
    pages.house()
    before = {model._meta.label: model._base_manager.count() for model in apps.get_models()}
    assert sum(before.values()) > 200
    schema.empty()
    left = {model._meta.label: model._base_manager.count() for model in apps.get_models()}
    staying = {model._meta.label for model in schema.STAYING}
    assert left == {label: before[label] if label in staying else 0 for label in before}
