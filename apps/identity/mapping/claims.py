"""Groups that arrive in a token when somebody signs in."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import uuid4

from django.db import transaction

from apps.identity.mapping.applying import settle
from apps.identity.models import Group, GroupMember, Kind, Origin, Provider, Subject
from apps.identity.policies import provider_actor
from apps.identity.services.provider_record import note_provider
from apps.identity.services.provider_secrets import lock_provider

LONGEST = 255
MOST = 1000


def set_claimed_groups(*, provider: Provider, subject: Subject, names: Collection[str] | None, at: datetime) -> None:
    """``names`` are the groups a verified token of ``provider`` gives ``subject``; what it gave before is forgotten.

    None when the token says nothing: no claim at all, or Entra's overage, where the claim is replaced by a pointer
    (``_claim_names``). Then everything stays as it is, because nothing is not the same as none. Names that are no
    names (empty, too long) are skipped. A claimed group counts only while the directory pushes none of that name.
    """
    if names is None or subject.kind != Kind.PERSON:
        return
    wanted = {name for name in names if name and len(name) <= LONGEST and "\x00" not in name}
    wanted = set(sorted(wanted)[:MOST])
    actor = provider_actor(provider)
    with transaction.atomic():
        provider = lock_provider(provider.slug)
        mine = GroupMember.objects.filter(group__provider=provider, group__origin=Origin.CLAIM, subject=subject)
        before = set(mine.values_list("group__name", flat=True))
        if before == wanted:
            return
        mine.filter(group__name__in=before - wanted).delete()
        _join(provider, subject, wanted - before, at)
        settle(provider, people=[subject.pk], actor=actor, at=at)
        told = {"person": subject.key, "added": sorted(wanted - before), "removed": sorted(before - wanted)}
        note_provider(provider, "identity.groups.claimed", actor=actor, at=at, after=told)


def _join(provider: Provider, subject: Subject, names: Collection[str], at: datetime) -> None:
    claimed = Group.objects.filter(provider=provider, origin=Origin.CLAIM, name__in=names)
    known = set(claimed.values_list("name", flat=True))
    Group.objects.bulk_create(
        [
            Group(provider=provider, origin=Origin.CLAIM, scim_id=uuid4(), name=name, created_at=at, updated_at=at)
            for name in sorted(set(names) - known)
        ]
    )
    GroupMember.objects.bulk_create([GroupMember(group=group, subject=subject) for group in claimed.all()])
