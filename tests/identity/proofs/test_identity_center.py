"""Users and groups of AWS IAM Identity Center, copied from moto: who is there, who left, and what a kill leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from django.core.management import call_command

from apps.audit.actors import SYSTEM
from apps.audit.errors import NotAllowed
from apps.audit.models import Event
from apps.identity import services
from apps.identity.errors import InvalidProvider, NotAnAdministrator
from apps.identity.identity_center import copying
from apps.identity.identity_center.reading import read
from apps.identity.models import DirectoryUser, Group, GroupMember, IdentityCenter, Login, Subject, SubjectState
from apps.identity.proofs.aws_directory import AwsUnreadable, TooManyVanished
from apps.outbox.services import drain
from tests.factories import identity, pages
from tests.identity.proofs.aws import ACCOUNT, REGION, Aws

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STORE = "d-1234567890"
ISSUER = "https://identitycenter.amazonaws.com/ssoins-0123456789abcdef"


@dataclass
class Here:
    """A boto3 session whose clients speak to moto."""

    aws: Aws

    def client(self, name: str, *, region_name: str = REGION, **more: Any) -> Any:
        return boto3.client(
            name,
            endpoint_url=self.aws.url,
            region_name=region_name,
            aws_access_key_id=self.aws.user.access_key,
            aws_secret_access_key=self.aws.user.secret_key,
            **more,
        )


@dataclass
class Shop:
    """An identity store with people in it, and the console that was pointed at it."""

    aws: Aws

    @property
    def client(self) -> Any:
        return self.aws.client("identitystore")

    def user(self, name: str, given: str = "Ada", family: str = "Lovelace") -> str:
        made = self.client.create_user(
            IdentityStoreId=STORE,
            UserName=name,
            DisplayName=f"{given} {family}",
            Name={"GivenName": given, "FamilyName": family},
            Emails=[{"Value": f"{name}@example.test", "Type": "work", "Primary": True}],
        )
        return str(made["UserId"])

    def group(self, name: str, *members: str) -> str:
        made = str(self.client.create_group(IdentityStoreId=STORE, DisplayName=name)["GroupId"])
        for member in members:
            self.client.create_group_membership(IdentityStoreId=STORE, GroupId=made, MemberId={"UserId": member})
        return made

    def copy(self, *, confirmed: bool = False) -> copying.Copied:
        return copying.copy(slug="aws", open_as=lambda role: Here(self.aws), confirmed=confirmed, at=AT)


def facts(**changed: str) -> services.CenterFacts:
    given = {"name": "Staff", "region": REGION, "instance": "ssoins-0123456789abcdef", "store_id": STORE}
    return services.CenterFacts(**{**given, **changed})


@pytest.fixture
def shop(aws: Aws) -> Iterator[Shop]:
    """Empty again afterwards, because moto is the session's."""
    services.add_identity_center(slug="aws", facts=facts(), actor=SYSTEM, at=AT)
    made = Shop(aws)
    yield made
    for group in made.client.list_groups(IdentityStoreId=STORE)["Groups"]:
        made.client.delete_group(IdentityStoreId=STORE, GroupId=group["GroupId"])
    for user in made.client.list_users(IdentityStoreId=STORE)["Users"]:
        made.client.delete_user(IdentityStoreId=STORE, UserId=user["UserId"])


def test_users_become_people_known_by_the_issuer_and_the_id_of_aws(shop: Shop) -> None:
    user_id = shop.user("ada")
    shop.group("payments", user_id)
    assert shop.copy() == copying.Copied(users=1, groups=1, changed=2, removed=0)
    login = Login.objects.select_related("subject").get()
    assert (login.issuer, login.sub) == (ISSUER, user_id)
    assert (login.subject.key, login.subject.name, login.subject.email) == (
        "person:ada",
        "Ada Lovelace",
        "ada@example.test",
    )
    assert GroupMember.objects.get().entry == DirectoryUser.objects.get(external_id=user_id)
    assert Group.objects.get().name == "payments"


def test_what_is_as_it_was_is_not_written_again(shop: Shop) -> None:
    shop.group("payments", shop.user("ada"))
    shop.copy()
    recorded = Event.objects.count()
    assert shop.copy() == copying.Copied(users=1, groups=1, changed=0, removed=0)
    assert Event.objects.count() == recorded


def test_whoever_is_gone_there_has_left_here(shop: Shop) -> None:
    user_id = shop.user("ada")
    shop.user("ben", "Ben", "Bitdiddle")
    shop.copy()
    shop.client.delete_user(IdentityStoreId=STORE, UserId=user_id)
    assert shop.copy() == copying.Copied(users=1, groups=0, changed=0, removed=1)
    states = dict(Subject.objects.filter(kind="person").values_list("key", "state"))
    assert states == {"person:ada": SubjectState.SUSPENDED, "person:ben": SubjectState.ACTIVE}


def test_whoever_left_a_group_there_has_left_it_here(shop: Shop) -> None:
    ada, ben = shop.user("ada"), shop.user("ben", "Ben", "Bitdiddle")
    group = shop.group("payments", ada, ben)
    shop.copy()
    rows = shop.client.list_group_memberships(IdentityStoreId=STORE, GroupId=group)["GroupMemberships"]
    (of_ben,) = [row["MembershipId"] for row in rows if row["MemberId"]["UserId"] == ben]
    shop.client.delete_group_membership(IdentityStoreId=STORE, MembershipId=of_ben)
    shop.copy()
    assert list(GroupMember.objects.values_list("entry__external_id", flat=True)) == [ada]
    shop.client.delete_group(IdentityStoreId=STORE, GroupId=group)
    shop.copy()
    assert not Group.objects.exists()


def test_a_copying_that_was_killed_goes_on(shop: Shop) -> None:
    """Each user is a transaction of its own, so half of a copying is a state it can begin from."""
    shop.user("ada")
    shop.copy()
    ben = shop.user("ben", "Ben", "Bitdiddle")
    shop.group("payments", ben)
    assert shop.copy() == copying.Copied(users=2, groups=1, changed=2, removed=0)
    assert DirectoryUser.objects.count() == 2


def test_very_many_gone_at_once_ask_somebody_first(shop: Shop) -> None:
    gone = [shop.user(f"temp{number}") for number in range(11)]
    shop.user("ada")
    shop.copy()
    for user_id in gone:
        shop.client.delete_user(IdentityStoreId=STORE, UserId=user_id)
    with pytest.raises(TooManyVanished, match=r"11 of 12 users of Staff would vanish"):
        shop.copy()
    center = IdentityCenter.objects.get()
    assert (center.failure, center.failed_at) == ("11 of 12 users of Staff would vanish.", AT)
    assert not Subject.objects.filter(state=SubjectState.SUSPENDED).exists()
    assert shop.copy(confirmed=True).removed == 11
    assert IdentityCenter.objects.get().failure == ""
    assert Subject.objects.filter(state=SubjectState.SUSPENDED).count() == 11


def test_somebody_disabled_there_is_suspended_here(db: None) -> None:
    client = boto3.client("identitystore", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        users = [stored("u-1", UserStatus="DISABLED"), stored("u-2", UserStatus="ENABLED"), stored("u-3")]
        stub.add_response("list_users", {"Users": users})
        stub.add_response("list_groups", {"Groups": []})
        found = read(Stubbed(client), region=REGION, store_id=STORE)
    assert {one: found.users[one].active for one in found.users} == {"u-1": False, "u-2": True, "u-3": True}


def stored(user_id: str, **more: str) -> dict[str, str]:
    """A user with what the published shape requires."""
    arn = f"arn:aws:identitystore::{ACCOUNT}:identitystore/{STORE}/user/{user_id}"
    return {"UserId": user_id, "IdentityStoreId": STORE, "UserArn": arn, "Revision": "1", "UserName": user_id, **more}


@dataclass
class Stubbed:
    made: Any

    def client(self, name: str, **more: Any) -> Any:
        return self.made


def test_a_store_that_cannot_be_read_changes_nothing_and_says_why(shop: Shop) -> None:
    shop.user("ada")
    shop.copy()
    elsewhere = Here(Aws("http://127.0.0.1:9", shop.aws.user))
    with pytest.raises(AwsUnreadable, match="Identity Center does not show its users and groups"):
        copying.copy(slug="aws", open_as=lambda role: elsewhere, at=AT)
    assert Subject.objects.get(key="person:ada").state == SubjectState.ACTIVE
    assert "does not show" in IdentityCenter.objects.get().failure


def test_one_that_is_switched_off_is_not_read(shop: Shop) -> None:
    services.switch_provider(slug="aws", enabled=False, actor=SYSTEM, at=AT)
    with pytest.raises(NotAllowed, match="Staff is switched off"):
        shop.copy()
    out = StringIO()
    call_command("read_identity_centers", stdout=out)
    assert out.getvalue() == "None was added.\n"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"region": "Frankfurt"}, "region"),
        ({"store_id": "1234"}, "store_id"),
        ({"instance": "arn:aws:sso:::instance/ssoins-0123456789abcdef"}, "instance"),
        ({"role": "sallyport"}, "role"),
    ],
)
def test_what_is_mistyped_is_named(db: None, wrong: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidProvider) as refused:
        services.add_identity_center(slug="aws", facts=facts(**wrong), actor=SYSTEM, at=AT)
    assert list(refused.value.fields) == [field]
    assert not IdentityCenter.objects.exists()


def test_only_administrators_point_at_a_store(db: None) -> None:
    with pytest.raises(NotAnAdministrator):
        services.add_identity_center(slug="aws", facts=facts(), actor=identity.person("ada").actor, at=AT)


def test_it_is_added_on_a_page_and_read_at_once(db: None) -> None:
    admin = pages.signed_in(identity.person("zoe", roles=("administrator",)))
    form = {"name": "Staff", "slug": "aws", "region": "Frankfurt", "store_id": STORE, "instance": "ssoins-0123456789"}
    refused = admin.post("/settings/identity-center/new/", form)
    assert refused.status_code == 422
    assert "A region looks like eu-central-1." in refused.content.decode()
    assert STORE in refused.content.decode()
    done = admin.post("/settings/identity-center/new/", {**form, "region": REGION})
    assert (done.status_code, done["Location"]) == (302, "/settings/directory/aws/")
    assert "Being read" in admin.get("/settings/directory/aws/").content.decode()
    assert IdentityCenter.objects.get().is_waiting


def test_nobody_signs_in_there_and_its_pages_lead_to_the_directory(db: None) -> None:
    services.add_identity_center(slug="aws", facts=facts(), actor=SYSTEM, at=AT)
    admin = pages.signed_in(identity.person("zoe", roles=("administrator",)))
    assert admin.get("/settings/providers/aws/")["Location"] == "/settings/directory/aws/"
    assert admin.get("/settings/providers/aws/edit/")["Location"] == "/settings/directory/aws/"
    assert "Staff" not in admin.get("/sign-in/").content.decode()
    off = admin.post("/settings/providers/aws/switch", {"to": "off"}, follow=True)
    assert "Staff is not read any more." in off.content.decode()


def test_a_reading_that_fails_after_being_asked_for_is_not_tried_again(db: None) -> None:
    services.add_identity_center(slug="aws", facts=facts(role=""), actor=SYSTEM, at=AT)
    services.switch_provider(slug="aws", enabled=False, actor=SYSTEM, at=AT)
    services.ask_to_read(slug="aws", confirmed=True, actor=SYSTEM, at=AT)
    assert drain(at=AT, limit=5).failed == 0
    assert IdentityCenter.objects.get().failure == "Staff is switched off."
    assert Event.objects.filter(action="identity.identity_center.loss_confirmed").count() == 1
