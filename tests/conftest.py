"""What every test may use: the stores, a fixed moment, and the console's own environment for child processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import connections

from apps.outbox import nudge
from console.settings.base import database
from tests.servers import Stores, stores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's event loop stays in the main thread, where no other could run beside it."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


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


@pytest.fixture
def console_environment(transactional_db: None) -> dict[str, str]:
    """The environment in which a child process works on this test's database."""
    at = connections["default"].settings_dict
    login = f"{at['USER']}:{at['PASSWORD']}" if at["PASSWORD"] else at["USER"]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
        "DATABASE_URL": f"postgres://{login}@{at['HOST']}:{at['PORT']}/{at['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
    }


@pytest.fixture(autouse=True)
def rested_nudges() -> None:
    """One test's broken broker is not the next one's."""
    nudge.forget_failures()


@pytest.fixture
def at() -> datetime:
    """A Monday morning."""
    return datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
