"""What an identity store holds, read whole before anything is changed.

Service ``identitystore`` of the AWS SDK: ListUsers, ListGroups, and ListGroupMemberships for each group. Users say
``UserStatus`` (ENABLED or DISABLED) where AWS knows it; one that says nothing counts as enabled, as AWS treats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from apps.audit.chain import Json
from apps.identity.proofs.aws_directory import CLIENT, AwsUnreadable, Session
from apps.identity.scim.people import Described
from apps.identity.scim.resources import name_key

PAGE = 100
LONGEST = 255
ACTIONS = ("identitystore:ListUsers", "identitystore:ListGroups", "identitystore:ListGroupMemberships")


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """``members`` are ids of users."""

    id: str
    name: str
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Store:
    """Users and groups by AWS's ids, which are never used twice."""

    users: Mapping[str, Described]
    groups: Mapping[str, FoundGroup]


def read(session: Session, *, region: str, store_id: str) -> Store:
    """Raises AwsUnreadable."""
    try:
        client = session.client("identitystore", region_name=region, config=CLIENT)
        users = {one["UserId"]: _described(one) for one in _pages(client, "list_users", "Users", store_id)}
        groups = {one["GroupId"]: one for one in _pages(client, "list_groups", "Groups", store_id)}
        members = {one: _members(client, store_id, one) for one in groups}
    except (BotoCoreError, ClientError) as error:
        raise AwsUnreadable(f"Identity Center does not show its users and groups: {error}") from error
    found = {one: FoundGroup(one, _group_name(groups[one]), frozenset(members[one] & users.keys())) for one in groups}
    return Store(users, found)


def _pages(client: Any, operation: str, key: str, store_id: str, **more: str) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator(operation)
    for page in pages.paginate(IdentityStoreId=store_id, PaginationConfig={"PageSize": PAGE}, **more):
        yield from page[key]


def _members(client: Any, store_id: str, group_id: str) -> set[str]:
    rows = _pages(client, "list_group_memberships", "GroupMemberships", store_id, GroupId=group_id)
    return {str(row["MemberId"].get("UserId", "")) for row in rows}


def _group_name(group: Mapping[str, Any]) -> str:
    return str(group.get("DisplayName") or group["GroupId"])[:LONGEST]


def _described(user: Mapping[str, Any]) -> Described:
    """As SCIM (RFC 7643) would describe it, so that both kinds of directories are shown alike."""
    user_name = str(user.get("UserName") or user["UserId"])[:LONGEST]
    name = {"givenName": user.get("Name", {}).get("GivenName"), "familyName": user.get("Name", {}).get("FamilyName")}
    mails = sorted(user.get("Emails", ()), key=lambda one: not one.get("Primary"))
    mail = next((str(one["Value"]) for one in mails if one.get("Value")), "")
    shown = str(user.get("DisplayName") or " ".join(part for part in name.values() if part) or user_name)[:200]
    document: dict[str, Json] = {
        "userName": user_name,
        "externalId": str(user["UserId"]),
        "displayName": shown,
        "name": {key: value for key, value in name.items() if value},
        "active": user.get("UserStatus", "ENABLED") == "ENABLED",
    }
    if mail:
        document["emails"] = [{"value": mail, "primary": True}]
    return Described(
        user_name=user_name,
        user_name_key=name_key(user_name),
        external_id=str(user["UserId"]),
        active=bool(document["active"]),
        name=shown,
        email=mail if len(mail) <= 254 else "",
        document=document,
    )
