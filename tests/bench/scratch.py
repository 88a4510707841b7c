"""Throw-away databases, on the server of DATABASE_URL or on one of our own, and Django pointed at them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import django
import psycopg
from django.core.management import call_command
from django.db import connection

from tests.servers import stores

TEMPLATE = "sallyport_bench_empty"


class Databases:
    """``server`` is the URL of any database on the server; all of ours begin with ``sallyport_bench_``."""

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self._made: list[str] = []

    def url(self, name: str) -> str:
        return urlunsplit(self._server._replace(path=f"/{name}"))

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(statement)

    def start_django(self) -> None:
        """Migrate once; every scratch database is a copy of that."""
        self._make(TEMPLATE, "template1")
        os.environ["DATABASE_URL"] = self.url(TEMPLATE)
        django.setup()
        call_command("migrate", verbosity=0)
        connection.close()

    def make(self, name: str) -> None:
        self._make(f"sallyport_bench_{name}", TEMPLATE)
        self.use(name)

    def _make(self, name: str, template: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)

    def use(self, name: str) -> None:
        connection.close()
        connection.settings_dict["NAME"] = f"sallyport_bench_{name}"

    def drop(self) -> None:
        connection.close()
        for name in reversed(self._made):
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def databases() -> Iterator[Databases]:
    if "DATABASE_URL" in os.environ:
        with _on(os.environ["DATABASE_URL"]) as made:
            yield made
        return
    with stores() as started:
        os.environ["REDIS_URL"] = started.redis_url
        with _on(started.database_url) as made:
            yield made


@contextmanager
def _on(server: str) -> Iterator[Databases]:
    made = Databases(server)
    made.start_django()
    try:
        yield made
    finally:
        made.drop()
