"""Roles and users copied from moto, which checks what the copying may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from django.core.management import CommandError, call_command

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.models import AwsPrincipal, WorkloadIdentity
from apps.identity.proofs import aws_directory, aws_syncing, bindings
from apps.identity.proofs.aws_directory import AwsUnreadable, TooManyVanished
from apps.identity.proofs.bindings import Outside
from tests.factories.identity import workload
from tests.identity.proofs.aws import ACCOUNT, REGION, Aws

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Here:
    """A boto3 session whose clients speak to moto, a few items a page."""

    aws: Aws
    who: Credentials

    def client(self, name: str, **more: Any) -> Any:
        return boto3.client(
            name,
            endpoint_url=self.aws.url,
            region_name=REGION,
            aws_access_key_id=self.who.access_key,
            aws_secret_access_key=self.who.secret_key,
            **more,
        )


@pytest.fixture
def reader(aws: Aws) -> Iterator[Here]:
    """A user that may do what the printed policy says, and ask who it is."""
    iam = aws.client("iam")
    iam.create_user(UserName="sallyport")
    key = iam.create_access_key(UserName="sallyport")["AccessKey"]
    allowed = json.loads(aws_directory.policy())
    # AWS lets everybody ask who they are; moto wants it written down.
    allowed["Statement"].append({"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"})
    iam.put_user_policy(UserName="sallyport", PolicyName="sync", PolicyDocument=json.dumps(allowed))
    yield Here(aws, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    iam.delete_access_key(UserName="sallyport", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="sallyport", PolicyName="sync")
    iam.delete_user(UserName="sallyport")


def remove(aws: Aws, name: str) -> None:
    aws.client("iam").delete_role_policy(RoleName=name, PolicyName="all")
    aws.client("iam").delete_role(RoleName=name)


def test_roles_and_users_are_copied_with_their_tags_by_the_printed_policy(aws: Aws, reader: Here) -> None:
    made = aws.make_role("tagged", path="/services/", tags={"team": "payments"})
    done = aws_directory.sync(session=reader, at=AT)
    assert (done.account, done.vanished) == (ACCOUNT, 0)
    row = AwsPrincipal.objects.get(stable_id=made)
    assert (row.name, row.arn) == ("tagged", f"arn:aws:iam::{ACCOUNT}:role/services/tagged")
    assert row.tags == {"team": "payments"}
    assert AwsPrincipal.objects.filter(kind="aws_user", name="deployer").count() == 1
    remove(aws, "tagged")


def test_copying_again_changes_nothing(reader: Here) -> None:
    first = aws_directory.sync(session=reader, at=AT)
    again = aws_directory.sync(session=reader, at=AT)
    assert (first.seen, again.new, again.vanished) == (again.seen, 0, 0)
    assert Event.objects.filter(action="identity.aws.synchronised").count() == 1


def test_many_pages_are_read(aws: Aws, reader: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_directory, "PAGE", 2)
    names = [f"page-{number}" for number in range(7)]
    for name in names:
        aws.make_role(name)
    aws_directory.sync(session=reader, at=AT)
    assert AwsPrincipal.objects.filter(name__startswith="page-").count() == 7
    for name in names:
        remove(aws, name)


def test_a_vanished_role_ends_what_it_stood_for_and_is_shown(aws: Aws, reader: Here) -> None:
    aws.make_role("short-lived")
    aws_directory.sync(session=reader, at=AT)
    outside = Outside(kind="aws_role", account=ACCOUNT, name="short-lived")
    binding = bindings.bind(subject_key=workload().key, outside=outside, actor=SYSTEM, at=AT)
    assert binding.stable_id == AwsPrincipal.objects.get(name="short-lived").stable_id
    remove(aws, "short-lived")
    again = aws.make_role("short-lived")
    done = aws_directory.sync(session=reader, at=AT)
    assert (done.vanished, done.ended, done.new) == (1, 1, 1)
    binding = WorkloadIdentity.objects.get(pk=binding.pk)
    assert (binding.ended_at, binding.ended_why) == (AT, "AWS no longer has it.")
    assert AwsPrincipal.objects.get(stable_id=again).vanished_at is None
    remove(aws, "short-lived")


def test_a_fifth_of_an_account_does_not_vanish_unasked(aws: Aws, reader: Here) -> None:
    for number in range(15):
        AwsPrincipal.objects.create(
            account=ACCOUNT, kind="aws_role", stable_id=f"AROAGONE{number:04}", name=f"r{number}", arn="x", seen_at=AT
        )
    with pytest.raises(TooManyVanished, match=f"15 of 15 roles and users of {ACCOUNT}"):
        aws_directory.sync(session=reader, at=AT)
    assert AwsPrincipal.objects.filter(vanished_at=None).count() == 15
    assert aws_directory.sync(session=reader, confirmed=True, at=AT).vanished == 15


def test_an_account_that_cannot_be_read_changes_nothing_and_keeps_no_other(aws: Aws, reader: Here) -> None:
    stranger = Here(aws, Credentials("AKIAIOSFODNN7EXAMPLE", "wrong"))
    with pytest.raises(AwsUnreadable):
        aws_directory.sync(session=stranger, at=AT)
    sessions = {"": reader, "arn:aws:iam::210987654321:role/sync": stranger}
    lines = aws_syncing.sync_all(
        roles=["arn:aws:iam::210987654321:role/sync", "own"], open_as=lambda role: sessions[role], at=AT
    )
    assert lines[0].startswith("arn:aws:iam::210987654321:role/sync: AWS does not show")
    assert lines[1].startswith(f"{ACCOUNT}: ")


def test_the_policy_holds_one_reading_action() -> None:
    out = StringIO()
    call_command("aws_policy", stdout=out)
    assert [one["Action"] for one in json.loads(out.getvalue())["Statement"]] == [
        ["iam:GetAccountAuthorizationDetails"]
    ]
    call_command("aws_policy", trust=f"arn:aws:iam::{ACCOUNT}:role/console", stdout=out)
    assert f'"AWS": "arn:aws:iam::{ACCOUNT}:role/console"' in out.getvalue()
    with pytest.raises(CommandError, match="not an ARN"):
        call_command("aws_policy", trust="console")


def test_without_accounts_the_command_says_so() -> None:
    out = StringIO()
    call_command("sync_aws", stdout=out)
    assert out.getvalue() == "SALLYPORT_AWS_SYNC_ROLES names no account.\n"
