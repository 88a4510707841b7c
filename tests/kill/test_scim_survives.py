"""Kill the console while a directory pushes everything: begun again, the push ends as if nothing had happened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.audit import services as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.mapping import deciding
from apps.identity.mapping.rules import Rule
from apps.identity.models import DirectoryUser, Group, GroupMember, Login, Membership, Subject
from tests.factories import identity
from tests.pushing import CutOff, Plan, Pusher, console

pytestmark = [pytest.mark.kill, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PLAN = Plan(users=30, groups=4, each=2)
MOMENTS = (2, 40, 42, 33, 36)
"""The request of each try that is not answered any more: while the first user is created, one in the middle, the first
group, and while groups are filled. What earlier tries did is only looked at, so later ones come further sooner."""


def test_a_push_that_is_killed_and_begun_again_ends_the_same_and_doubles_nothing(
    console_environment: dict[str, str], tmp_path: Path
) -> None:
    at = datetime.now(UTC)
    okta = identity.directory("okta")
    identity.team("all")
    rule = Rule("prefix", "group-", team="team:all", team_role="member")
    deciding.add_rule(provider_slug="okta", rule=rule, actor=SYSTEM, at=at)
    token, log = identity.scim_token(okta, at=at), tmp_path / "console.log"

    for moment in MOMENTS:
        with console(console_environment, log) as running, pytest.raises(CutOff):
            Pusher(running, token, kill_at=frozenset({moment})).push(PLAN)
    with console(console_environment, log) as running:
        last = Pusher(running, token)
        ids = last.push(PLAN)
        assert last.read_all(PLAN) == set(ids)
        again = Pusher(running, token)
        assert again.push(PLAN) == ids
        assert "create a user" not in again.took and "create a group" not in again.took

    names = [PLAN.name(number) for number in range(PLAN.users)]
    assert list(DirectoryUser.objects.order_by("pk").values_list("user_name", flat=True)) == names
    assert list(Group.objects.order_by("pk").values_list("name", flat=True)) == [f"group-{n}" for n in range(4)]
    assert members() == {f"group-{number}": {PLAN.name(one) for one in PLAN.members(number)} for number in range(4)}
    assert GroupMember.objects.count() == PLAN.users * PLAN.each
    assert Membership.objects.count() == Login.objects.count() == Subject.objects.filter(kind="person").count() == 30
    assert list(Group.objects.order_by("pk").values_list("revision", flat=True)) == [2, 2, 2, 2]
    for action, many in (
        ("directory_user.added", 30),
        ("group.added", 4),
        ("group.changed", 4),
        ("mapping.applied", 30),
    ):
        assert Event.objects.filter(action=f"identity.{action}").count() == many, action
    assert audit.verify().ok


def members() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for group, user in GroupMember.objects.values_list("group__name", "entry__user_name"):
        found.setdefault(group, set()).add(user)
    return found
