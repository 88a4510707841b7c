"""Groups that a directory pushes, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import UnknownMember
from apps.identity.mapping.applying import settle
from apps.identity.models import DirectoryUser, Group, GroupMember, Origin, Provider
from apps.identity.scim.pushes import Push, uuid_or_none
from apps.identity.services.provider_secrets import lock_provider

NAMED = 50
"""How many of those who came and went the record names; it counts them all."""

MOST_UNKNOWN, LONGEST = 1000, 255
"""How many members that nobody has sent a group may name, and how long their ids may be."""


class Member(NamedTuple):
    """Somebody in a group, as a request may change it."""

    row: int
    entry: int
    display: str
    scim_id: UUID
    user_name: str
    subject: int | None


def add_group(*, provider: Provider, push: Push, actor: Actor, at: datetime) -> Group:
    """Write down a new group. Raises UnknownMember when it names too many that nobody has sent."""
    policies.require_can_see_off(actor)
    with transaction.atomic():
        provider = lock_provider(provider.slug)
        group = Group.objects.create(
            provider=provider,
            origin=Origin.SCIM,
            scim_id=uuid4(),
            name=push.name or "",
            external_id=push.external_id or "",
            created_at=at,
            updated_at=at,
        )
        known = _known_among(provider, push.come)
        joined = _join(group, known, push.come)
        unknown = _name_unknown(group, push, known)
        if unknown:
            group.save(update_fields=["unknown_members"])
        people = {one.subject_id for one in joined} | _claimants(provider, group.name)
        settle(provider, people=_present(people), actor=actor, at=at)
        told = _told("added", [one.user_name for one in joined])
        _record("added", group, actor, at, {"name": group.name, **told, **unknown})
    return group


def change_group(*, group: Group, push: Push, actor: Actor, at: datetime) -> Group:
    """Make of the group what ``push`` says, and nothing at all when it is so already.

    ``group`` was read under the provider's lock. Unless ``push`` is ``whole`` this looks only at whom it names.
    """
    policies.require_can_see_off(actor)
    with transaction.atomic():
        before = group.name
        known = _known_among(group.provider, push.come)
        there = _there(group, push)
        left = [
            one for scim_id, one in there.items() if scim_id not in known and (push.whole or str(scim_id) in push.gone)
        ]
        renamed = _call_otherwise(there, known, push)
        joined = _join(group, {one: entry for one, entry in known.items() if one not in there}, push.come)
        GroupMember.objects.filter(pk__in=[one.row for one in left]).delete()
        unknown = _name_unknown(group, push, known)
        if not (_describe(group, push) or joined or left or renamed or unknown):
            return group
        group.updated_at, group.revision = at, group.revision + 1
        group.save(update_fields=["name", "external_id", "unknown_members", "updated_at", "revision"])
        people = {one.subject_id for one in joined} | {one.subject for one in left}
        if group.name != before:
            people |= _everybody(group) | _claimants(group.provider, before) | _claimants(group.provider, group.name)
        settle(group.provider, people=_present(people), actor=actor, at=at)
        told = _told("added", [one.user_name for one in joined]) | _told("removed", [one.user_name for one in left])
        _record("changed", group, actor, at, {"name": group.name, **told, **unknown})
    return group


def remove_group(*, group: Group, actor: Actor, at: datetime) -> None:
    policies.require_can_see_off(actor)
    with transaction.atomic():
        people, provider = _everybody(group) | _claimants(group.provider, group.name), group.provider
        _record("removed", group, actor, at, {"name": group.name})
        group.delete()
        settle(provider, people=_present(people), actor=actor, at=at)


def _known_among(provider: Provider, wanted: Mapping[str, str]) -> dict[UUID, DirectoryUser]:
    """Those of this provider that ``wanted`` names. Ids are ours: one we have never given is nobody's, and stays so."""
    ids = [one for one in map(uuid_or_none, wanted) if one is not None]
    if not ids:
        return {}
    entries = DirectoryUser.objects.filter(provider=provider, scim_id__in=ids).order_by("pk")
    return {one.scim_id: one for one in entries.only("scim_id", "user_name", "subject_id", "provider_id")}


def _there(group: Group, push: Push) -> dict[UUID, Member]:
    """Who is in the group already, of those that ``push`` is about."""
    rows = GroupMember.objects.filter(group=group, entry__isnull=False).order_by("entry")
    if not push.whole:
        ids = [one for one in map(uuid_or_none, [*push.come, *push.gone]) if one is not None]
        if not ids:
            return {}
        rows = rows.filter(entry__scim_id__in=ids)
    columns = ("pk", "entry", "display", "entry__scim_id", "entry__user_name", "entry__subject")
    return {one.scim_id: one for one in map(Member._make, rows.values_list(*columns))}


def _join(group: Group, known: Mapping[UUID, DirectoryUser], called: Mapping[str, str]) -> list[DirectoryUser]:
    names = {uuid_or_none(one): display for one, display in called.items()}
    rows = [GroupMember(group=group, entry=one, display=names[scim_id]) for scim_id, one in known.items()]
    GroupMember.objects.bulk_create(rows)
    return list(known.values())


def _call_otherwise(there: Mapping[UUID, Member], known: Mapping[UUID, DirectoryUser], push: Push) -> int:
    """What the directory calls them here; without a word about it, what it called them before stays."""
    names = {uuid_or_none(one): display for one, display in push.come.items()}
    other = [
        GroupMember(pk=one.row, display=names[scim_id])
        for scim_id, one in there.items()
        if scim_id in known and names[scim_id] and names[scim_id] != one.display
    ]
    GroupMember.objects.bulk_update(other, ["display"], batch_size=500)
    return len(other)


def _name_unknown(group: Group, push: Push, known: Mapping[UUID, DirectoryUser]) -> dict[str, object]:
    """Keep the members that are nobody, so that what was sent is what is read; says what became different.

    They are never anybody and give nothing. Refusing them would hold back the rest of the request: those who come, and
    those who must go.
    """
    before = group.unknown_members
    after = {} if push.whole else {one: display for one, display in before.items() if one not in push.gone}
    after |= {one: display for one, display in push.come.items() if uuid_or_none(one) not in known}
    if len(after) > MOST_UNKNOWN or any(len(one) > LONGEST for one in after):
        raise UnknownMember
    group.unknown_members = after
    new = sorted(after.keys() - before.keys())
    if new:
        return {"unknown": len(new), "unknown_members": new[:NAMED]}
    return {"unknown": 0} if after != before else {}


def _describe(group: Group, push: Push) -> bool:
    name = group.name if push.name is None else push.name
    external_id = group.external_id if push.external_id is None else push.external_id
    changed = (name, external_id) != (group.name, group.external_id)
    group.name, group.external_id = name, external_id
    return changed


def _everybody(group: Group) -> set[int | None]:
    return set(GroupMember.objects.filter(group=group).values_list("entry__subject", flat=True))


def _claimants(provider: Provider, name: str) -> set[int | None]:
    """Who claims a group of this name: whether that counts depends on whether the directory pushes one."""
    claimed = GroupMember.objects.filter(group__provider=provider, group__origin=Origin.CLAIM, group__name=name)
    return set(claimed.values_list("subject", flat=True))


def _present(people: set[int | None]) -> list[int]:
    return sorted(one for one in people if one is not None)


def _told(what: str, names: list[str]) -> dict[str, object]:
    return {what: len(names), f"{what}_users": names[:NAMED]} if names else {}


def _record(verb: str, group: Group, actor: Actor, at: datetime, after: dict[str, object]) -> None:
    audit.record(
        action=f"identity.group.{verb}",
        actor=actor,
        target_type="identity.group",
        target_id=str(group.scim_id),
        target_name=group.name,
        after=after,
        at=at,
    )
