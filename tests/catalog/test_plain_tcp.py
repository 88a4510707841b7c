"""A component that speaks plain TCP: one port, one thing to do, and nothing that HTTP has."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from apps.catalog import models, selectors, services
from apps.compiler.connections import connect_route
from apps.compiler.graph import MeshExposure, Protocol, Route
from tests.factories import catalog

pytestmark = pytest.mark.django_db
WORKLOAD = "spiffe://shop.test/ns/shop/sa/orders-db"
TCP = {"workload": WORKLOAD, "upstream-port": "5432", "protocol": "tcp"}


def load(annotations: dict[str, str], name: str = "orders-db", *more: str) -> services.ImportResult:
    return catalog.load(catalog.TEAM + catalog.component(name, annotations=annotations) + "".join(more))


def test_it_becomes_a_service_to_which_one_can_connect() -> None:
    result = load(TCP)
    assert result.errors == ()
    assert "New: route CONNECT /5432 of orders-db." in [one.sentence for one in result.changes]
    assert f"New: orders-db at the mesh of production, TCP port 5432 as workload:{WORKLOAD}." in [
        one.sentence for one in result.changes
    ]
    shape = selectors.graph_services(["orders-db"])["orders-db"]
    assert shape.is_tcp
    assert shape.routes == (connect_route(5432),) == (Route("connect", frozenset({"CONNECT"}), "/5432"),)
    assert (shape.edge, shape.mesh) == (None, MeshExposure("shop", WORKLOAD, 5432, 5432, Protocol.TCP))
    assert load(TCP).changes == ()


def test_two_may_have_one_port_because_no_sidecar_stands_before_them() -> None:
    assert load(TCP).ok
    other = TCP | {"workload": "spiffe://shop.test/ns/shop/sa/stock-db"}
    assert catalog.load(catalog.TEAM + catalog.component("stock-db", annotations=other), source="b.yaml").ok


def test_another_port_moves_what_is_granted_along() -> None:
    load(TCP)
    result = load(TCP | {"upstream-port": "5433"})
    assert result.ok
    assert selectors.graph_services(["orders-db"])["orders-db"].routes == (connect_route(5433),)


@pytest.mark.parametrize(
    ("annotations", "complaint"),
    [
        (TCP | {"edge-host": "db.shop.test"}, "Plain TCP does not pass the edge: leave the host out."),
        (TCP | {"mesh-port": "9105"}, "No sidecar stands before plain TCP: the upstream port is all there is."),
        (TCP | {"variants": "v2:5433"}, "Calls are sent to versions, and plain TCP has no calls."),
        (TCP | {"protocol": "udp"}, "'udp' is neither http nor tcp."),
        ({"protocol": "tcp", "workload": WORKLOAD}, "In the mesh a service needs a workload and an upstream port."),
    ],
)
def test_what_only_http_has_is_a_problem(annotations: dict[str, str], complaint: str) -> None:
    assert complaint in [problem.message for problem in load(annotations).errors]
    assert not models.Service.objects.exists()


def test_it_has_no_routes_of_http() -> None:
    text = catalog.component("payments", annotations=TCP, spec="  providesApis: [payments]\n")
    result = catalog.load(catalog.TEAM + text + catalog.api())
    assert [problem.message for problem in result.errors] == ["payments is plain TCP, so it has no routes of HTTP."]


def test_a_service_that_spoke_http_keeps_none_of_its_routes_in_the_graph() -> None:
    http = {"workload": WORKLOAD, "upstream-port": "5432", "mesh-port": "9105"}
    text = catalog.component("payments", annotations=http, spec="  providesApis: [payments]\n")
    assert catalog.load(catalog.TEAM + text + catalog.api()).ok
    assert catalog.load(catalog.TEAM + catalog.component("payments", annotations=TCP)).ok
    assert selectors.graph_services(["payments"])["payments"].routes == (connect_route(5432),)
    assert catalog.load(catalog.TEAM + text + catalog.api()).ok
    assert [one.id for one in selectors.graph_services(["payments"])["payments"].routes] == ["createRefund"]


def test_no_half_of_it_can_be_stored() -> None:
    made = catalog.mesh(catalog.service("orders-db", routes={}))
    for change in (
        {"protocol": "tcp"},
        {"protocol": "tcp", "port": None, "variants": ["v2:1"]},
        {"port": None},
        {"protocol": "udp", "port": None},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.Exposure.objects.filter(pk=made.pk).update(**change)
    for key, methods in (("other", ["CONNECT"]), ("connect", ["CONNECT", "GET"])):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.Route.objects.create(service=made.service, key=key, methods=methods, template="/5432")
