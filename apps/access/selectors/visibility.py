"""Who may see which requests and grants. Those who may not are told there is no such thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.access import policies
from apps.access.models import AccessRequest, Grant, Requirement, SelectorKind
from apps.catalog import selectors as catalog
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Sight:
    """What a viewer's place in the house lets it see: its subjects (by id), its teams (keys) and their services."""

    viewer: int
    sees_all: bool
    subjects: tuple[int, ...]
    teams: tuple[str, ...]
    services: tuple[str, ...]


def sight_of(viewer: Subject) -> Sight:
    if identity.has_role(viewer, *policies.SEE_ALL):
        return Sight(viewer.pk, True, (), (), ())
    near = [*identity.acting_for(viewer), *identity.list_teams_of(viewer)]
    teams = tuple(sorted({one.key for one in near if one.kind == "team"}))
    services = catalog.list_owned_by(teams) if teams else ()
    return Sight(viewer.pk, False, tuple(sorted({one.pk for one in near})), teams, services)


def visible_requests(viewer: Subject) -> QuerySet[AccessRequest]:
    """To askers and subjects, their teams, the service's team, those who may decide, and those who watch over all."""
    return requests_in(sight_of(viewer))


def requests_in(sight: Sight) -> QuerySet[AccessRequest]:
    rows = AccessRequest.objects.all()
    if sight.sees_all:
        return rows
    asked_of = Requirement.objects.filter(
        request=OuterRef("pk"), kind__in=[SelectorKind.OWNER_TEAM, SelectorKind.TEAM], value__in=sight.teams
    )
    return rows.filter(
        Q(requester=sight.viewer)
        | Q(subject__in=sight.subjects)
        | Q(service__slug__in=sight.services)
        | Exists(asked_of)
    )


def visible_grants(viewer: Subject) -> QuerySet[Grant]:
    return grants_in(sight_of(viewer))


def grants_in(sight: Sight) -> QuerySet[Grant]:
    rows = Grant.objects.all()
    if sight.sees_all:
        return rows
    return rows.filter(
        Q(request__requester=sight.viewer) | Q(subject__in=sight.subjects) | Q(service__slug__in=sight.services)
    )
