"""What every test may use: the stores, a fixed moment, and the console's own environment for child processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from apps.outbox import nudge
from console.settings.base import database
from tests.schema import empty, made_from_models
from tests.servers import Stores, child_environment, stores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's event loop stays in the main thread, where no other could run beside it.

    The longest file of them comes first, so that two processes are done at the same time.
    """
    items.sort(key=lambda item: (_in_a_browser(item), not item.path.match("e2e/test_pages.py")))


def _in_a_browser(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None


def pytest_collection_finish() -> None:
    """What is there by now stays: nobody need look through it for garbage again and again."""
    gc.collect()
    gc.freeze()


TransactionTestCase._fixture_teardown = lambda _: empty()  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def test_stores() -> Iterator[Stores]:
    """Those named by DATABASE_URL and REDIS_URL, else our own for the session."""
    if "DATABASE_URL" in os.environ:
        yield Stores(os.environ["DATABASE_URL"], settings.REDIS_URL)
        return
    with stores() as started:
        yield started


@pytest.fixture(scope="session")
def django_db_modify_db_settings(test_stores: Stores) -> None:
    """Point Django at the session's stores before pytest-django makes the test database."""
    where = {name: value for name, value in database(test_stores.database_url).items() if name != "OPTIONS"}
    connections["default"].settings_dict.update(where)
    settings.REDIS_URL = test_stores.redis_url


@pytest.fixture(scope="session")
def django_db_use_migrations() -> bool:
    return False


@pytest.fixture(scope="session")
def tables(django_db_modify_db_settings: None) -> Iterator[Callable[[], None]]:
    with made_from_models() as finish:
        yield finish


@pytest.fixture(scope="session")
def django_db_setup(tables: Callable[[], None], django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """As pytest-django makes it, with what only migrations do. From here on Django knows the migrations again."""
    settings.MIGRATION_MODULES = {}
    with django_db_blocker.unblock():
        tables()


@pytest.fixture
def console_environment(transactional_db: None) -> dict[str, str]:
    """The environment in which a child process works on this test's database."""
    return child_environment()


@pytest.fixture(autouse=True)
def rested_nudges() -> None:
    """One test's broken broker is not the next one's."""
    nudge.forget_failures()


@pytest.fixture
def at() -> datetime:
    """A Monday morning."""
    return datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
