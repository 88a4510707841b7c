"""The story of a request, from its own rows."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import selectors, services
from apps.access.models import AccessRequest
from apps.identity.models import Subject
from tests.factories.access import approve, ask, shop

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def story(viewer: Subject, public_id: str) -> list[tuple[str, str, str]]:
    request = selectors.get_visible_request(viewer=viewer, public_id=public_id)
    return [(moment.kind, moment.who, moment.point) for moment in selectors.timeline(request)]


def test_the_whole_road(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    public_id = ask(there.ada, at=at).public_id
    for minute, reviewer in enumerate((there.ben, there.cyd), start=1):
        approve(AccessRequest.objects.get(public_id=public_id), reviewer, at=at + minute * MINUTE)
    grant = selectors.get_visible_request(viewer=there.ada, public_id=public_id).grant
    for minute, (point, state) in enumerate(
        [("edge", "open"), ("edge", "proven"), ("mesh", "open"), ("mesh", "proven")], start=3
    ):
        services.mark_door(grant_id=grant.public_id, point=point, state=state, at=at + minute * MINUTE)
    services.activate(grant_id=grant.public_id, at=at + 7 * MINUTE)
    services.end_grant(public_id=grant.public_id, actor=there.ada, at=at + 8 * MINUTE, why="Done.")
    for minute, point in enumerate(("mesh", "edge"), start=9):
        services.mark_door(grant_id=grant.public_id, point=point, state="closed", at=at + minute * MINUTE)
    assert story(there.ada, public_id) == [
        ("asked", "Ada", ""),
        ("rule_matched", "", ""),
        ("rule_matched", "", ""),
        ("approval_given", "Ben", ""),
        ("approval_given", "Cyd", ""),
        ("approved", "", ""),
        ("door_opened", "", "edge"),
        ("door_proven", "", "edge"),
        ("door_opened", "", "mesh"),
        ("door_proven", "", "mesh"),
        ("started", "", ""),
        ("handed_back", "Ada", ""),
        ("door_closed", "", "mesh"),
        ("door_closed", "", "edge"),
    ]


def test_how_a_door_was_seen_stands_beside_what_was_seen_then(at: datetime) -> None:
    there = shop()
    public_id = ask(there.ada, at=at).public_id
    approve(AccessRequest.objects.get(public_id=public_id), there.ben, at=at)
    grant = selectors.get_visible_request(viewer=there.ada, public_id=public_id).grant
    services.mark_door(grant_id=grant.public_id, point="edge", state="proven", detail="It let Ada in.", at=at)
    assert told(there.ada, public_id)["door_proven"] == "It let Ada in."
    services.end_grant(public_id=grant.public_id, actor=there.ada, at=at + MINUTE, why="Done.")
    services.mark_door(grant_id=grant.public_id, point="edge", state="closed", detail="It refused Ada.", at=at + MINUTE)
    assert told(there.ada, public_id)["door_closed"] == "It refused Ada."
    assert told(there.ada, public_id)["door_proven"] == ""


def told(viewer: Subject, public_id: str) -> dict[str, str]:
    request = selectors.get_visible_request(viewer=viewer, public_id=public_id)
    return {moment.kind: moment.comment for moment in selectors.timeline(request)}


def test_a_denial_and_its_comment(at: datetime) -> None:
    there = shop()
    request = ask(there.dan, subject=there.bot, at=at)
    services.review(
        public_id=request.public_id, actor=there.ben, verdict="deny", comment="Use the form.", at=at + MINUTE
    )
    found = selectors.timeline(selectors.get_visible_request(viewer=there.dan, public_id=request.public_id))
    assert found[0].sentence == "Dan asked for release-bot."
    assert [(moment.kind, moment.comment) for moment in found[-2:]] == [
        ("denial_given", "Use the form."),
        ("denied", ""),
    ]


def test_an_error_is_part_of_the_story(at: datetime) -> None:
    there = shop()
    public_id = ask(there.ada, at=at).public_id
    services.review(public_id=public_id, actor=there.ben, verdict="approve", at=at)
    grant = selectors.get_visible_request(viewer=there.ada, public_id=public_id).grant
    services.record_error(grant_id=grant.public_id, error="The edge answered 500.", at=at + MINUTE)
    found = selectors.timeline(selectors.get_visible_request(viewer=there.ada, public_id=public_id))
    assert (found[-1].kind, found[-1].comment) == ("failed", "The edge answered 500.")
