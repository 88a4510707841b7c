from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.factories.access import Shop, shop


@pytest.fixture
def at() -> datetime:
    """The API reads the clock, so what it meets here must be of today."""
    return datetime.now(UTC)


@pytest.fixture
def there(db: None) -> Shop:
    return shop()
