"""Who may see which requests and grants. Those who may not are told there is no such thing.

Each way to be concerned is looked up by its own index and the ids are united; one condition of many alternatives
would read the whole table for those who are concerned by little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.access import policies
from apps.access.models import AccessRequest, Grant, Requirement, SelectorKind
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Sight:
    """What a viewer's place in the house lets it see: its subjects (by id), and its teams by key
    and, as owners of services, by id."""

    viewer: int
    sees_all: bool
    subjects: tuple[int, ...]
    teams: tuple[str, ...]
    owners: tuple[int, ...]


def sight_of(viewer: Subject) -> Sight:
    if identity.has_role(viewer, *policies.SEE_ALL):
        return Sight(viewer.pk, True, (), (), ())
    near = [*identity.acting_for(viewer), *identity.teams_of(viewer)]
    teams = {one.key: one.pk for one in near if one.kind == "team"}
    subjects = tuple(sorted({one.pk for one in near}))
    return Sight(viewer.pk, False, subjects, tuple(sorted(teams)), tuple(sorted(teams.values())))


def visible_requests(viewer: Subject) -> QuerySet[AccessRequest]:
    """To askers and subjects, their teams, the service's team, those who may decide, and those who watch over all."""
    return requests_in(sight_of(viewer))


def requests_in(sight: Sight) -> QuerySet[AccessRequest]:
    rows = AccessRequest.objects.all()
    if sight.sees_all:
        return rows
    teams = [SelectorKind.OWNER_TEAM, SelectorKind.TEAM]
    return rows.filter(
        pk__in=rows.filter(requester=sight.viewer)
        .values("pk")
        .union(
            rows.filter(subject__in=sight.subjects).values("pk"),
            rows.filter(service__team__in=sight.owners).values("pk"),
            Requirement.objects.filter(kind__in=teams, value__in=sight.teams).values("request"),
        )
    )


def visible_grants(viewer: Subject) -> QuerySet[Grant]:
    return grants_in(sight_of(viewer))


def grants_in(sight: Sight) -> QuerySet[Grant]:
    rows = Grant.objects.all()
    if sight.sees_all:
        return rows
    return rows.filter(
        pk__in=rows.filter(request__requester=sight.viewer)
        .values("pk")
        .union(
            rows.filter(subject__in=sight.subjects).values("pk"),
            rows.filter(service__team__in=sight.owners).values("pk"),
        )
    )
