"""Two synchronisations at once, each on a connection of its own: nobody is lost, and nothing is there twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from django.test import Client

from apps.audit import services as audit
from apps.identity.models import DirectoryUser, Group, GroupMember, Login, Subject
from tests.access.concurrency import together
from tests.identity.scim.caller import PATCH, Answer, Directory, directory, okta_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def okta(transactional_db: None) -> Directory:
    return directory()


def apart(okta: Directory) -> Directory:
    return replace(okta, client=Client())


def add(okta: Directory, group: dict, *users: dict) -> Answer:
    told = {"op": "add", "path": "members", "value": [{"value": one["id"]} for one in users]}
    return apart(okta).patch(f"/Groups/{group['id']}", told)


def test_members_that_four_add_to_one_group_at_once_are_all_there(okta: Directory) -> None:
    users = [okta.user(f"p{number}@example.test") for number in range(8)]
    group = okta.group("shop")
    answers = together(*[lambda part=part: add(okta, group, *users[part::4]).status for part in range(4)])
    assert Counter(answers) == {200: 4}
    assert GroupMember.objects.filter(group__scim_id=group["id"]).count() == 8
    assert Group.objects.get().revision == 5


def test_one_adds_while_another_replaces_and_the_second_is_seen_by_neither_in_halves(okta: Directory) -> None:
    users = [okta.user(f"p{number}@example.test") for number in range(4)]
    group = okta.group("shop", users[0])
    whole = {**group, "members": [{"value": users[1]["id"]}, {"value": users[2]["id"]}]}
    together(
        lambda: add(okta, group, users[3]).status,
        lambda: apart(okta).call("PUT", f"/Groups/{group['id']}", whole).status,
    )
    left = set(GroupMember.objects.values_list("entry__user_name", flat=True))
    replaced = {"p1@example.test", "p2@example.test"}
    assert left in (replaced, replaced | {"p3@example.test"})


@pytest.mark.parametrize("kind", ["Users", "Groups"])
def test_of_four_who_saw_the_same_version_one_changes_it_and_the_others_are_told(okta: Directory, kind: str) -> None:
    seen = okta.user() if kind == "Users" else okta.group("shop")
    version = seen["meta"]["version"]

    def change(number: int) -> int:
        told = {"op": "replace", "value": {"displayName": f"name {number}"}}
        body = {"schemas": [PATCH], "Operations": [told]}
        return apart(okta).call("PATCH", f"/{kind}/{seen['id']}", body, If_Match=version).status

    answers = together(*[lambda number=number: change(number) for number in range(4)])
    assert Counter(answers) == {200: 1, 412: 3}
    now = okta.call("GET", f"/{kind}/{seen['id']}").body
    assert now["displayName"] == f"name {answers.index(200)}"
    assert now["meta"]["version"] == 'W/"2"'


def test_a_user_that_four_create_at_once_is_one_person(okta: Directory) -> None:
    answers = together(*[lambda: apart(okta).call("POST", "/Users", okta_user()).status for _ in range(4)])
    assert Counter(answers) == {201: 1, 409: 3}
    assert (DirectoryUser.objects.count(), Login.objects.count(), Subject.objects.count()) == (1, 1, 1)
    assert audit.verify().ok
