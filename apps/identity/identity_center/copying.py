"""Making our copy of an identity store what the store is.

One transaction for each user and group, as if each had been pushed: a copying that is killed goes on with the next one,
and one person that cannot be copied keeps nobody else waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from apps.audit.errors import NotAllowed, Refusal
from apps.identity import policies
from apps.identity.errors import UnknownProvider
from apps.identity.identity_center.reading import FoundGroup, Store, read
from apps.identity.models import DirectoryUser, Group, GroupMember, IdentityCenter, Origin, Provider
from apps.identity.proofs.aws_directory import FEW, LARGEST_LOSS, Session, TooManyVanished, open_session
from apps.identity.scim import groups, people
from apps.identity.scim.pushes import Push
from apps.identity.services.provider_secrets import lock_provider

Open = Callable[[str], Session]


class NotAllCopied(Refusal):
    code = "not_all_copied"
    default_message = "Some users or groups could not be copied."


@dataclass(frozen=True, slots=True)
class Copied:
    """How many there are there, and how many of them were changed here."""

    users: int
    groups: int
    changed: int
    removed: int


def copy(*, slug: str, open_as: Open = open_session, confirmed: bool = False, at: datetime) -> Copied:
    """Read the store and follow it. Raises AwsUnreadable, TooManyVanished, NotAllCopied, UnknownProvider, NotAllowed;
    what went wrong is kept with the store until a reading works."""
    center = IdentityCenter.objects.select_related("provider").filter(provider__slug=slug).first()
    if center is None:
        raise UnknownProvider
    try:
        if not center.provider.enabled:
            raise NotAllowed(f"{center.provider.name} is switched off.")
        store = read(open_as(center.role), region=center.region, store_id=center.store_id)
        done = _follow(center.provider, store, confirmed, at)
    except Refusal as refusal:
        IdentityCenter.objects.filter(pk=center.pk).update(failed_at=at, failure=refusal.message[:500])
        raise
    IdentityCenter.objects.filter(pk=center.pk).update(
        read_at=at, users=done.users, groups=done.groups, failed_at=None, failure=""
    )
    return done


def copy_all(*, open_as: Open = open_session, confirmed: bool = False, at: datetime) -> list[str]:
    """Every store that is switched on; a line about each. One that fails does not keep the others."""
    lines = []
    for slug in _enabled():
        try:
            done = copy(slug=slug, open_as=open_as, confirmed=confirmed, at=at)
            counts = f"{done.users} users and {done.groups} groups, {done.changed} changed, {done.removed} removed"
            lines.append(f"{slug}: {counts}")
        except Refusal as refusal:
            lines.append(f"{slug}: {refusal.message}")
    return lines


def _enabled() -> list[str]:
    rows = IdentityCenter.objects.filter(provider__enabled=True).order_by("provider__slug")
    return list(rows.values_list("provider__slug", flat=True))


def _follow(provider: Provider, store: Store, confirmed: bool, at: datetime) -> Copied:
    """Whoever left goes first. What cannot be copied is passed over and said at the end."""
    _require_few_vanished(provider, store, confirmed)
    gone = _users(provider).exclude(external_id__in=list(store.users)).order_by("pk")
    emptied = _groups(provider).exclude(external_id__in=list(store.groups)).order_by("pk")
    refused: list[str] = []
    removed = changed = 0
    for pk in list(gone.values_list("pk", flat=True)):
        removed += _try(partial(_remove_user, provider, pk, at), refused)
    for user_id in sorted(store.users):
        changed += _try(partial(_user, provider, store.users[user_id], at), refused)
    for group_id in sorted(store.groups):
        changed += _try(partial(_group, provider, store.groups[group_id], at), refused)
    for pk in list(emptied.values_list("pk", flat=True)):
        removed += _try(partial(_remove_group, provider, pk, at), refused)
    if refused:
        raise NotAllCopied(f"{len(refused)} could not be copied; the first: {refused[0]}")
    return Copied(len(store.users), len(store.groups), changed, removed)


def _try(step: Callable[[], bool], refused: list[str]) -> bool:
    try:
        return step()
    except Refusal as refusal:
        refused.append(refusal.message)
        return False


def _require_few_vanished(provider: Provider, store: Store, confirmed: bool) -> None:
    known = set(_users(provider).values_list("external_id", flat=True))
    gone = known - store.users.keys()
    if len(gone) > max(FEW, len(known) * LARGEST_LOSS) and not confirmed:
        raise TooManyVanished(f"{len(gone)} of {len(known)} users of {provider.name} would vanish.")


def _user(provider: Provider, described: people.Described, at: datetime) -> bool:
    """Whether something had to change. What is as it was is not even locked."""
    user_id = described.external_id
    if _same(_users(provider).filter(external_id=user_id).first(), described):
        return False
    with transaction.atomic():
        locked, actor = lock_provider(provider.slug), policies.provider_actor(provider)
        entry = _users(locked).select_related("provider", "subject").filter(external_id=user_id).first()
        if entry is None:
            people.add_user(provider=locked, described=described, actor=actor, at=at)
        elif not _same(entry, described):
            people.change_user(entry=entry, described=described, actor=actor, at=at)
    return True


def _same(entry: DirectoryUser | None, described: people.Described) -> bool:
    return entry is not None and entry.document == described.document and entry.active == described.active


def _group(provider: Provider, found: FoundGroup, at: datetime) -> bool:
    with transaction.atomic():
        locked, actor = lock_provider(provider.slug), policies.provider_actor(provider)
        entries = _users(locked).filter(external_id__in=found.members).values_list("scim_id", "user_name")
        members = {str(scim_id): user_name for scim_id, user_name in entries}
        push = Push(name=found.name, external_id=found.id, come=members, whole=True)
        group = _groups(locked).select_related("provider").filter(external_id=found.id).first()
        if group is None:
            groups.add_group(provider=locked, push=push, actor=actor, at=at)
        elif group.name != found.name or _held(group) != members.keys():
            groups.change_group(group=group, push=push, actor=actor, at=at)
        else:
            return False
    return True


def _held(group: Group) -> set[str]:
    held = GroupMember.objects.filter(group=group, entry__isnull=False).values_list("entry__scim_id", flat=True)
    return {str(one) for one in held}


def _remove_group(provider: Provider, pk: int, at: datetime) -> bool:
    with transaction.atomic():
        locked = lock_provider(provider.slug)
        group = _groups(locked).select_related("provider").filter(pk=pk).first()
        if group is not None:
            groups.remove_group(group=group, actor=policies.provider_actor(locked), at=at)
    return group is not None


def _remove_user(provider: Provider, pk: int, at: datetime) -> bool:
    with transaction.atomic():
        locked = lock_provider(provider.slug)
        entry = _users(locked).select_related("provider", "subject").filter(pk=pk).first()
        if entry is not None:
            people.remove_user(entry=entry, actor=policies.provider_actor(locked), at=at)
    return entry is not None


def _users(provider: Provider) -> QuerySet[DirectoryUser]:
    return DirectoryUser.objects.filter(provider=provider)


def _groups(provider: Provider) -> QuerySet[Group]:
    return Group.objects.filter(provider=provider, origin=Origin.SCIM)
