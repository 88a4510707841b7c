"""A line about a port of plain TCP resolves to the service that has it, and says at once what could not be opened."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.firewall import services
from apps.firewall.standing import Stand, stand_of
from tests.factories import access as factory
from tests.factories import firewall
from tests.factories.firewall import written
from tests.rollout.cluster.world import cluster_spec
from tests.rollout.world import make_target

pytestmark = pytest.mark.django_db
CART = "workload:spiffe://shop.test/ns/shop/sa/cart"


@pytest.fixture
def there(at: datetime) -> factory.Shop:
    made = factory.shop()
    factory.database(made.payments_team)
    make_target(cluster_spec("http://127.0.0.1:9", "networkpolicy"), at)
    return made


def test_a_port_and_a_protocol_are_all_it_takes(there: factory.Shop, at: datetime) -> None:
    line = firewall.line_of(
        firewall.request(there.ada, written(CART, "orders-db", protocol="tcp", ports=((5432, 5432),)), at=at)
    )
    assert line.meaning.problem == ""
    assert (line.meaning.routes, line.meaning.points, line.meaning.confidence) == (["connect"], ["mesh"], 1.0)
    assert stand_of(line) is Stand.CHOOSE


def test_a_port_alone_finds_it_among_others(there: factory.Shop, at: datetime) -> None:
    asked = firewall.request(there.ada, written(CART, "10.9.0.1", protocol="tcp", ports=((5432, 5432),)), at=at)
    services.choose(public_id=asked.public_id, number=1, side="destination", key="orders-db", actor=there.ada, at=at)
    line = firewall.line_of(asked)
    assert line.meaning.service is not None
    assert (line.meaning.service.slug, line.meaning.routes) == ("orders-db", ["connect"])


def test_what_would_be_refused_is_said_beside_the_line(there: factory.Shop, at: datetime) -> None:
    asked = firewall.request(
        there.ada,
        written(CART, "orders-db", protocol="tcp", ports=((3306, 3306),)),
        written(CART, "orders-db", protocol="https"),
        written("person:ada", "orders-db", protocol="tcp"),
        at=at,
    )
    assert stand_of(firewall.line_of(asked)) is Stand.UNCLEAR, "another port makes it doubtful that it is meant"
    services.choose(public_id=asked.public_id, number=1, side="destination", key="orders-db", actor=there.ada, at=at)
    assert [line.meaning.problem for line in firewall.lines_of(asked)] == [
        "Orders-Db is plain TCP on port 5432, which is none of the ports asked for.",
        "Orders-Db is plain TCP, and this asks for https.",
        "Orders-Db is plain TCP, which shows which workload connects and never which person.",
    ]


def test_where_nothing_carries_it_the_line_says_so(at: datetime) -> None:
    made = factory.shop()
    factory.database(made.payments_team)
    line = firewall.line_of(firewall.request(made.ada, written(CART, "orders-db", protocol="tcp"), at=at))
    assert line.meaning.problem == "Nothing carries plain TCP to Orders-Db here: connect the cluster it runs in."
