"""What becomes of a team's places and of its access when a directory renames, empties or deletes a group."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.mapping import deciding, reading
from apps.identity.mapping.rules import Rule
from apps.identity.models import Group, GroupMember, Membership, Subject
from apps.outbox.models import Message
from tests.factories import access, identity
from tests.identity.scim.caller import Directory, directory

pytestmark = pytest.mark.django_db

End = Callable[[Directory, dict], int]


def rename(okta: Directory, group: dict) -> int:
    return okta.patch(f"/Groups/{group['id']}", {"op": "replace", "value": {"displayName": "other"}}).status


def empty(okta: Directory, group: dict) -> int:
    return okta.call("PUT", f"/Groups/{group['id']}", {**group, "members": []}).status


def empty_by_patch(okta: Directory, group: dict) -> int:
    return okta.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "members", "value": []}).status


def delete(okta: Directory, group: dict) -> int:
    return okta.call("DELETE", f"/Groups/{group['id']}").status


WAYS = pytest.mark.parametrize(
    ("end", "answer", "groups", "members"),
    [(rename, 200, 1, True), (empty, 200, 1, False), (empty_by_patch, 200, 1, False), (delete, 204, 0, False)],
    ids=["rename", "empty", "empty by patch", "delete"],
)


@pytest.fixture
def okta() -> Directory:
    return directory()


@pytest.fixture
def shop(okta: Directory, at: datetime) -> Subject:
    team = identity.team("shop")
    rule = Rule("exact", "shop", team="team:shop", team_role="member")
    deciding.add_rule(provider_slug="okta", rule=rule, actor=SYSTEM, at=at)
    return team


def places(team: Subject) -> list[str]:
    return sorted(Membership.objects.filter(team=team).values_list("member__key", flat=True))


def pushed(okta: Directory, many: int) -> dict:
    return okta.group("shop", *(okta.user(f"p{number}@example.test") for number in range(many)))


@WAYS
def test_of_four_people_all_lose_their_places_at_once(
    okta: Directory, shop: Subject, end: End, answer: int, groups: int, members: bool
) -> None:
    group = pushed(okta, 4)
    Message.objects.all().delete()
    assert end(okta, group) == answer
    assert (places(shop), reading.open_pause(okta.provider)) == ([], None)
    assert (Group.objects.count(), GroupMember.objects.count()) == (groups, 4 if members else 0)
    announced = Message.objects.filter(topic="identity.subject.changed").order_by("pk").values_list("key", flat=True)
    assert list(announced) == ["person:p0", "person:p1", "person:p2", "person:p3", "team:shop"]


@WAYS
def test_of_six_people_nobody_loses_a_place_until_somebody_has_looked(
    okta: Directory, shop: Subject, at: datetime, end: End, answer: int, groups: int, members: bool
) -> None:
    everybody = [f"person:p{number}" for number in range(6)]
    group = pushed(okta, 6)
    assert end(okta, group) == answer, "the directory is told that it was heard"
    assert (Group.objects.count(), GroupMember.objects.count()) == (groups, 6 if members else 0)
    assert places(shop) == everybody
    pending = reading.open_pause(okta.provider)
    assert pending is not None
    assert (pending.cause, pending.people, pending.out_of) == ("sync", 6, 6)
    assert Event.objects.filter(action="identity.mapping.paused").count() == 1
    zoe = identity.person("zoe", roles=("administrator",))
    weighed = deciding.try_pending(pending, at=at)
    assert [one.person for one in weighed.changes] == everybody
    shown = deciding.fingerprint(weighed.changes)
    deciding.confirm(pending_id=pending.pk, shown=shown, actor=zoe.actor, at=at)
    assert places(shop) == []


def test_a_rename_back_gives_the_places_back(okta: Directory, shop: Subject) -> None:
    group = pushed(okta, 4)
    rename(okta, group)
    okta.patch(f"/Groups/{group['id']}", {"op": "replace", "value": {"displayName": "shop"}})
    assert places(shop) == ["person:p0", "person:p1", "person:p2", "person:p3"]


@WAYS
def test_what_the_teams_own_list_says_and_what_the_team_was_granted_stays(
    okta: Directory, at: datetime, end: End, answer: int, groups: int, members: bool
) -> None:
    cast = access.shop()
    rule = Rule("exact", "shop", team="team:storefront", team_role="member")
    deciding.add_rule(provider_slug="okta", rule=rule, actor=SYSTEM, at=at)
    grant = access.active_grant(cast.ada, cast.ben, subject=cast.storefront)
    group = pushed(okta, 4)
    assert places(cast.storefront) == ["person:ada", "person:p0", "person:p1", "person:p2", "person:p3"]
    assert end(okta, group) == answer
    assert places(cast.storefront) == ["person:ada"], "on the team's own list"
    assert Grant.objects.get(pk=grant.pk).state == grant.state == "active"
