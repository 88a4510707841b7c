"""Whom somebody stands among: its roles, its teams and what it answers for.

The subject behind a page is asked about again and again; marked with ``read_once``, each is read once, and only what is
asked about. Everybody else is read afresh each time, so that what a service decides by is never older than its
transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from django.db.models import OuterRef, Q, Subquery

from apps.identity.models import Kind, Membership, MembershipRole, Role, Subject

_MARK = "_nearby"


class Nearby:
    """``owned`` holds the keys of the teams it decides for, ``belongings`` the workloads and agents it may ask for.

    Roles are one query where nobody knows them yet, the rest together another.
    """

    def __init__(self, subject: Subject, roles: Collection[str] | None) -> None:
        self._subject, self._known = subject, roles

    @cached_property
    def roles(self) -> frozenset[Role]:
        if self._subject.kind != Kind.PERSON or not self._subject.is_active:
            return frozenset()
        known = self._known
        found = self._subject.console_roles.values_list("role", flat=True) if known is None else known
        return frozenset(map(Role, found))

    @cached_property
    def teams(self) -> tuple[Subject, ...]:
        return tuple(one for one in self._around if one.kind == Kind.TEAM)

    @cached_property
    def owned(self) -> frozenset[str]:
        return frozenset(one.key for one in self.teams if one.my_role == MembershipRole.OWNER)  # type: ignore[attr-defined]  # annotated below

    @cached_property
    def belongings(self) -> tuple[Subject, ...]:
        return tuple(one for one in self._around if one.kind != Kind.TEAM)

    @cached_property
    def _around(self) -> list[Subject]:
        mine = Membership.objects.filter(member=self._subject)
        teams = mine.values("team")
        rows = Subject.objects.select_related("owner", "team").exclude(pk=self._subject.pk)
        near = rows.filter(Q(pk__in=teams) | _belonging(self._subject, teams))
        own_role = Subquery(mine.filter(team=OuterRef("pk")).values("role")[:1])
        return list(near.annotate(my_role=own_role).order_by("kind", "name", "key"))


def read_once(subject: Subject, roles: Collection[str] | None = None) -> None:
    """``roles`` are those it holds, where they came along with it."""
    if not hasattr(subject, _MARK):
        setattr(subject, _MARK, Nearby(subject, roles))


def remembered(subject: Subject) -> Nearby | None:
    """None for a subject that is not marked."""
    found: Nearby | None = getattr(subject, _MARK, None)
    return found


def _belonging(subject: Subject, teams: object) -> Q:
    """Only people answer for others."""
    if subject.kind != Kind.PERSON:
        return Q(pk__in=[])
    return Q(kind__in=[Kind.WORKLOAD, Kind.AGENT]) & (Q(team__in=teams) | Q(owner=subject))
