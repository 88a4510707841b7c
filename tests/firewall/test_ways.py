"""What stands on the way of a line, now and were it granted; and how it could be opened, the narrowest first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.access.models import CleanUp, Grant
from apps.access.services.cleaning import decide_clean_up
from apps.access.services.standing import ensure_watching
from apps.access.services.uses import note_uses
from apps.firewall import refusals, services
from apps.firewall.hops import Hop
from apps.firewall.selectors import Ways, get_ways
from apps.firewall.standing import Stand, stand_of
from apps.identity.models import Subject
from tests.access.test_clean_ups import standing
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import firewall, pages
from tests.factories.firewall import HOUR, written

pytestmark = pytest.mark.django_db


def ways(asker: Subject, *args: str, at: datetime, viewer: Subject | None = None, **line: Any) -> Ways:
    head = {name: line.pop(name) for name in ("duration", "ends_at") if name in line}
    asked = firewall.request(asker, written(*args, **line), at=at, **head)
    found = get_ways(line=firewall.line_of(asked), viewer=viewer or asker, at=at)
    assert found is not None
    return found


def said(hops: tuple[Hop, ...]) -> list[tuple[str, object, object]]:
    return [(hop.code, hop.now and hop.now.value, hop.after and hop.after.value) for hop in hops]


def test_a_person_passes_the_edge_the_ingress_and_the_sidecar(at: datetime) -> None:
    there = factory.shop()
    found = ways(there.ada, "person:ada", path="/refunds", at=at)
    assert said(found.hops) == [
        ("source", None, None),
        ("list", "passes", "passes"),
        ("edge", "blocks", "passes"),
        ("ingress", "follows", "follows"),
        ("sidecar", "blocks", "passes"),
        ("service", None, None),
    ]
    assert found.hops[2].sentence == "Nobody has opened this to Ada."


def test_one_door_that_is_open_is_told_apart_from_one_that_is_not(at: datetime) -> None:
    there = factory.shop()
    grant = factory.active_grant(there.ada, there.ben, routes=("refund",), points=("edge",), at=at)
    found = ways(there.ada, "person:ada", path="/refunds", at=at)
    edge, sidecar = found.hops[2], found.hops[4]
    assert (edge.now, edge.changes, edge.sentence) == ("passes", False, f"Open by {grant.public_id}.")
    assert (sidecar.now, sidecar.changes) == ("blocks", True)


def test_a_part_of_it_is_open(at: datetime) -> None:
    there = factory.shop()
    factory.active_grant(there.ada, there.ben, routes=("read",), at=at)
    assert said(ways(there.ada, "person:ada", at=at).hops)[2] == ("edge", "partly", "passes")


def test_a_guardrail_blocks_before_and_after(at: datetime) -> None:
    there = factory.shop()
    pages.guardrail()
    found = ways(there.dan, "agent:release-bot", method="DELETE", path="/payments/{id}", at=at)
    assert said(found.hops)[2] == ("edge", "blocks", "blocks")
    assert found.hops[2].sentence == "A guardrail forbids this, whatever is granted."


def test_a_workload_meets_the_sidecar_and_every_cluster_its_service_stands_in(at: datetime) -> None:
    there = factory.shop()
    target = pages.mesh_target(at)
    target.driver = "kubernetes"
    for name, namespace in (("Shop cluster", "shop"), ("Warehouse cluster", "warehouse")):
        target.pk, target.slug, target.name, target.config = None, namespace, name, {"namespaces": [namespace]}
        target.save(force_insert=True)
    found = ways(there.ada, there.cart.key, path="/refunds", at=at)
    assert said(found.hops)[1:3] == [("sidecar", "blocks", "passes"), ("cluster", "blocks", "passes")]
    assert [hop.place for hop in found.hops[1:-1]] == ["Shop mesh", "Shop cluster"]


def test_addresses_meet_the_list_and_no_further(at: datetime) -> None:
    there = factory.shop()
    outside.guard()
    acme = outside.party(there.ada, there.storefront)
    outside.ask(there.ada, acme, "203.0.113.0/28")
    found = ways(there.ada, "203.0.113.4", at=at)
    assert said(found.hops) == [
        ("source", None, None),
        ("list", "blocks", "passes"),
        ("edge", "unknown", "unknown"),
        ("service", None, None),
    ]
    assert found.hops[1].sentence == "203.0.113.4 is not on it."
    assert found.proposals[0].title == "A new opening for addresses"


def test_a_line_that_names_its_route_asks_for_that_alone(at: datetime) -> None:
    there = factory.shop()
    (only,) = ways(there.ada, "person:ada", path="/refunds", at=at).proposals
    assert (only.kind, only.routes, only.points, only.duration) == ("new", ("refund",), ("edge", "mesh"), HOUR)


def test_without_a_route_what_was_refused_comes_before_what_reads_and_all_comes_last(at: datetime) -> None:
    there = factory.shop()
    pages.call(there.ada, at=at - timedelta(hours=1))
    found = ways(there.ada, "person:ada", at=at).proposals
    assert [(one.title, one.routes) for one in found] == [
        ("A new rule for what was refused lately", ("refund",)),
        ("A new rule for what only reads", ("list", "read")),
        ("A new rule for everything", ("list", "purge", "read", "refund")),
    ]


def test_what_the_catalogue_declares_is_proposed_for_a_service(at: datetime) -> None:
    there = factory.shop()
    billing = factory.service("billing", team=there.storefront)
    factory.depends(billing, there.service, routes=("read",))
    found = ways(there.ada, "billing", at=at).proposals
    assert [one.routes for one in found] == [("read",), ("list", "read"), ("list", "purge", "read", "refund")]


def test_what_is_open_for_a_while_can_be_reused_and_comes_first(at: datetime) -> None:
    there = factory.shop()
    grant = factory.active_grant(there.ada, there.ben, routes=("refund",), duration=HOUR, at=at)
    found = ways(there.ada, "person:ada", path="/refunds", duration=3 * HOUR, at=at).proposals
    assert [(one.kind, one.beside) for one in found] == [("reuse", grant.public_id), ("new", "")]


def test_one_more_route_beside_a_grant_ends_with_it(at: datetime) -> None:
    there = factory.shop()
    grant = factory.active_grant(there.ada, there.ben, routes=("list",), duration=HOUR // 2, at=at)
    found = ways(there.ada, "person:ada", path="/refunds", at=at).proposals
    assert [(one.kind, one.routes, one.duration, one.beside) for one in found] == [
        ("widen", ("refund",), HOUR // 2, grant.public_id),
        ("new", ("refund",), HOUR, ""),
    ]


def test_what_is_asked_for_or_opening_is_followed(at: datetime) -> None:
    there = factory.shop()
    waiting = factory.ask(there.ada, routes=("refund",), at=at)
    coming = factory.pending_grant(there.ada, there.ben, routes=("list",), at=at)
    found = ways(there.ada, "person:ada", path="/refunds", at=at).proposals
    assert [(one.kind, one.beside) for one in found] == [("follow", waiting.public_id), ("new", "")]
    opening = ways(there.ada, "person:ada", method="GET", path="/payments", at=at).proposals
    assert coming.request is not None
    assert [(one.kind, one.beside) for one in opening] == [("follow", coming.request.public_id), ("new", "")]


def test_what_is_open_by_a_grant_wider_than_its_use_is_offered_to_be_narrowed(at: datetime) -> None:
    there = factory.shop()
    ensure_watching(at=at)
    wide = standing(there.ada, "read", "list", "refund", at=at)
    then = at + timedelta(days=91)
    note_uses({(wide.public_id, "list"): then - timedelta(days=1)})
    (only,) = ways(there.ada, "person:ada", path="/refunds", at=then).proposals
    assert (only.kind, only.routes, only.duration, only.beside) == ("replace", ("list", "refund"), 0, wide.public_id)
    assert only.sentence.startswith(f"{wide.public_id} opens 3 routes there, and calls take 1 of them.")
    note_uses({(wide.public_id, "read"): then})
    assert ways(there.ada, "person:ada", path="/refunds", at=then).proposals == (), "all of it is needed"
    assert ways(there.ada, "person:ada", path="/refunds", at=at).proposals == (), "nobody watched for long enough"


def test_taking_that_proposes_an_ordinary_clean_up_and_opens_nothing(at: datetime) -> None:
    there = factory.shop()
    ensure_watching(at=at)
    wide = standing(there.ada, "read", "list", "refund", at=at)
    then = at + timedelta(days=91)
    asked = firewall.request(there.ada, written("person:ada", path="/refunds"), at=then)
    (only,) = get_ways(line=firewall.line_of(asked), viewer=there.ada, at=then).proposals  # type: ignore[union-attr]  # it is clear
    take = {"public_id": asked.public_id, "number": 1, "actor": there.ada, "at": then}
    with pytest.raises(refusals.UnknownChoice):
        services.take(proposal="narrowest", **take)
    line = services.take(proposal=only.id, **take)
    row = CleanUp.objects.get()
    assert (row.kept, row.safe, row.state) == ({wide.public_id: ["refund"]}, False, "pending")
    assert row.reason == f"Customers wait for money. ({asked.public_id}, line 1)"
    assert (line.design["clean_up"], stand_of(firewall.line_of(asked))) == (row.public_id, Stand.ALLOWED)
    assert Grant.objects.get() == wide
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=then)
    services.look_again(public_id=asked.public_id, actor=there.ada, at=then)
    new = Grant.objects.latest("pk")
    line = firewall.line_of(asked)
    assert (line.meaning.allowed_by, stand_of(line)) == ([new.public_id], Stand.ALLOWED)


def test_no_proposal_is_longer_than_the_service_allows(at: datetime) -> None:
    there = factory.shop(max_duration=HOUR)
    (only,) = ways(there.ada, "person:ada", path="/refunds", duration=5 * HOUR, at=at).proposals
    assert only.duration == HOUR
    assert only.sentence.endswith("It is for less long than wanted: the service allows no more.")
