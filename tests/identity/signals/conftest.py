from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.identity.providers.provider import Provider as Directory
from tests.identity.providers.provider import running_provider
from tests.identity.signals.world import World, world


@pytest.fixture(scope="session")
def directory() -> Iterator[Directory]:
    with running_provider() as started:
        yield started


@pytest.fixture
def there(db: None, directory: Directory) -> World:
    return world(directory)
