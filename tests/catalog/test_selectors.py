"""Reading the catalogue."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.catalog import selectors
from apps.catalog.errors import UnknownEnvironment, UnknownRoute, UnknownService
from apps.catalog.models import Dependency, Route
from apps.compiler.graph import EdgeExposure, MeshExposure
from apps.compiler.graph import Route as GraphRoute
from apps.compiler.graph import Service as GraphService
from tests.factories import catalog
from tests.factories import identity as people

pytestmark = pytest.mark.django_db


def found(**filters: object) -> list[str]:
    return [service.slug for service in selectors.list_services(**filters).items]  # type: ignore[arg-type]


def test_a_search_finds_words_in_services_routes_and_teams() -> None:
    catalog.load_estate()
    assert found(query="refunds") == ["payments"]
    assert found(query="PAYMENTSERVICE") == ["payments"]
    assert found(query="createQuote") == ["shipping"]
    assert found(query="money card") == ["payments"]
    assert found(query="platform") == ["email", "loadgenerator", "shipping"]
    assert found(query="100%_\x00") == []
    assert found(team="team:payments", sensitivity="open") == ["currency"]


def test_pages_follow_one_another_without_gaps() -> None:
    catalog.load_estate()
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = selectors.list_services(after=after, limit=4)
        seen += [service.slug for service in page.items]
        after = page.after
    assert seen == sorted(seen)
    assert len(seen) == 11


def test_a_page_costs_one_query_however_long(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    catalog.load_estate()
    for limit in (1, 50):
        with django_assert_num_queries(1):
            [service.team.name for service in selectors.list_services(query="a", limit=limit).items]


def test_the_compiler_sees_living_services_where_they_stand(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    payments = catalog.service()
    catalog.edge(payments)
    catalog.mesh(payments)
    Route.objects.create(service=payments, key="old", methods=["GET"], template="/old", retired_at=catalog.AT)
    with django_assert_num_queries(3):
        graph = selectors.graph_services(["payments", "nothing"])
    assert graph == {
        "payments": GraphService(
            id="payments",
            name="Payments",
            routes=(
                GraphRoute("createRefund", frozenset({"POST"}), "/refunds"),
                GraphRoute("getCharge", frozenset({"GET"}), "/charges/{id}"),
            ),
            edge=EdgeExposure("api.shop.localhost", "/payments"),
            mesh=MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/payments", 9105, 9205),
        )
    }
    assert selectors.graph_services(None, "elsewhere")["payments"].edge is None
    payments.retired_at = catalog.AT
    payments.save()
    assert selectors.graph_services(None) == {}


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/a/b", "literal"),
        ("GET", "/a/c", "parameter"),
        ("POST", "/a/b", "post"),
        ("GET", "/a/%62", "literal"),
        ("GET", "/a/b/", None),
        ("GET", "/a%2fb", None),
        ("DELETE", "/a/b", None),
    ],
)
def test_a_call_is_matched_as_the_doors_match_it(method: str, path: str, key: str | None) -> None:
    routes = {"literal": ("GET", "/a/b"), "parameter": ("GET", "/a/{x}"), "post": ("POST", "/{y}/b")}
    service = catalog.service(routes=routes)
    route = selectors.match_route(service, method=method, path=path)
    assert (route.key if route else None) == key


def test_what_is_not_there_is_named() -> None:
    service = catalog.service()
    with pytest.raises(UnknownService):
        selectors.get_service("nothing")
    with pytest.raises(UnknownEnvironment):
        selectors.get_environment()
    with pytest.raises(UnknownRoute, match="Payments has no route a, b"):
        selectors.get_routes(service, ["b", "createRefund", "a"])
    assert [route.key for route in selectors.get_routes(service, ["createRefund"])] == ["createRefund"]


def test_callers() -> None:
    team = people.team("payments")
    one, two = catalog.service("one", team=team), catalog.service("two", team=team)
    Dependency.objects.create(caller=one, callee=two, routes=["getCharge"])
    catalog.mesh(one)
    assert [pair.caller.slug for pair in selectors.list_callers(two)] == ["one"]
    workload = "workload:spiffe://shop.test/ns/shop/sa/one"
    assert selectors.list_dependencies() == (selectors.ServiceCall("one", "two", workload, ("getCharge",)),)


def test_dependencies_cost_four_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    catalog.load_estate()
    with django_assert_num_queries(4):
        assert len(selectors.list_dependencies()) == 15
