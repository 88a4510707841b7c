"""The level of a risk and the sentences that say why."""

from __future__ import annotations

from dataclasses import replace

from apps.access.risk import Exposure, assess
from apps.compiler.graph import Point, Route, SubjectKind

READ = Route("list", frozenset({"GET"}), "/payments")
REFUND = Route("refund", frozenset({"POST"}), "/refunds")
PURGE = Route("purge", frozenset({"DELETE"}), "/payments/{id}")
QUIET = Exposure(
    service_title="Payments",
    sensitivity="internal",
    danger_note="",
    routes=(READ,),
    routes_in_all=3,
    points=frozenset({Point.MESH}),
    duration=3600,
    subject_kind=SubjectKind.PERSON,
    people=1,
)


def sentences(what: Exposure) -> list[str]:
    return [cause.sentence for cause in assess(what).causes]


def test_a_short_read_inside_has_no_cause_for_worry() -> None:
    assert (assess(QUIET).level, sentences(QUIET)) == ("low", [])


def test_each_cause_says_itself() -> None:
    assert sentences(replace(QUIET, sensitivity="sensitive")) == ["Payments holds sensitive data."]
    assert sentences(replace(QUIET, danger_note="Refunds are final.")) == ["Refunds are final."]
    assert sentences(replace(QUIET, routes=(REFUND,))) == ["It can change things (POST)."]
    assert sentences(replace(QUIET, routes=(PURGE,))) == ["It can delete."]
    assert sentences(replace(QUIET, points=frozenset(Point))) == ["It can be used from outside, through the edge."]
    assert sentences(replace(QUIET, duration=3 * 86400)) == ["It lasts 3 days or more."]
    assert sentences(replace(QUIET, subject_kind=SubjectKind.AGENT)) == [
        "An agent will use it, without a person watching each call."
    ]
    assert sentences(replace(QUIET, subject_kind=SubjectKind.TEAM, people=12)) == [
        "It opens to a whole team: 12 people."
    ]
    assert sentences(replace(QUIET, routes=(READ, replace(READ, id="read")), routes_in_all=2)) == [
        "It is wide: 2 of 2 routes."
    ]


def test_the_level_is_the_sum_of_the_causes() -> None:
    refund = replace(QUIET, sensitivity="sensitive", routes=(REFUND,), points=frozenset(Point))
    assert assess(replace(QUIET, sensitivity="sensitive")).level == "low"
    assert assess(refund).level == "medium"
    assert assess(replace(refund, routes=(REFUND, PURGE), danger_note="Refunds are final.")).level == "high"


def test_the_heaviest_cause_comes_first() -> None:
    what = replace(QUIET, sensitivity="critical", points=frozenset(Point), routes=(PURGE,))
    assert sentences(what) == [
        "Payments is critical.",
        "It can delete.",
        "It can be used from outside, through the edge.",
    ]
