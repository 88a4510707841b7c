"""The roles and users of the AWS accounts we were pointed at, copied so that people can choose and vanished ones end.

GetAccountAuthorizationDetails is the cheapest full listing, in pages. It says the tags of roles and users too; listing
calls never do. AWS's own id is the key, an ARN only an attribute: a role made again is another role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import SYSTEM
from apps.audit.errors import Refusal
from apps.identity.models import AwsPrincipal, ProofKind
from apps.identity.proofs.bindings import end_vanished

LARGEST_LOSS = 0.2
"""More of an account than this share does not vanish in an hour; somebody has to say that it did."""

FEW = 10
PAGE = 500
_ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\d{12}):[\x21-\x7e]+")
CLIENT = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 3, "mode": "standard"})
ACTIONS = ("iam:GetAccountAuthorizationDetails",)


class AwsUnreadable(Refusal):
    code = "aws_unreadable"
    default_message = "AWS does not show its roles and users."


class TooManyVanished(Refusal):
    code = "too_many_vanished"
    default_message = "So many roles and users are gone that somebody has to look first."


class Session(Protocol):
    """The part of a boto3 session that is used."""

    def client(self, name: str, **more: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Found:
    kind: str
    stable_id: str
    name: str
    arn: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Synced:
    account: str
    seen: int
    new: int
    vanished: int
    ended: int


Open = Callable[[str], Session]


def open_session(role: str) -> Session:
    """A session as ``role``, or as whoever the console is when that is empty; raises AwsUnreadable."""
    region = next(iter(settings.SALLYPORT_AWS_REGIONS), "us-east-1")
    own: Session = boto3.Session(region_name=region)
    if not role:
        return own
    try:
        taken = own.client("sts", config=CLIENT).assume_role(RoleArn=role, RoleSessionName="sallyport-sync")
    except (BotoCoreError, ClientError) as error:
        raise AwsUnreadable(f"The role {role} cannot be taken: {error}") from error
    given = taken["Credentials"]
    there: Session = boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=region,
    )
    return there


def sync(*, session: Session, confirmed: bool = False, may_lose: int = 0, at: datetime) -> Synced:
    """Copy one account. What AWS no longer has is marked, and its bindings end.

    Raises TooManyVanished, and changes nothing, when more than a fifth of an account would vanish, more than somebody
    who looked said it ``may_lose``, and nobody ``confirmed`` it whatever it is.
    """
    account, found = _read(session)
    with transaction.atomic():
        known = {one.stable_id: one for one in _locked(account)}
        gone = [one for one in known.values() if one.vanished_at is None and one.stable_id not in found]
        present = sum(one.vanished_at is None for one in known.values())
        if len(gone) > max(FEW, present * LARGEST_LOSS, may_lose) and not confirmed:
            counts = {"account": account, "losing": len(gone), "present": present}
            raise TooManyVanished(f"{len(gone)} of {present} roles and users of {account} would vanish.", extra=counts)
        new = _store(account, found.values(), known, at)
        ended = _take_away(gone, at)
        if new or gone:
            _record(account, new, [one.arn for one in gone], ended, at)
    return Synced(account, len(found), new, len(gone), ended)


def _read(session: Session) -> tuple[str, dict[str, Found]]:
    """Everything is read before anything is changed: half a listing would end the other half."""
    try:
        account = str(session.client("sts", config=CLIENT).get_caller_identity()["Account"])
        pages = session.client("iam", config=CLIENT).get_paginator("get_account_authorization_details")
        details = pages.paginate(Filter=["User", "Role"], PaginationConfig={"PageSize": PAGE})
        found = [one for page in details for one in _of_page(page)]
    except (BotoCoreError, ClientError) as error:
        raise AwsUnreadable(f"AWS does not show its roles and users: {error}") from error
    return account, {one.stable_id: one for one in found}


def _of_page(page: Mapping[str, Any]) -> Iterator[Found]:
    """Roles that only AWS's own services use stand for nothing of ours."""
    for role in page.get("RoleDetailList", ()):
        if not str(role["Path"]).startswith("/aws-service-role/"):
            yield Found(ProofKind.AWS_ROLE, role["RoleId"], role["RoleName"], role["Arn"], _tags(role))
    for user in page.get("UserDetailList", ()):
        yield Found(ProofKind.AWS_USER, user["UserId"], user["UserName"], user["Arn"], _tags(user))


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in item.get("Tags", ())}


def _locked(account: str) -> list[AwsPrincipal]:
    return list(AwsPrincipal.objects.select_for_update().filter(account=account).order_by("pk"))


def _store(account: str, found: Iterable[Found], known: Mapping[str, AwsPrincipal], at: datetime) -> int:
    rows = [
        AwsPrincipal(
            account=account,
            kind=one.kind,
            stable_id=one.stable_id,
            name=one.name,
            arn=one.arn,
            tags=dict(one.tags),
            seen_at=at,
        )
        for one in sorted(found, key=lambda one: one.stable_id)
    ]
    AwsPrincipal.objects.bulk_create(
        rows,
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["stable_id"],
        update_fields=["name", "arn", "tags", "seen_at", "vanished_at"],
    )
    return sum(row.stable_id not in known for row in rows)


def _take_away(gone: list[AwsPrincipal], at: datetime) -> int:
    if not gone:
        return 0
    AwsPrincipal.objects.filter(pk__in=[one.pk for one in gone]).update(vanished_at=at)
    return end_vanished(stable_ids=[one.stable_id for one in gone], at=at)


def _record(account: str, new: int, gone: list[str], ended: int, at: datetime) -> None:
    audit.record(
        action="identity.aws.synchronised",
        actor=SYSTEM,
        target_type="identity.aws_account",
        target_id=account,
        target_name=account,
        after={"new": new, "vanished": gone[:100], "bindings_ended": ended},
        at=at,
    )


def policy(actions: Iterable[str] = ACTIONS, sid: str = "SallyportReadsRolesAndUsers") -> str:
    """What the synchronisation needs, and nothing else, for copying. Signature proofs need no permission at all."""
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def trust_policy(console: str) -> str:
    """For a role in another account that the console takes; raises AwsUnreadable for what is no ARN."""
    if _ARN.fullmatch(console) is None:
        raise AwsUnreadable(f"{console!r} is not an ARN.")
    statement = {"Effect": "Allow", "Principal": {"AWS": console}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
