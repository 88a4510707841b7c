"""Asking to connect to a service of plain TCP: for workloads, where something carries it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from apps.access import refusals, selectors, services
from apps.access.models import AccessRequest, Grant
from apps.catalog.models import Route, Service
from apps.compiler.graph import Point
from apps.rollout.models import Target
from tests.factories.access import AT, HOUR, Shop, approve, database, shop
from tests.rollout.cluster.world import cluster_spec
from tests.rollout.world import make_target

pytestmark = pytest.mark.django_db


@pytest.fixture
def there() -> Shop:
    return shop()


@pytest.fixture
def db(there: Shop) -> Service:
    return database(there.payments_team)


@pytest.fixture
def cluster(db: Service) -> Target:
    return make_target(cluster_spec("http://127.0.0.1:9", "smi"), AT)


def ask(there: Shop, **more: Any) -> AccessRequest:
    given: dict[str, Any] = {
        "actor": there.ada,
        "subject_key": there.cart.key,
        "service_slug": "orders-db",
        "route_keys": ("connect",),
        "duration": HOUR,
        "reason": "The cart keeps its orders there.",
        "at": AT,
    }
    return services.open_request(**{**given, **more})


def test_a_workload_asks_to_connect_and_that_is_all_it_gets(there: Shop, cluster: Target) -> None:
    request = ask(there)
    assert request.points == ["mesh"]
    assert "Whoever connects may do all that a connection can: plain TCP shows no calls." in request.risk["causes"]
    approve(request, there.ben)
    grant = services.activate(grant_id=Grant.objects.get(request=request).public_id, at=AT)
    graph = selectors.graph_slice(service_slugs=["orders-db"], environment_slug="demo", at=AT)
    assert [(one.id, one.routes, one.points) for one in graph.grants] == [
        (grant.public_id, frozenset({"connect"}), frozenset({Point.MESH}))
    ]
    assert graph.services["orders-db"].routes[0].template == "/5432"


def test_the_edge_cannot_carry_it(there: Shop, cluster: Target) -> None:
    with pytest.raises(refusals.BadPoints, match="only the mesh lets it through, not the edge") as caught:
        ask(there, points=("edge", "mesh"))
    assert list(caught.value.fields) == ["points"]


def test_without_a_cluster_nothing_carries_it(there: Shop, db: Service) -> None:
    with pytest.raises(refusals.NotCarried, match="the edge and our own nodes speak HTTP") as caught:
        ask(there)
    assert (caught.value.status, list(caught.value.fields)) == (422, ["points"])
    assert not AccessRequest.objects.exists()


@pytest.mark.parametrize("config", [{"namespaces": ["elsewhere"]}, {"emitters": ["nic"]}])
def test_nor_with_one_that_is_elsewhere_or_sees_no_connections(
    there: Shop, db: Service, config: dict[str, object]
) -> None:
    cluster = make_target(cluster_spec("http://127.0.0.1:9", "smi"), AT)
    Target.objects.filter(pk=cluster.pk).update(config={**cluster.config, **config})
    with pytest.raises(refusals.NotCarried):
        ask(there)


def test_a_connection_shows_no_person(there: Shop, cluster: Target) -> None:
    for subject in (there.ben.key, there.bot.key):
        with pytest.raises(refusals.NotCarried, match="which shows which workload connects and never which"):
            ask(there, actor=there.dan if subject == there.bot.key else there.ben, subject_key=subject)


def test_a_route_it_had_when_it_spoke_http_is_not_asked_for(there: Shop, db: Service, cluster: Target) -> None:
    Route.objects.create(service=db, key="old", methods=["GET"], template="/old")
    with pytest.raises(refusals.BadRoutes, match="all there is to ask for is to connect"):
        ask(there, route_keys=("connect", "old"))


def test_there_are_no_traffic_rules_about_it(there: Shop, cluster: Target) -> None:
    with pytest.raises(refusals.BadTreatment, match="is plain TCP, and a traffic rule is about calls"):
        ask(there, treatment={"breaker": {"errors": 5, "seconds": 30}})


def test_who_may_connect_is_shown(there: Shop, cluster: Target) -> None:
    approve(ask(there), there.ben)
    services.activate(grant_id=Grant.objects.get().public_id, at=AT)
    [row] = selectors.who_can_reach(service_slug="orders-db", at=AT)
    assert (row.subject, [route.id for route in row.routes]) == (there.cart.key, ["connect"])
