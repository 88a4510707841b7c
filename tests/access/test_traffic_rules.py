"""Traffic rules: asked for, weighed against each other, approved and ended like access, and opening nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.access import refusals, selectors, services
from apps.access.models import AccessRequest, Grant
from apps.audit import selectors as audit
from apps.catalog.models import Exposure
from apps.compiler.graph import Breaker, Point, TrafficRule, Variant
from apps.outbox.models import Message
from tests.factories import identity
from tests.factories.access import AT, HOUR, Shop, approve, shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def there() -> Shop:
    made = shop()
    with_versions(made)
    identity.team("beta", members=(made.ada,))
    return made


def with_versions(made: Shop) -> None:
    Exposure.objects.filter(service=made.service, point="mesh").update(variants=["v2:9301", "v3:9302"])


def ask_rule(actor: object, subject: str = "team:beta", **more: object) -> AccessRequest:
    wish = {"variant": "v2"}
    given: dict[str, object] = {
        "actor": actor,
        "subject_key": subject,
        "service_slug": "payments",
        "route_keys": ("list",),
        "duration": HOUR,
        "reason": "The beta team tries the new version.",
        "at": AT,
        "treatment": wish,
    }
    return services.open_request(**{**given, **more})  # type: ignore[arg-type]  # passed on as given


def in_force(there: Shop, **more: object) -> Grant:
    request = approve(ask_rule(there.ben, **more), there.bea)
    return services.activate(grant_id=Grant.objects.get(request=request).public_id, at=AT)


def rules_now(at: object = AT) -> tuple[TrafficRule, ...]:
    return selectors.graph_slice(service_slugs=["payments"], environment_slug="demo", at=at).traffic  # type: ignore[arg-type]


def test_it_travels_like_a_grant_and_opens_nothing(there: Shop) -> None:
    request = ask_rule(there.ben)
    assert request.state == "pending"
    grant = Grant.objects.get(request=approve(request, there.bea))
    assert (grant.state, sorted(door.point for door in grant.doors.all())) == ("pending", ["edge", "mesh"])
    services.activate(grant_id=grant.public_id, at=AT)
    graph = selectors.graph_slice(service_slugs=["payments"], environment_slug="demo", at=AT)
    assert graph.grants == ()
    assert graph.services["payments"].variants == (Variant("v2", 9301), Variant("v3", 9302))
    assert graph.subjects["person:ada"].teams >= {"team:beta"}
    start = int(AT.timestamp())
    assert graph.traffic == (
        TrafficRule(
            grant.public_id,
            "team:beta",
            "payments",
            frozenset({"list"}),
            frozenset(Point),
            start,
            start + HOUR,
            variant="v2",
        ),
    )
    assert selectors.who_can_reach(service_slug="payments", at=AT + timedelta(seconds=1)) == ()
    assert list(selectors.list_held(subject=there.ada, at=AT)) == []


def test_the_same_rules_of_approval_hold(there: Shop) -> None:
    request = ask_rule(there.ben)
    with pytest.raises(refusals.SelfApproval):
        approve(request, there.ben)
    with pytest.raises(refusals.NotAnApprover):
        approve(request, there.flo)
    assert [need.name for need in request.requirements.all()] == ["Owners of Payments"]


def test_the_record_and_the_news_say_what_it_does(there: Shop) -> None:
    grant = in_force(there, treatment={"variant": "v2", "percent": 10, "everybody": True})
    created = audit.find_latest(target_type="access.grant", target_id=grant.public_id, action="access.grant.created")
    assert created is not None
    assert created.after["treatment"]["percent"] == 10
    news = Message.objects.filter(topic="access.grant.changed", key=grant.public_id)
    assert {message.payload["service"] for message in news} == {"payments"}


def test_it_runs_out_and_can_be_ended_by_its_owners(there: Shop) -> None:
    first = in_force(there)
    services.expire_due_grants(at=AT + timedelta(seconds=HOUR))
    first.refresh_from_db()
    assert (first.state, rules_now()) == ("expired", ())
    second = in_force(there, reason="Again.")
    services.end_grant(public_id=second.public_id, actor=there.bea, at=AT)
    second.refresh_from_db()
    assert (second.state, rules_now()) == ("revoked", ())
    assert {door.state for door in second.doors.all()} == {"closing"}


def test_two_rules_that_contradict_each_other_are_refused_with_both_shown(there: Shop) -> None:
    first = in_force(there)
    with pytest.raises(refusals.TrafficConflict) as caught:
        ask_rule(there.ben, treatment={"variant": "v3", "everybody": True, "percent": 10})
    told = caught.value.extra
    assert first.request is not None
    assert told == {
        "asked": "calls of 10 % of all callers to GET /payments on Payments go to v3",
        "other": "calls of Beta to GET /payments on Payments go to v2",
        "request": first.request.public_id,
        "in_force": True,
        "differences": ["one sends to v3, the other to v2"],
    }
    assert caught.value.status == 409
    assert AccessRequest.objects.count() == 1


def test_one_that_waits_counts_too_until_it_is_withdrawn(there: Shop) -> None:
    waiting = ask_rule(there.ben)
    with pytest.raises(refusals.TrafficConflict, match="is asked for already"):
        ask_rule(there.bea, subject="person:ada", treatment={"variant": "v3"})
    services.cancel_request(public_id=waiting.public_id, actor=there.ben, at=AT)
    assert ask_rule(there.bea, subject="person:ada", treatment={"variant": "v3"}).state == "pending"


def test_rules_that_get_along_live_side_by_side(there: Shop) -> None:
    in_force(there)
    for more in (
        {"subject": "team:beta", "treatment": {"variant": "v2", "percent": 50}},
        {"subject": "team:beta", "treatment": {"calls_per_minute": 60}},
        {"subject": "team:storefront", "route_keys": ("read",), "treatment": {"variant": "v3"}},
        {"subject": "person:dan", "treatment": {"variant": "v3"}},
    ):
        assert ask_rule(there.ben, **more).state == "pending"


def test_a_membership_that_came_between_ask_and_answer_is_noticed(there: Shop) -> None:
    in_force(there)
    gamma = identity.team("gamma")
    waiting = ask_rule(there.ben, subject=gamma.key, treatment={"variant": "v3"})
    identity.join(gamma, there.ada)
    with pytest.raises(refusals.TrafficConflict, match="is in force"):
        approve(waiting, there.bea)
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_who_may_ask_for_whom(there: Shop) -> None:
    assert ask_rule(there.ada, subject="person:ada").subject.key == "person:ada"
    assert ask_rule(there.bot, subject=there.bot.key, treatment={"calls_per_minute": 5}).subject == there.bot
    everybody: dict[str, object] = {"variant": "v2", "everybody": True, "percent": 5}
    for actor, subject, treatment in (
        (there.ada, "person:dan", {"variant": "v2"}),
        (there.ada, "person:ada", everybody),
        (there.bot, there.bot.key, everybody),
        (there.flo, "team:beta", {"variant": "v2"}),
    ):
        with pytest.raises(refusals.NotYourTraffic):
            ask_rule(actor, subject=subject, treatment=treatment)
    assert ask_rule(there.ben, subject="person:ben", treatment=everybody).subject == there.payments_team


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"variant": "v9"}, "variant", "Payments has no version v9; it has v2 and v3 beside the usual one."),
    ({"variant": "v2", "percent": 0}, "percent", "Give a whole number from 1 to 100."),
    ({"variant": "v2", "percent": "many"}, "percent", "Give a whole number from 1 to 100."),
    ({"calls_per_minute": 0}, "calls_per_minute", "Give a whole number from 1 to 100000."),
    ({}, "treatment", "Say what the rule does: another version, a header, a limit, or a breaker."),
    ({"everybody": True, "percent": 10}, "treatment", "Say what the rule does: another version, a header, a limit, or"),
    ({"breaker": {"errors": 5, "seconds": ""}}, "breaker", "Give errors from 1 to 100 and seconds from 1 to 600, both"),
    (
        {"breaker": {"errors": 101, "seconds": 9}},
        "breaker",
        "Give errors from 1 to 100 and seconds from 1 to 600, both",
    ),
    ({"set_headers": {"Prefer": "a"}, "remove_headers": ["prefer"]}, "remove_headers", "Prefer cannot be set and"),
    ({"set_headers": {"Prefer": ""}}, "set_headers", "Give Prefer a value of at most 200 plain letters"),
    ({"set_headers": {"Prefer": "a\r\nX-Admin: 1"}}, "set_headers", "Give Prefer a value of at most 200 plain letters"),
    ({"set_headers": {"Prefer": "a" * 201}}, "set_headers", "Give Prefer a value of at most 200 plain letters"),
]
FORBIDDEN = [
    "Host",
    "Authorization",
    "Cookie",
    "Connection",
    "Transfer-Encoding",
    "Upgrade",
    "Content-Length",
    "TE",
    "Txn-Token",
    "X-Sallyport-Subject",
    "x_sallyport_subject",
    "X-Request-Id",
    "X-Forwarded-For",
    "X-Forwarded-User",
    "Remote-User",
    "Traceparent",
    "X-Anything",
    "",
]


@pytest.mark.parametrize(("treatment", "field", "complaint"), BAD)
def test_what_makes_no_sense_is_refused_by_its_field(
    there: Shop, treatment: dict[str, object], field: str, complaint: str
) -> None:
    with pytest.raises(refusals.BadTreatment) as caught:
        ask_rule(there.ben, treatment=treatment)
    assert caught.value.fields[field][0].startswith(complaint)
    assert caught.value.status == 422


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("how", ["set", "remove"])
def test_a_header_that_is_not_on_the_list_is_never_touched(there: Shop, name: str, how: str) -> None:
    treatment: dict[str, object] = {"set_headers": {name: "x"}} if how == "set" else {"remove_headers": [name]}
    with pytest.raises(refusals.BadTreatment, match="A rule may not touch"):
        ask_rule(there.ben, treatment=treatment)


def test_a_limit_needs_a_door_that_counts(there: Shop) -> None:
    with pytest.raises(refusals.BadTreatment, match="Only the mesh door can count"):
        ask_rule(there.ben, points=("edge",), treatment={"calls_per_minute": 5})


def test_a_breaker_needs_a_door_that_sees_the_answers(there: Shop) -> None:
    with pytest.raises(refusals.BadTreatment, match="Only the mesh door sees how a service answers"):
        ask_rule(there.ben, points=("edge",), treatment={"breaker": {"errors": 5, "seconds": 30}})


def test_a_breaker_travels_like_any_rule_and_a_second_one_is_refused_with_both_shown(there: Shop) -> None:
    grant = in_force(there, treatment={"breaker": {"errors": 5, "seconds": 30}, "everybody": True})
    assert [one.breaker for one in rules_now()] == [Breaker(5, 30)]
    with pytest.raises(refusals.TrafficConflict) as caught:
        ask_rule(there.ben, subject="person:ada", treatment={"breaker": {"errors": 1, "seconds": 60}})
    told = caught.value.extra
    assert (told["asked"], told["other"]) == (
        "calls of Ada to GET /payments on Payments are turned away for 60 s after 1 error within 60 s"
        " (in the mesh alone: the edge has no breaker)",
        "calls of all callers to GET /payments on Payments are turned away for 30 s after 5 errors within 30 s"
        " (in the mesh alone: the edge has no breaker)",
    )
    services.end_grant(public_id=grant.public_id, actor=there.bea, at=AT)
    assert rules_now() == ()


def test_the_risk_of_a_breaker_is_whom_it_turns_away(there: Shop) -> None:
    request = ask_rule(there.ben, treatment={"breaker": {"errors": 1, "seconds": 60}, "everybody": True})
    assert request.risk["causes"] == [
        "It is about everybody who calls.",
        "Everybody it is about is turned away for 60 s after 1 error within 60 s, whoever met them.",
    ]


def test_the_risk_says_what_it_could_break(there: Shop) -> None:
    request = ask_rule(there.ben, route_keys=("refund",), treatment={"variant": "v2", "everybody": True, "percent": 50})
    assert request.risk["causes"] == [
        "Calls that change things (POST) are answered by another version.",
        "It is about 50 % of everybody who calls.",
    ]


def test_a_preview_shows_the_change_and_the_contradiction(there: Shop) -> None:
    in_force(there)
    shown = selectors.preview(
        actor=there.ben,
        subject_key="person:ada",
        service_slug="payments",
        route_keys=("list",),
        duration=HOUR,
        treatment={"variant": "v3"},
        at=AT,
    )
    assert [one.code for one in shown.blockers] == ["traffic_conflict"]
    assert [change.kind for change in shown.planned.plan.changes] == ["traffic_added"]
    assert shown.already == ()
