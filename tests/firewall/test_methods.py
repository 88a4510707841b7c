"""A path without its method: the narrowest reading is proposed, a person is asked, nothing is widened in silence."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access.services import create_standing_grant
from apps.audit.actors import SYSTEM
from apps.catalog.models import Route
from apps.firewall import refusals, services
from apps.firewall.models import FirewallLine, FirewallRequest
from apps.firewall.selectors import get_ways
from apps.firewall.standing import Stand, stand_of
from tests.factories import access as factory
from tests.factories import firewall
from tests.factories.firewall import written

pytestmark = pytest.mark.django_db
ONE = "/payments/{id}"
"""GET reads one there, DELETE purges it."""


def asked(there: factory.Shop, at: datetime, **line: str) -> FirewallRequest:
    return firewall.request(there.ada, written("person:ada", **{"path": ONE, **line}), at=at)


def choose(request: FirewallRequest, there: factory.Shop, key: str, at: datetime) -> FirewallLine:
    services.choose(public_id=request.public_id, number=1, side="method", key=key, actor=there.ada, at=at)
    return firewall.line_of(request)


def proposed(line: FirewallLine, there: factory.Shop, at: datetime) -> list[tuple[str, ...]]:
    found = get_ways(line=line, viewer=there.ada, at=at)
    assert found is not None
    return [one.routes for one in found.proposals]


def test_it_is_read_as_what_only_reads_and_has_to_be_confirmed_however_exactly_all_else_is_named(at: datetime) -> None:
    there = factory.shop()
    line = firewall.line_of(asked(there, at))
    assert (line.meaning.routes, line.meaning.confirmed_by, stand_of(line)) == (["read"], None, Stand.UNCONFIRMED)
    assert [(one["key"], one["label"]) for one in line.meaning.found["method"]] == [
        ("read", "GET"),
        ("DELETE", "DELETE"),
        ("every", "Every method"),
    ]
    assert proposed(line, there, at) == [("read",)]


def test_confirming_it_opens_what_only_reads(at: datetime) -> None:
    there = factory.shop()
    request = asked(there, at)
    services.confirm(public_id=request.public_id, actor=there.ada, at=at)
    assert services.take_narrowest(public_id=request.public_id, actor=there.ada, at=at) == {}
    services.submit(public_id=request.public_id, actor=there.ada, at=at)
    sent = firewall.line_of(request).access_request
    assert sent is not None
    assert [route.key for route in sent.routes.all()] == ["read"]


@pytest.mark.parametrize(("key", "routes"), [("DELETE", ["purge"]), ("every", ["purge", "read"]), ("read", ["read"])])
def test_a_person_chooses_another_and_that_confirms_it(at: datetime, key: str, routes: list[str]) -> None:
    there = factory.shop()
    request = asked(there, at)
    line = choose(request, there, key, at)
    assert (sorted(line.meaning.routes), line.meaning.confirmed_by) == (routes, there.ada)
    assert proposed(line, there, at) == [tuple(routes)]
    services.look_again(public_id=request.public_id, actor=there.ada, at=at)
    again = firewall.line_of(request)
    assert (sorted(again.meaning.routes), again.meaning.confirmed_by) == (routes, there.ada)


def test_where_each_method_changes_something_none_is_taken_until_one_is_chosen(at: datetime) -> None:
    there = factory.shop()
    Route.objects.create(service=there.service, key="undo", methods=["DELETE"], template="/refunds")
    request = asked(there, at, path="/refunds")
    line = firewall.line_of(request)
    assert (line.meaning.routes, stand_of(line)) == ([], Stand.UNCLEAR)
    assert services.confirm(public_id=request.public_id, actor=there.ada, at=at) == 0
    with pytest.raises(refusals.LinesNotReady):
        services.take(public_id=request.public_id, number=1, proposal="narrowest", actor=there.ada, at=at)
    with pytest.raises(refusals.LinesNotReady):
        services.submit(public_id=request.public_id, actor=there.ada, at=at)
    chosen = choose(request, there, "POST", at)
    assert (chosen.meaning.routes, stand_of(chosen)) == (["refund"], Stand.CHOOSE)


def test_choosing_who_calls_does_not_answer_which_method(at: datetime) -> None:
    there = factory.shop()
    request = firewall.request(there.ada, written("ada", path=ONE), at=at)
    who = {"public_id": request.public_id, "number": 1, "actor": there.ada, "at": at}
    services.choose(side="source", key="person:ada", **who)
    assert firewall.line_of(request).meaning.confirmed_by is None
    with pytest.raises(refusals.UnknownChoice):
        services.choose(side="method", key="PUT", **who)


def test_it_closes_itself_only_when_every_method_is_open_or_a_person_said_which(at: datetime) -> None:
    there = factory.shop()
    factory.active_grant(there.ada, there.ben, routes=("read",), duration=2 * firewall.HOUR, at=at)
    request = asked(there, at)
    assert stand_of(firewall.line_of(request)) is Stand.UNCONFIRMED
    assert stand_of(choose(request, there, "read", at)) is Stand.ALLOWED


@pytest.mark.parametrize("line", [{"method": "DELETE"}, {"path": "/refunds"}, {"path": "/payments"}])
def test_a_method_or_a_path_of_one_route_leaves_nothing_to_ask(at: datetime, line: dict[str, str]) -> None:
    there = factory.shop()
    found = firewall.line_of(asked(there, at, **line)).meaning
    assert (found.found["method"], len(found.routes), found.confirmed_by) == ([], 1, there.ada)


def test_a_copy_of_a_route_of_several_methods_does_not_take_its_neighbours_along(at: datetime) -> None:
    there = factory.shop()
    Route.objects.filter(service=there.service, key="read").update(methods=["GET", "PUT"])
    factory.service("orders", team=there.storefront)
    factory.service("billing", team=there.storefront)
    held = {"subject_key": "workload:spiffe://shop.test/ns/shop/sa/orders", "service_slug": "payments"}
    create_standing_grant(actor=SYSTEM, route_keys=["read"], at=at, **held)
    head = services.Head(title="Like orders", reason="It replaces it.", duration=firewall.HOUR)
    copy = services.clone_access(actor=there.ada, source="orders", to="billing", sides=["caller"], head=head, at=at)
    assert [line.meaning.routes for line in firewall.lines_of(copy)] == [["read"]]


def test_all_of_a_service_is_never_the_narrowest(at: datetime) -> None:
    there = factory.shop()
    Route.objects.filter(service=there.service, key__in=["read", "list"]).update(retired_at=at)
    request = firewall.request(there.ada, written("person:ada"), at=at)
    left = services.take_narrowest(public_id=request.public_id, actor=there.ada, at=at)
    assert left == {1: "It names no route, and nothing says which it needs. Open the line; name one, or choose all."}
    assert firewall.line_of(request).design is None


def test_where_all_of_a_service_only_reads_that_is_narrow_enough(at: datetime) -> None:
    there = factory.shop()
    Route.objects.filter(service=there.service, key__in=["purge", "refund"]).update(retired_at=at)
    request = firewall.request(there.ada, written("person:ada"), at=at)
    assert services.take_narrowest(public_id=request.public_id, actor=there.ada, at=at) == {}
    design = firewall.line_of(request).design
    assert design is not None
    assert (design["title"], design["routes"]) == ("A new rule for what only reads", ["list", "read"])
