"""The graph out of the database: what is in a slice, with which window, and at what cost."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import selectors, services
from apps.access.selectors.circumstances import slice_around
from apps.audit.actors import SYSTEM
from apps.compiler import graph
from apps.compiler.decide import Action, Context, Decision, Resource, decide
from apps.compiler.reasons import Reason
from apps.identity import services as people
from apps.identity.services import denials
from tests.access.test_clean_ups import standing
from tests.access.test_traffic_rules import in_force, with_versions
from tests.factories import identity, pages
from tests.factories.access import HOUR, active_grant, pending_grant, service, shop

pytestmark = pytest.mark.django_db


def slice_at(at: datetime, *slugs: str) -> graph.AccessGraph:
    return selectors.graph_slice(service_slugs=slugs or ("payments",), environment_slug="demo", at=at)


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def asked(found: graph.AccessGraph, subject: str, method: str, path: str, at: datetime) -> Decision:
    where = Context(graph.Point.EDGE)
    return decide(found, subject, Action(method), Resource("payments", path), where, seconds(at))


def test_a_slice_holds_the_service_its_grants_and_their_subjects(at: datetime) -> None:
    there = shop()
    service("billing", team=there.payments_team)
    grant = active_grant(there.ada, there.ben, routes=("refund", "list"), duration=HOUR)
    active_grant(there.ada, there.ben, to="billing")
    found = slice_at(at)
    assert list(found.services) == ["payments"]
    assert found.grants == (
        graph.Grant(
            id=grant.public_id,
            subject="person:ada",
            service="payments",
            routes=frozenset({"refund", "list"}),
            points=frozenset(graph.Point),
            starts_at=seconds(at),
            ends_at=seconds(at) + HOUR,
        ),
    )
    assert list(found.subjects) == ["person:ada"]


def test_a_pending_grant_opens_at_its_approval_and_has_its_whole_time_ahead(at: datetime) -> None:
    there = shop()
    pending_grant(there.ada, there.ben, duration=HOUR)
    later = at + timedelta(hours=5, microseconds=7)
    (grant,) = slice_at(later).grants
    assert (grant.starts_at, grant.ends_at) == (seconds(at), seconds(later) + HOUR)


def test_a_standing_grant_has_no_end_before_and_after_activation(at: datetime) -> None:
    there = shop()
    grant = services.create_standing_grant(
        actor=SYSTEM, subject_key=there.cart.key, service_slug="payments", route_keys=["list"], at=at
    )
    assert [one.ends_at for one in slice_at(at).grants] == [None]
    services.activate(grant_id=grant.public_id, at=at)
    assert [(one.starts_at, one.ends_at) for one in slice_at(at).grants] == [(seconds(at), None)]


@pytest.mark.parametrize(("offset", "there_still"), [(-1, True), (0, False), (1, False)])
def test_what_has_run_out_is_gone_to_the_second_before_any_sweep(offset: int, there_still: bool, at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, duration=HOUR)
    moment = at + timedelta(seconds=HOUR + offset)
    assert bool(slice_at(moment).grants) is there_still


def test_what_was_ended_is_gone(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben)
    services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
    assert slice_at(at).grants == ()


def test_a_team_comes_with_its_members_and_they_may(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, subject=there.storefront, routes=("refund",))
    found = slice_at(at)
    assert sorted(found.subjects) == ["person:ada", "team:storefront"]
    assert asked(found, "person:ada", "POST", "/refunds", at).reason is Reason.GRANTED
    assert asked(found, "person:ada", "GET", "/payments", at).reason is Reason.NO_GRANT


def test_the_suspended_are_inactive(at: datetime) -> None:
    there = shop()
    active_grant(there.bot, there.ben)
    people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at)
    assert slice_at(at).subjects["agent:release-bot"].active is False


def test_guardrails_that_can_match_come_along_with_whom_they_name(at: datetime) -> None:
    there = shop()
    service("billing", team=there.payments_team)
    walls = {
        "everywhere": services.GuardrailValues(sentence="Never.", kinds=("agent",), methods=("DELETE",)),
        "here": services.GuardrailValues(sentence="Not here.", services=("payments",), subjects=("team:storefront",)),
        "elsewhere": services.GuardrailValues(sentence="Not there.", services=("billing",)),
        "off": services.GuardrailValues(sentence="Off.", enabled=False),
    }
    for slug, values in walls.items():
        services.set_guardrail(slug=slug, values=values, actor=SYSTEM, at=at)
    found = slice_at(at)
    assert [wall.id for wall in found.guardrails] == ["everywhere", "here"]
    assert sorted(found.subjects) == ["person:ada", "team:storefront"]
    assert asked(found, "person:ada", "GET", "/payments", at).guardrail == "here"


def test_the_full_graph_says_what_the_slices_say(at: datetime) -> None:
    there = shop()
    service("billing", team=there.payments_team)
    active_grant(there.ada, there.ben)
    pending_grant(there.bot, there.ben, to="billing")
    whole = selectors.full_graph(environment_slug="demo", at=at)
    assert sorted(whole.services) == ["billing", "payments"]
    assert set(whole.grants) == {*slice_at(at, "payments").grants, *slice_at(at, "billing").grants}
    assert slice_at(at, "payments", "billing") == whole


def test_another_environment_is_another_graph(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben)
    assert selectors.graph_slice(service_slugs=["payments"], environment_slug="staging", at=at).grants == ()


def test_a_retired_service_has_no_grants(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben)
    there.service.retired_at = at
    there.service.save()
    assert slice_at(at) == graph.AccessGraph(services={})


def test_a_slice_costs_the_same_queries_however_many_grants(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            slice_at(at)
        return len(captured)

    few = queries()
    for number in range(6):
        person = identity.person(f"person{number}", teams=(there.storefront,))
        active_grant(person, there.ben, subject=person, routes=("refund", "list"))
    active_grant(there.ada, there.ben, subject=there.storefront)
    assert few == queries() == 7


def test_the_slice_of_a_caller_decides_as_the_whole_slice_of_the_service(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, routes=("refund",))
    active_grant(there.ada, there.ben, subject=there.storefront, routes=("list",))
    active_grant(there.bot, there.ben, routes=("list",))
    values = services.GuardrailValues(sentence="Not here.", kinds=("agent",), methods=("GET",))
    services.set_guardrail(slug="here", values=values, actor=SYSTEM, at=at)
    newcomer = identity.person("newcomer", teams=(there.storefront,))
    people.suspend_subject(key=newcomer.key, actor=SYSTEM, at=at)
    whole = slice_at(at)
    told = set()
    callers = [there.ada, there.ben, there.bot, there.dan, newcomer, there.storefront, there.cart]
    for key in [*(one.key for one in callers), "person:nobody"]:
        own = selectors.caller_slice(subject_key=key, service_slug="payments", environment_slug="demo", at=at)
        assert {grant.subject for grant in own.grants} <= own.subjects.keys()
        full = selectors.graph_slice(service_slugs=["payments"], environment_slug="demo", at=at, also=[key])
        for method, path in (("GET", "/payments"), ("POST", "/refunds"), ("GET", "/nowhere")):
            said = asked(own, key, method, path, at)
            assert said == asked(full, key, method, path, at), (key, method, path)
            told.add(said.reason)
    assert sorted(whole.subjects) != sorted(own.subjects)
    assert {Reason.GRANTED, Reason.NO_GRANT, Reason.GUARDRAIL, Reason.UNKNOWN_SUBJECT, Reason.NO_ROUTE} <= told


def test_a_suspended_team_lends_its_grants_to_nobody_in_the_slice_of_a_caller_either(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, subject=there.storefront, routes=("list",))
    there.storefront.state, there.storefront.suspended_at = "suspended", at
    there.storefront.save()
    own = selectors.caller_slice(subject_key="person:ada", service_slug="payments", environment_slug="demo", at=at)
    assert asked(own, "person:ada", "GET", "/payments", at).reason is Reason.NO_GRANT


def test_the_slice_of_a_caller_knows_that_its_tokens_were_revoked(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, routes=("refund",))
    denials.deny_tokens([there.ada, there.dan], at=at)
    own = selectors.caller_slice(subject_key="person:ada", service_slug="payments", environment_slug="demo", at=at)
    full = selectors.graph_slice(service_slugs=["payments"], environment_slug="demo", at=at, also=["person:ada"])
    assert own.denials == full.denials != ()


def test_what_is_read_around_one_service_for_a_page_is_what_is_compiled(at: datetime) -> None:
    there = shop()
    with_versions(there)
    identity.team("beta", members=(there.ada,))
    pages.guardrail()
    standing(there.ada, "read", at=at)
    standing(there.storefront, "list", at=at)
    active_grant(there.ada, there.ben, routes=("refund",), at=at)
    pending_grant(there.dan, there.ben, at=at)
    in_force(there)
    later = at + timedelta(minutes=5)
    asked = {"environment_slug": "demo", "at": later}
    for turned_away in (False, True):
        if turned_away:
            people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at, why="Left.")
        with CaptureQueriesContext(connection) as queries:
            near = slice_around(service_slug="payments", subject_key=there.bea.key, **asked)
        assert len(queries) == 3 + turned_away
        assert near == selectors.graph_slice(service_slugs=["payments"], also=[there.bea.key], **asked)
    assert (len(near.grants), len(near.traffic), len(near.guardrails), len(near.denials)) == (4, 1, 1, 1)
