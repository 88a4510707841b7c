"""What the console holds now of the things an import speaks of, in the same shape as the file's."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apps.catalog import models
from apps.catalog.imports.estate import (
    Agent,
    ConsoleRole,
    Dependency,
    Exposure,
    Item,
    Membership,
    Person,
    Route,
    Service,
    Team,
    Workload,
)
from apps.identity import selectors as identity
from apps.identity.models import Kind, SubjectState

if TYPE_CHECKING:
    from apps.identity.models import Subject


@dataclass(slots=True)
class Current:
    """``dormant`` are refs that exist but count for nothing: retired services and routes, suspended subjects."""

    items: dict[str, Item] = field(default_factory=dict)
    dormant: set[str] = field(default_factory=set)

    def add(self, item: Item, *, dormant: bool = False) -> None:
        self.items[item.ref] = item
        if dormant:
            self.dormant.add(item.ref)


def load(refs: Collection[str]) -> Current:
    """The items behind ``refs`` that exist, and what hangs on them: members of teams, routes of services."""
    current = Current()
    subjects = identity.list_by_keys(_subject_keys(refs))
    for subject in subjects.values():
        current.add(_subject(subject), dormant=subject.state == SubjectState.SUSPENDED)
    for role in _roles(refs, subjects):
        current.add(role)
    for membership in _memberships(subjects.values()):
        current.add(membership)
    _load_services(current, {ref.partition(":")[2].split("/")[0] for ref in refs if ref.startswith(_OF_SERVICES)})
    return current


_OF_SUBJECTS = tuple(f"{kind}:" for kind in Kind.values)
_OF_SERVICES = ("service:", "route:", "exposure:", "dependency:")


def _subject_keys(refs: Collection[str]) -> set[str]:
    """A ref of a subject is its key; roles and memberships end with one, memberships start with one too."""
    keys: set[str] = set()
    for ref in refs:
        keys.update(part for part in ref.split(" ") if part.startswith(_OF_SUBJECTS))
    return keys


def _subject(subject: Subject) -> Team | Person | Agent | Workload:
    team = subject.team.key if subject.team else None
    if subject.kind == Kind.TEAM:
        return Team(subject.key, subject.name, subject.purpose)
    if subject.kind == Kind.PERSON:
        return Person(subject.key, subject.name, subject.email)
    if subject.kind == Kind.AGENT:
        return Agent(subject.key, subject.name, subject.owner.key if subject.owner else "", team, subject.purpose)
    return Workload(subject.key, subject.name, team or "")


def _roles(refs: Collection[str], subjects: dict[str, Subject]) -> Iterator[ConsoleRole]:
    named = {ref.rpartition(" ")[2] for ref in refs if ref.startswith("role ")}
    for key in sorted(named & subjects.keys()):
        for role in identity.roles_of(subjects[key]):
            yield ConsoleRole(key, role.value)


def _memberships(subjects: Collection[Subject]) -> Iterator[Membership]:
    for team in subjects:
        if team.kind == Kind.TEAM:
            for row in identity.list_members(team):
                yield Membership(team.key, row.member.key, row.role)


def _load_services(current: Current, slugs: set[str]) -> None:
    services = models.Service.objects.filter(slug__in=slugs)
    for row in services.select_related("team"):
        current.add(_service(row), dormant=row.retired_at is not None)
    for route in models.Route.objects.filter(service__in=services).select_related("service"):
        item = Route(route.service.slug, route.key, tuple(route.methods), route.template, route.summary)
        current.add(item, dormant=route.retired_at is not None)
    for exposure in models.Exposure.objects.filter(service__in=services).select_related(
        "service", "environment", "workload"
    ):
        current.add(_exposure(exposure))
    for pair in models.Dependency.objects.filter(caller__in=services).select_related("caller", "callee"):
        current.add(Dependency(pair.caller.slug, pair.callee.slug, tuple(pair.routes)))


def _service(row: models.Service) -> Service:
    return Service(
        slug=row.slug,
        title=row.title,
        description=row.description,
        upstream_name=row.upstream_name,
        team=row.team.key,
        sensitivity=row.sensitivity,
        danger_note=row.danger_note,
        max_duration=row.max_duration,
        system=row.system,
        domain=row.domain,
        lifecycle=row.lifecycle,
    )


def _exposure(row: models.Exposure) -> Exposure:
    return Exposure(
        service=row.service.slug,
        environment=row.environment.slug,
        point=row.point,
        host=row.host,
        base_path=row.base_path,
        namespace=row.namespace,
        workload=row.workload.key if row.workload else None,
        port=row.port,
        upstream_port=row.upstream_port,
        variants=tuple(row.variants),
        protocol=row.protocol,
    )
