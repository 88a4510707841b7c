"""What is shown before sending, and before deciding."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from apps.access import refusals, selectors, services
from apps.access.models import AccessRequest
from apps.audit.actors import SYSTEM
from apps.compiler.graph import Point
from apps.identity.models import Subject
from tests.factories import identity
from tests.factories.access import HOUR, active_grant, approve, ask, service, shop

pytestmark = pytest.mark.django_db


def look(
    actor: Subject,
    at: datetime,
    *,
    subject: Subject | None = None,
    to: str = "payments",
    routes: tuple[str, ...] = ("refund",),
    duration: int = HOUR,
) -> selectors.Preview:
    return selectors.preview(
        actor=actor, subject_key=(subject or actor).key, service_slug=to, route_keys=routes, duration=duration, at=at
    )


def test_it_says_who_must_approve_and_why(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    seen = look(there.ada, at)
    assert [(one.name, one.count, [who.name for who in one.people], one.sentence) for one in seen.approvals] == [
        ("Owners of Payments", 1, ["Bea", "Ben"], "The team that owns the service decides."),
        ("Security", 1, ["Cyd"], "Sensitive and critical services also need security."),
    ]
    assert seen.can_be_sent
    assert (seen.max_duration, seen.max_duration_words) == (24 * HOUR, "1 day")
    assert seen.max_duration_why == "Payments allows this at most."


def test_the_exact_change_is_in_words(at: datetime) -> None:
    there = shop()
    seen = look(there.ada, at)
    assert seen.points == ("edge", "mesh")
    assert [change.sentence for change in seen.planned.plan.changes] == [
        "Ada may call POST /refunds on Payments from the edge and inside the mesh until Mon 02 Mar 2026 10:00 UTC."
    ]
    assert seen.planned.findings == ()
    assert len(seen.planned.after.grants) == len(seen.planned.before.grants) + 1


def test_nothing_is_written(at: datetime) -> None:
    there = shop()
    look(there.ada, at)
    assert not AccessRequest.objects.exists()


def test_it_says_what_is_open_already(at: datetime) -> None:
    there = shop()
    own = active_grant(there.ada, there.ben, duration=HOUR)
    teams = active_grant(there.ada, there.ben, subject=there.storefront, routes=("list",), points=("mesh",))
    seen = look(there.ada, at, routes=("refund", "list", "read"))
    assert sorted(seen.already) == [
        "You already can call GET /payments inside the mesh, "
        f"through Storefront ({teams.public_id}) until Mon 02 Mar 2026 10:00 UTC.",
        "You already can call POST /refunds from the edge and inside the mesh, "
        f"through {own.public_id} until Mon 02 Mar 2026 10:00 UTC.",
    ]
    assert look(there.ada, at + timedelta(seconds=HOUR), routes=("refund", "list")).already == ()


def test_it_speaks_of_others_by_name(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, subject=there.storefront)
    (sentence,) = look(there.ada, at, subject=there.storefront).already
    assert sentence.startswith("Storefront already can call POST /refunds")


def test_lint_speaks_of_the_proposed_grant_only(at: datetime) -> None:
    there = shop()
    active_grant(there.ada, there.ben, duration=4 * HOUR)
    active_grant(there.ada, there.ben, subject=there.storefront, duration=2 * HOUR)
    seen = look(there.ada, at, duration=HOUR)
    assert {finding.code for finding in seen.planned.findings} == {"shadowed"}
    assert all("proposed" in finding.grant_ids for finding in seen.planned.findings)


def test_it_says_who_is_affected_and_who_else_holds_it(at: datetime) -> None:
    there = shop()
    gus = identity.person("gus", teams=(there.storefront,))
    active_grant(there.bot, there.ben)
    seen = look(there.ada, at, subject=there.storefront)
    assert [who.name for who in seen.affected] == ["Ada", "Gus"]
    assert [who.key for who in seen.others] == ["agent:release-bot"]
    assert look(gus, at).affected == ()
    assert "It opens to a whole team: 2 people." in [cause.sentence for cause in seen.risk.causes]


def test_what_stands_against_it_is_listed_and_not_raised(at: datetime) -> None:
    there = shop(max_duration=HOUR)
    values = services.GuardrailValues(sentence="Agents never delete.", kinds=("agent",), methods=("DELETE",))
    services.set_guardrail(slug="wall", values=values, actor=SYSTEM, at=at)
    seen = look(there.bot, at, routes=("purge",), duration=2 * HOUR)
    assert [one.code for one in seen.blockers] == ["guardrail", "duration_too_long"]
    assert not seen.can_be_sent
    ask(there.ada)
    assert [one.code for one in look(there.ada, at).blockers] == ["already_asked"]


def test_what_stays_closed_all_the_same_is_noted(at: datetime) -> None:
    there = shop()
    service("mixed", team=there.payments_team, routes={"both": (["GET", "DELETE"], "/things")}, doors=("edge",))
    values = services.GuardrailValues(sentence="Nobody deletes.", methods=("DELETE",))
    services.set_guardrail(slug="wall", values=values, actor=SYSTEM, at=at)
    seen = look(there.ada, at, to="mixed", routes=("both",))
    assert seen.can_be_sent
    assert seen.notes == ("Nobody deletes. (DELETE /things at the edge stays closed.)",)


def test_a_preview_for_somebody_elses_subject_is_refused(at: datetime) -> None:
    there = shop()
    with pytest.raises(refusals.NotYourSubject):
        look(there.ada, at, subject=there.ben)


def test_it_can_be_sent_as_json(at: datetime) -> None:
    there = shop()
    sent = json.loads(json.dumps(look(there.ada, at).as_json()))
    assert sent["can_be_sent"] is True
    assert sent["changes"][0]["kind"] == "grant_added"
    assert sent["routes"] == [{"id": "refund", "methods": ["POST"], "template": "/refunds"}]


def test_an_approver_sees_the_change_a_request_would_make(at: datetime) -> None:
    there = shop()
    request = selectors.get_visible_request(viewer=there.ben, public_id=ask(there.ada).public_id)
    planned = selectors.planned_change(request=request, at=at)
    assert [change.kind for change in planned.plan.changes] == ["grant_added"]


def test_an_approved_request_shows_the_change_of_its_living_grant(at: datetime) -> None:
    there = shop()
    public_id = approve(ask(there.ada, points=("edge",)), there.ben).public_id
    request = selectors.get_visible_request(viewer=there.ben, public_id=public_id)
    planned = selectors.planned_change(request=request, at=at)
    assert [(change.kind, change.grant_id) for change in planned.plan.changes] == [
        ("grant_added", request.grant.public_id)
    ]
    assert planned.after.grants[0].points == frozenset({Point.EDGE})
    services.end_grant(public_id=request.grant.public_id, actor=there.ada, at=at)
    assert selectors.planned_change(request=request, at=at).plan.changes == ()


def test_a_denied_request_changes_nothing(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    services.review(public_id=request.public_id, actor=there.ben, verdict="deny", at=at)
    request.refresh_from_db()
    assert selectors.planned_change(request=request, at=at).plan.changes == ()
