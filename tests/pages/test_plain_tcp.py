"""What the pages say of a service of plain TCP, and of asking to connect to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.access.models import AccessRequest
from apps.identity.models import Subject
from tests.factories import access
from tests.rollout.cluster.world import cluster_spec
from tests.rollout.world import make_target

Browse = Callable[[Subject], Client]


@pytest.fixture
def shop(db: None) -> access.Shop:
    made = access.shop()
    access.database(made.payments_team)
    return made


def form(shop: access.Shop) -> dict[str, str]:
    given = {"service": "orders-db", "routes": "connect", "points": "mesh", "duration": "3600"}
    return {**given, "subject": shop.cart.key, "reason": "It keeps its orders there."}


def test_its_page_shows_a_port_and_the_one_thing_to_do(shop: access.Shop, browse: Browse) -> None:
    text = browse(shop.ada).get("/catalogue/orders-db/").content.decode()
    assert "plain TCP on port 5432" in text
    assert '<span class="method writes">TCP</span> <span>port 5432</span>' in text
    assert 'aria-label="Ask to connect"' in text


def test_only_those_a_connection_can_show_are_offered(shop: access.Shop, browse: Browse) -> None:
    text = browse(shop.ada).get("/requests/new?service=orders-db").content.decode()
    assert f'<option value="{shop.cart.key}"' in text
    assert '<option value="person:ada"' not in text
    assert "Me, " not in text


def test_asking_is_refused_beside_the_doors_where_nothing_carries_it(shop: access.Shop, browse: Browse) -> None:
    answer = browse(shop.ada).post("/requests/new", form(shop))
    assert "Nothing carries plain TCP to Orders-Db here" in answer.content.decode()
    assert not AccessRequest.objects.exists()


def test_a_request_to_connect_reads_like_one(shop: access.Shop, browse: Browse) -> None:
    make_target(cluster_spec("http://127.0.0.1:9", "smi"), access.AT)
    client = browse(shop.ada)
    location = client.post("/requests/new", form(shop)).headers["Location"]
    text = client.get(location).content.decode()
    assert "may call TCP port 5432 on Orders-Db inside the mesh until" in text
    assert "Try it" not in text, "there is no call to try"
