"""scim2-server's storage over our rows, for one provider and one request: it sees nothing of anybody else's.

Nothing is written here: every change is one of our services. What they refuse becomes the SCIM error for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from scim2_models import (
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import ScimStorage, SearchPage

from apps.identity import policies
from apps.identity.errors import DirectoryEntryTaken, UnknownMember
from apps.identity.models import DirectoryUser, Group, Provider
from apps.identity.scim import groups, people
from apps.identity.scim.resources import describe, group_parts, group_resource, user_resource
from apps.identity.scim.searching import KINDS, find, members_of, uuid_or_none, wants_members
from apps.identity.services.provider_secrets import lock_provider


class OrmStorage(ScimStorage):
    """``writes`` says that the request may change something: then it holds the provider's lock from its first look,
    so that what it changes is what it saw."""

    def __init__(self, provider: Provider, *, at: datetime, writes: bool = True) -> None:
        self.provider, self.at, self.writes = provider, at, writes
        self.actor = policies.provider_actor(provider)

    @contextmanager
    def operation(self) -> Iterator[None]:
        with transaction.atomic():
            if self.writes:
                lock_provider(self.provider.slug)
            yield

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        return self._present(self._row(resource_type, resource_id), wants_members(response_parameters))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """A page over the kinds one after the other, each in the order in which it came to us."""
        start = search_request.start_index_0 or 0
        stop = None if search_request.count is None else start + search_request.count
        with_members = wants_members(search_request)
        total, page = 0, []
        for name in dict.fromkeys(one.name or "" for one in resource_types):
            found = find(self.provider, name, search_request.filter)
            first = min(max(start - total, 0), found.total)
            last = found.total if stop is None else min(max(stop - total, 0), found.total)
            if first < last:
                page += found.page(first, last, with_members)
            total += found.total
        return SearchPage(total, page)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        with self.operation(), _as_scim_errors():
            if resource_type.name == "User":
                described = describe(resource, new=True)
                return user_resource(
                    people.add_user(provider=self.provider, described=described, actor=self.actor, at=self.at)
                )
            name, external_id, members = group_parts(resource)
            group = groups.add_group(
                provider=self.provider,
                name=name,
                external_id=external_id,
                members=members,
                actor=self.actor,
                at=self.at,
            )
            return self._present(group, with_members=True)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        with self.operation(), _as_scim_errors():
            row = self._row(resource_type, str(resource.id), expected_version)
            if isinstance(row, DirectoryUser):
                described = describe(resource)
                return user_resource(people.change_user(entry=row, described=described, actor=self.actor, at=self.at))
            name, external_id, members = group_parts(resource)
            group = groups.change_group(
                group=row, name=name, external_id=external_id, members=members, actor=self.actor, at=self.at
            )
            return self._present(group, with_members=True)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        with self.operation():
            row = self._row(resource_type, resource_id, expected_version)
            if isinstance(row, DirectoryUser):
                people.remove_user(entry=row, actor=self.actor, at=self.at)
            else:
                groups.remove_group(group=row, actor=self.actor, at=self.at)

    def _row(
        self, resource_type: ResourceType, resource_id: str, expected_version: str | None = None
    ) -> DirectoryUser | Group:
        scim_id = uuid_or_none(resource_id)
        row: DirectoryUser | Group | None = (
            KINDS[str(resource_type.name)].rows(self.provider).filter(scim_id=scim_id).first() if scim_id else None
        )
        if row is None:
            raise NotFoundException(detail=f"There is no {resource_type.name} {resource_id[:60]!r}.")
        if expected_version is not None and expected_version != f'W/"{row.revision}"':
            raise PreconditionFailedException
        return row

    def _present(self, row: DirectoryUser | Group, with_members: bool) -> Resource[Any]:
        if isinstance(row, DirectoryUser):
            return user_resource(row)
        return group_resource(row, members_of([row]).get(row.pk) if with_members else None)


@contextmanager
def _as_scim_errors() -> Iterator[None]:
    try:
        yield
    except DirectoryEntryTaken as refusal:
        raise UniquenessException(detail=f"{refusal.extra.get('attribute')} is taken.") from refusal
    except UnknownMember as refusal:
        raise InvalidValueException(detail=refusal.message) from refusal
