"""Groups that a directory pushes, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import UnknownMember
from apps.identity.mapping.applying import settle
from apps.identity.models import DirectoryUser, Group, GroupMember, Origin, Provider
from apps.identity.services.provider_secrets import lock_provider

NAMED = 50
"""How many of those who came and went the record names; it counts them all."""


def add_group(
    *, provider: Provider, name: str, external_id: str, members: Mapping[str, str], actor: Actor, at: datetime
) -> Group:
    """Write down a new group. Raises UnknownMember when a member is no user of this provider."""
    policies.require_can_see_off(actor)
    with transaction.atomic():
        provider = lock_provider(provider.slug)
        group = Group.objects.create(
            provider=provider,
            origin=Origin.SCIM,
            scim_id=uuid4(),
            name=name,
            external_id=external_id,
            created_at=at,
            updated_at=at,
        )
        wanted = {_uuid(member): display for member, display in members.items()}
        joined = _join(group, wanted)
        people = {one.subject_id for one in joined} | _claimants(provider, name)
        settle(provider, people=_known(people), actor=actor, at=at)
        _record("added", group, actor, at, {"name": name, **_told("added", joined)})
    return group


def change_group(
    *, group: Group, name: str, external_id: str, members: Mapping[str, str], actor: Actor, at: datetime
) -> Group:
    """Make the group what is described here. ``group`` was read under the provider's lock."""
    policies.require_can_see_off(actor)
    with transaction.atomic():
        before = group.name
        wanted = {_uuid(member): display for member, display in members.items()}
        rows = {one.entry.scim_id: one for one in _rows(group)}  # type: ignore[union-attr]  # pushed, so it has an entry
        joined = _join(group, {one: display for one, display in wanted.items() if one not in rows})
        left = [row.entry for scim_id, row in rows.items() if scim_id not in wanted and row.entry]
        GroupMember.objects.filter(group=group, entry__in=left).delete()
        _call_otherwise([(rows[one], display) for one, display in wanted.items() if one in rows])
        group.name, group.external_id, group.updated_at = name, external_id, at
        group.revision += 1
        group.save(update_fields=["name", "external_id", "updated_at", "revision"])
        people = {one.subject_id for one in [*joined, *left]}
        if name != before:
            people |= _everybody(group) | _claimants(group.provider, before) | _claimants(group.provider, name)
        settle(group.provider, people=_known(people), actor=actor, at=at)
        _record("changed", group, actor, at, {"name": name, **_told("added", joined), **_told("removed", left)})
    return group


def remove_group(*, group: Group, actor: Actor, at: datetime) -> None:
    policies.require_can_see_off(actor)
    with transaction.atomic():
        people, provider = _everybody(group) | _claimants(group.provider, group.name), group.provider
        _record("removed", group, actor, at, {"name": group.name})
        group.delete()
        settle(provider, people=_known(people), actor=actor, at=at)


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise UnknownMember(f"There is no user {value[:60]!r}.") from None


def _rows(group: Group) -> QuerySet[GroupMember]:
    return GroupMember.objects.filter(group=group, entry__isnull=False).select_related("entry")


def _join(group: Group, wanted: Mapping[UUID, str]) -> list[DirectoryUser]:
    found = list(DirectoryUser.objects.filter(provider=group.provider, scim_id__in=list(wanted)).order_by("pk"))
    missing = wanted.keys() - {one.scim_id for one in found}
    if missing:
        raise UnknownMember(f"There is no user {min(missing)}.")
    GroupMember.objects.bulk_create([GroupMember(group=group, entry=one, display=wanted[one.scim_id]) for one in found])
    return found


def _call_otherwise(rows: list[tuple[GroupMember, str]]) -> None:
    other = [(row, display) for row, display in rows if row.display != display]
    for row, display in other:
        row.display = display
    GroupMember.objects.bulk_update([row for row, _ in other], ["display"], batch_size=500)


def _everybody(group: Group) -> set[int | None]:
    return set(GroupMember.objects.filter(group=group).values_list("entry__subject", flat=True))


def _claimants(provider: Provider, name: str) -> set[int | None]:
    """Who claims a group of this name: whether that counts depends on whether the directory pushes one."""
    claimed = GroupMember.objects.filter(group__provider=provider, group__origin=Origin.CLAIM, group__name=name)
    return set(claimed.values_list("subject", flat=True))


def _known(people: set[int | None]) -> list[int]:
    return sorted(one for one in people if one is not None)


def _told(what: str, entries: list[DirectoryUser]) -> dict[str, object]:
    return {what: len(entries), f"{what}_users": [one.user_name for one in entries[:NAMED]]} if entries else {}


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
