"""Who is in a team, and who decides for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.identity import selectors
from apps.identity.errors import InvalidMembership
from apps.identity.models import Kind, Membership, MembershipRole, Subject
from apps.identity.services.effective import settle_memberships
from apps.identity.services.subjects import CHANGED, get_locked, note
from apps.outbox import services as outbox


def set_memberships(*, team_key: str, members: Mapping[str, str], actor: Actor, at: datetime) -> Subject:
    """Make ``members`` (subject key to "member" or "owner") the team's own list. Quiet when it already is.

    What directories give through their groups stays beside it. The caller has checked that ``actor`` may: imports use
    this too.
    """
    with transaction.atomic():
        team = get_locked(team_key)
        wanted = _checked(team, members)
        stated = Membership.objects.filter(team=team).exclude(stated_role="")
        before = dict(stated.values_list("member__key", "stated_role"))
        if before == dict(members):
            return team
        gone = list(stated.exclude(member__key__in=members).values_list("member", flat=True))
        Membership.objects.filter(team=team, member__in=gone).update(stated_role="")
        Membership.objects.bulk_create(
            [Membership(team=team, member=wanted[key], role=role, stated_role=role) for key, role in members.items()],
            update_conflicts=True,
            unique_fields=["team", "member"],
            update_fields=["stated_role"],
        )
        settle_memberships(team, [*gone, *(one.pk for one in wanted.values())])
        note(
            team,
            "identity.team.members_changed",
            actor=actor,
            at=at,
            before={"members": before},
            after={"members": dict(members)},
        )
        for keys, losing in ((before.keys() - members.keys(), True), (members.keys() - before.keys(), False)):
            outbox.enqueue_many(topic=CHANGED, payloads={key: {} for key in sorted(keys)}, at=at, urgent=losing)
    return team


def _checked(team: Subject, members: Mapping[str, str]) -> dict[str, Subject]:
    if team.kind != Kind.TEAM:
        raise InvalidMembership(f"{team.key} is not a team.")
    found = selectors.list_by_keys(members)
    wrong = [_complaint(key, role, found.get(key)) for key, role in sorted(members.items())]
    complaints = [complaint for complaint in wrong if complaint]
    if complaints:
        raise InvalidMembership(fields={"members": complaints})
    return found


def _complaint(key: str, role: str, member: Subject | None) -> str | None:
    if member is None:
        return f"There is no {key}."
    if member.kind == Kind.TEAM:
        return f"{key} is a team, and a team cannot be in a team."
    if role not in MembershipRole.values:
        return f"{key} cannot be {role!r} of a team."
    if role == MembershipRole.OWNER and member.kind != Kind.PERSON:
        return f"{key} is not a person, and only people own a team."
    return None
