"""What the database itself refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.catalog.models import Dependency, Environment, Exposure, Route, Service
from tests.factories import catalog
from tests.factories import identity as people

pytestmark = pytest.mark.django_db


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        make()
    return str(error.value)


def test_two_services_cannot_answer_at_one_address_or_port() -> None:
    team = people.team("payments")
    one, two = catalog.service("one", team=team), catalog.service("two", team=team)
    catalog.edge(one, base_path="/x")
    catalog.mesh(one, port=9101)
    assert "catalog_exposure_address" in refused(lambda: catalog.edge(two, base_path="/x"))
    assert "catalog_exposure_port" in refused(lambda: catalog.mesh(two, port=9101))
    assert "catalog_exposure_one_per_door" in refused(lambda: catalog.edge(one, base_path="/y"))


@pytest.mark.parametrize("base_path", ["x", "/x/", "/", "/a//b", "/.", "/../x", "/a%20b", "/{x}"])
def test_a_base_path_is_plain(base_path: str) -> None:
    service = catalog.service()
    assert "catalog_exposure_whole" in refused(lambda: catalog.edge(service, base_path=base_path))


@pytest.mark.parametrize("host", ["", "A.test", "a.test:80", "a..test", "-a.test", "a/b", "x" * 64])
def test_a_host_is_a_plain_name(host: str) -> None:
    service = catalog.service()
    assert "catalog_exposure_whole" in refused(lambda: catalog.edge(service, host=host, base_path=""))


def test_a_mesh_exposure_is_whole() -> None:
    service = catalog.service()
    incomplete = {"service": service, "environment": catalog.environment(), "point": "mesh", "port": 9101}
    assert "catalog_exposure_whole" in refused(lambda: Exposure.objects.create(**incomplete))


@pytest.mark.parametrize("methods", [[], ["get"], ["GET", "TRACE"]])
def test_methods_are_those_the_doors_know(methods: list[str]) -> None:
    service = catalog.service()
    made = {"service": service, "key": "x", "template": "/x", "methods": methods}
    assert "catalog_route_methods_known" in refused(lambda: Route.objects.create(**made))


def test_a_template_means_what_the_compiler_says() -> None:
    route = Route(service=catalog.service(), key="x", methods=["GET"], template="/a/{id}.pdf")
    with pytest.raises(ValidationError, match="neither a plain literal"):
        route.full_clean()


def test_there_is_one_default_environment_and_no_service_depends_on_itself() -> None:
    catalog.environment()
    extra = {"slug": "staging", "name": "Staging", "is_default": True}
    assert "catalog_environment_one_default" in refused(lambda: Environment.objects.create(**extra))
    service = catalog.service()
    itself = {"caller": service, "callee": service}
    assert "catalog_dependency_not_on_itself" in refused(lambda: Dependency.objects.create(**itself))
    assert "catalog_service_max_duration_sane" in refused(lambda: Service.objects.update(max_duration=59))
