"""A house in which every page has something to show, and somebody to look at it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.identity.models import Subject
from tests.factories import pages


@pytest.fixture
def browse() -> Callable[[Subject], Client]:
    return pages.signed_in


@pytest.fixture
def house(db: None) -> pages.House:
    return pages.house()
