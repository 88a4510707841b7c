"""Making a plan true. Runs inside the import's transaction; every function may raise a Refusal of a lower app."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TypeVar

from django.db.models import QuerySet

from apps.audit.actors import Actor
from apps.catalog import models
from apps.catalog.imports.components import DEFAULT_ENVIRONMENT
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
from apps.identity import services as people

ItemT = TypeVar("ItemT", bound=Item)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, when, and how to say which item is being written (for the report when it is refused)."""

    actor: Actor
    at: datetime
    note: Callable[[str], None]

    def write(self, items: Iterable[Item]) -> None:
        written = list(items)
        self._write_subjects(written)
        self._write_memberships(_only(Membership, written), ())
        self._write_services(_only(Service, written))
        self._write_routes(_only(Route, written))
        self._write_exposures(_only(Exposure, written))
        self._write_dependencies(_only(Dependency, written))

    def retire(self, items: Iterable[Item]) -> None:
        leaving = list(items)
        for pair in _only(Dependency, leaving):
            models.Dependency.objects.filter(caller__slug=pair.caller, callee__slug=pair.callee).delete()
        for door in _only(Exposure, leaving):
            _rows_of(door).delete()
        for route in _only(Route, leaving):
            models.Route.objects.filter(service__slug=route.service, key=route.key).update(retired_at=self.at)
        slugs = [service.slug for service in _only(Service, leaving)]
        models.Service.objects.filter(slug__in=slugs).update(retired_at=self.at)
        for role in _only(ConsoleRole, leaving):
            self.note(role.ref)
            people.withdraw_role(subject_key=role.person, role=role.role, actor=self.actor, at=self.at)
        self._write_memberships((), _only(Membership, leaving))
        subjects: list[Item] = [*_only(Agent, leaving), *_only(Workload, leaving), *_only(Person, leaving)]
        for subject in subjects:
            self.note(subject.ref)
            people.suspend_subject(
                key=subject.ref, actor=self.actor, at=self.at, why="No longer in the catalogue file."
            )

    def _write_subjects(self, items: list[Item]) -> None:
        for subject in items:
            self.note(subject.ref)
            if isinstance(subject, Team):
                self._upsert(subject.key, subject.name, purpose=subject.purpose)
            elif isinstance(subject, Person):
                self._upsert(subject.key, subject.name, email=subject.email)
            elif isinstance(subject, Agent):
                self._upsert(subject.key, subject.name, owner=subject.owner, team=subject.team, purpose=subject.purpose)
            elif isinstance(subject, Workload):
                self._upsert(subject.key, subject.name, team=subject.team)
            elif isinstance(subject, ConsoleRole):
                people.assign_role(subject_key=subject.person, role=subject.role, actor=self.actor, at=self.at)

    def _upsert(
        self,
        key: str,
        name: str,
        *,
        email: str = "",
        owner: str | None = None,
        team: str | None = None,
        purpose: str = "",
    ) -> None:
        people.upsert_subject(
            key=key,
            name=name,
            email=email,
            owner_key=owner,
            team_key=team,
            purpose=purpose,
            actor=self.actor,
            at=self.at,
        )

    def _write_memberships(self, joining: Iterable[Membership], leaving: Iterable[Membership]) -> None:
        joined, left = list(joining), list(leaving)
        for key in dict.fromkeys(membership.team for membership in (*joined, *left)):
            self.note(key)
            team = identity.get_subject(key)
            members = {row.member.key: str(row.role) for row in identity.list_members(team)}
            members.update({one.member: one.role for one in joined if one.team == key})
            for one in left:
                if one.team == key:
                    members.pop(one.member, None)
            people.set_memberships(team_key=key, members=members, actor=self.actor, at=self.at)

    def _write_services(self, services: list[Service]) -> None:
        teams = identity.list_by_keys({service.team for service in services})
        for service in services:
            self.note(service.ref)
            plain = {
                one.name: getattr(service, one.name) for one in fields(Service) if one.name not in ("slug", "team")
            }
            values = {**plain, "team": teams[service.team], "retired_at": None}
            models.Service.objects.update_or_create(
                slug=service.slug, defaults=values, create_defaults={**values, "created_at": self.at}
            )

    def _write_routes(self, routes: list[Route]) -> None:
        services = _service_ids(route.service for route in routes)
        rows = [
            models.Route(
                service_id=services[route.service],
                key=route.key,
                methods=list(route.methods),
                template=route.template,
                summary=route.summary,
                retired_at=None,
            )
            for route in routes
        ]
        models.Route.objects.bulk_create(
            rows,
            batch_size=1000,
            update_conflicts=True,
            unique_fields=["service", "key"],
            update_fields=["methods", "template", "summary", "retired_at"],
        )

    def _write_exposures(self, doors: list[Exposure]) -> None:
        """Two services may swap addresses in one import, so the old rows go before the new ones come."""
        for door in doors:
            _rows_of(door).delete()
        services = _service_ids(door.service for door in doors)
        workloads = identity.list_by_keys({door.workload for door in doors if door.workload})
        environments = {slug: _environment(slug) for slug in {door.environment for door in doors}}
        models.Exposure.objects.bulk_create(
            [
                models.Exposure(
                    service_id=services[door.service],
                    environment=environments[door.environment],
                    point=door.point,
                    host=door.host,
                    base_path=door.base_path,
                    namespace=door.namespace,
                    workload=workloads[door.workload] if door.workload else None,
                    port=door.port,
                    upstream_port=door.upstream_port,
                    variants=list(door.variants),
                    protocol=door.protocol,
                )
                for door in doors
            ],
            batch_size=1000,
        )

    def _write_dependencies(self, pairs: list[Dependency]) -> None:
        services = _service_ids(slug for pair in pairs for slug in (pair.caller, pair.callee))
        models.Dependency.objects.bulk_create(
            [
                models.Dependency(
                    caller_id=services[pair.caller], callee_id=services[pair.callee], routes=list(pair.routes)
                )
                for pair in pairs
            ],
            batch_size=1000,
            update_conflicts=True,
            unique_fields=["caller", "callee"],
            update_fields=["routes"],
        )


def _only(sort: type[ItemT], items: Iterable[Item]) -> list[ItemT]:
    return [item for item in items if isinstance(item, sort)]


def _service_ids(slugs: Iterable[str]) -> dict[str, int]:
    return dict(models.Service.objects.filter(slug__in=set(slugs)).values_list("slug", "pk"))


def _rows_of(door: Exposure) -> QuerySet[models.Exposure]:
    return models.Exposure.objects.filter(
        service__slug=door.service, environment__slug=door.environment, point=door.point
    )


def _environment(slug: str) -> models.Environment:
    """Made when it is first spoken of. The first one is the default."""
    first = not models.Environment.objects.exists()
    default = first or (slug == DEFAULT_ENVIRONMENT and not models.Environment.objects.filter(is_default=True).exists())
    environment, _ = models.Environment.objects.get_or_create(
        slug=slug, defaults={"name": slug.replace("-", " ").replace("_", " ").capitalize(), "is_default": default}
    )
    return environment
