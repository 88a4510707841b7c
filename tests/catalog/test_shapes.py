"""However a service is read, the compiler sees the same of it."""

from __future__ import annotations

import pytest

from apps.catalog.selectors import graph_services
from apps.catalog.shapes import list_around
from tests.factories import access as factory

pytestmark = pytest.mark.django_db


def test_services_read_with_what_is_around_them_are_those_the_compiler_reads() -> None:
    shop = factory.shop()
    factory.database(shop.payments_team)
    whole = graph_services(None)
    around = list_around(list(whole), "demo")
    assert {slug: one.shape for slug, one in around.items()} == whole
    assert {"payments", "orders-db"} <= set(whole)
