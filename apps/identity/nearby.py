"""Whom somebody stands among: its roles, its teams and what it answers for, in one query.

The subject behind a page is asked about again and again; marked with ``read_once``, it is read once. Everybody else is
read afresh each time, so that what a service decides by is never older than its transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, Subquery

from apps.identity.models import ConsoleRole, Kind, Membership, MembershipRole, Role, Subject

_MARK = "_nearby"


@dataclass(frozen=True, slots=True)
class Nearby:
    """``owned`` holds the keys of the teams it decides for, ``belongings`` the workloads and agents it may ask for."""

    roles: frozenset[Role]
    teams: tuple[Subject, ...]
    owned: frozenset[str]
    belongings: tuple[Subject, ...]


def read_once(subject: Subject) -> None:
    setattr(subject, _MARK, getattr(subject, _MARK, None))


def remembered(subject: Subject) -> Nearby | None:
    """None for a subject that is not marked."""
    if not hasattr(subject, _MARK):
        return None
    if getattr(subject, _MARK) is None:
        setattr(subject, _MARK, read(subject))
    found: Nearby = getattr(subject, _MARK)
    return found


def read(subject: Subject) -> Nearby:
    mine = Membership.objects.filter(member=subject)
    teams = mine.values("team")
    rows = (
        Subject.objects.select_related("owner", "team")
        .filter(Q(pk=subject.pk) | Q(pk__in=teams) | _belonging(subject, teams))
        .annotate(
            my_role=Subquery(mine.filter(team=OuterRef("pk")).values("role")[:1]),
            held=ArraySubquery(ConsoleRole.objects.filter(subject=OuterRef("pk")).values("role")),
        )
        .order_by("kind", "name", "key")
    )
    found = list(rows)
    others = [one for one in found if one.pk != subject.pk]
    may_hold_roles = subject.kind == Kind.PERSON and subject.is_active
    return Nearby(
        roles=frozenset(Role(role) for one in found if one.pk == subject.pk and may_hold_roles for role in one.held),
        teams=tuple(one for one in others if one.my_role is not None),
        owned=frozenset(one.key for one in others if one.my_role == MembershipRole.OWNER),
        belongings=tuple(one for one in others if one.my_role is None),
    )


def _belonging(subject: Subject, teams: object) -> Q:
    """Only people answer for others."""
    if subject.kind != Kind.PERSON:
        return Q(pk=subject.pk)
    return Q(kind__in=[Kind.WORKLOAD, Kind.AGENT]) & (Q(team__in=teams) | Q(owner=subject))
