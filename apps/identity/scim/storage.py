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
from apps.identity.scim.published import FoundPage, Members, Shown
from apps.identity.scim.pushes import Push, uuid_or_none
from apps.identity.scim.resources import describe, group_parts
from apps.identity.scim.searching import KINDS, find, members_of, wants_members
from apps.identity.services.provider_secrets import lock_provider

FARTHEST = 2**40
"""Past every resource, and still a number that the database understands."""


class OrmStorage(ScimStorage):
    """``writes`` says that the request may change something: then it holds the provider's lock from its first look,
    so that what it changes is what it saw.

    ``shown``, if given, gets the rows behind what is returned: the answer is written from those, and the members of a
    group that is only going to be shown need not become models.
    """

    def __init__(
        self, provider: Provider, *, at: datetime, writes: bool = True, shown: dict[str, Shown] | None = None
    ) -> None:
        self.provider, self.at, self.writes, self.shown = provider, at, writes, shown
        self.actor = policies.provider_actor(provider)
        self._inside = False

    @contextmanager
    def operation(self) -> Iterator[None]:
        """One transaction, however often it is entered on the way. A read needs none."""
        if self._inside or not self.writes:
            yield
            return
        self._inside = True
        try:
            with transaction.atomic():
                lock_provider(self.provider.slug)
                yield
        finally:
            self._inside = False

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        row = self._row(resource_type, resource_id)
        if response_parameters is None:
            return Shown(row, self._members(row)).resource()
        return self._show(row, wants_members(response_parameters))

    def head(self, resource_type: ResourceType, resource_id: str) -> Resource[Any]:
        """A resource without its members: enough to judge a condition."""
        return Shown(self._row(resource_type, resource_id)).resource()

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """A page over the kinds one after the other, each in the order in which it came to us."""
        start = min(search_request.start_index_0 or 0, FARTHEST)
        stop = None if search_request.count is None else start + search_request.count
        with_members = wants_members(search_request)
        total, page = 0, list[Shown]()
        for name in dict.fromkeys(one.name or "" for one in resource_types):
            first, last = max(start - total, 0), None if stop is None else max(stop - total, 0)
            more, shown = find(self.provider, name, search_request.filter).page(first, last, with_members)
            total, page = total + more, page + shown
        return FoundPage(total, page)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        with self.operation(), _as_scim_errors():
            if resource_type.name == "User":
                described = describe(resource, new=True)
                return self._show(
                    people.add_user(provider=self.provider, described=described, actor=self.actor, at=self.at)
                )
            return self._show(
                groups.add_group(provider=self.provider, push=group_parts(resource), actor=self.actor, at=self.at)
            )

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        with self.operation(), _as_scim_errors():
            row = self._row(resource_type, str(resource.id), expected_version)
            if isinstance(row, DirectoryUser):
                described = describe(resource)
                return self._show(people.change_user(entry=row, described=described, actor=self.actor, at=self.at))
            return self._show(groups.change_group(group=row, push=group_parts(resource), actor=self.actor, at=self.at))

    def push(self, resource_type: ResourceType, resource_id: str, push: Push) -> Resource[Any]:
        """Change a group by what a PATCH says of it."""
        with self.operation(), _as_scim_errors():
            row = self._row(resource_type, resource_id)
            if isinstance(row, DirectoryUser):
                raise TypeError("Only groups are changed by a push.")
            return self._show(groups.change_group(group=row, push=push, actor=self.actor, at=self.at))

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

    def _members(self, row: DirectoryUser | Group) -> Members | None:
        return members_of([row]).get(row.pk, []) if isinstance(row, Group) else None

    def _show(self, row: DirectoryUser | Group, with_members: bool = True) -> Resource[Any]:
        shown = Shown(row, self._members(row) if with_members else None)
        if self.shown is None:
            return shown.resource()
        self.shown[shown.id] = shown
        return Shown(row).resource()


@contextmanager
def _as_scim_errors() -> Iterator[None]:
    try:
        yield
    except DirectoryEntryTaken as refusal:
        raise UniquenessException(detail=f"{refusal.extra.get('attribute')} is taken.") from refusal
    except UnknownMember as refusal:
        raise InvalidValueException(detail=refusal.message) from refusal
