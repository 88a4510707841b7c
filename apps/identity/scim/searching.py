"""Finding resources: what directories really ask for by index, everything else by looking at each, a few at a time."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Union

from django.db.models import Q, QuerySet
from scim2_models import InvalidFilterException, Resource, ScimFilter, SearchRequest
from scim2_models.path import AttrPath, CompareOperator, Comparison, LogicalExpr, LogicalOperator
from scim2_server.utils import parametrize

from apps.identity.models import DirectoryUser, Group, GroupMember, Origin, Provider
from apps.identity.scim.published import Shown
from apps.identity.scim.pushes import uuid_or_none
from apps.identity.scim.resources import model, name_key

CHUNK = 200


def users_of(provider: Provider) -> QuerySet[DirectoryUser]:
    return DirectoryUser.objects.filter(provider=provider).select_related("subject", "provider").order_by("pk")


def groups_of(provider: Provider) -> QuerySet[Group]:
    return Group.objects.filter(provider=provider, origin=Origin.SCIM).select_related("provider").order_by("pk")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource: its rows, the conditions the database can answer, and how rows become resources."""

    name: str
    rows: Callable[[Provider], QuerySet[Any]]
    conditions: dict[str, Callable[[object], Q]]
    show: Callable[[list[Any], bool], list[Shown]]


def _equal(field: str) -> Callable[[object], Q]:
    return lambda value: Q(**{field: value}) if isinstance(value, str) and value else Q(pk=None)


def _same_id(field: str) -> Callable[[object], Q]:
    return lambda value: Q(**{f"{field}__in": [one for one in [uuid_or_none(str(value))] if one]})


def _user_name(value: object) -> Q:
    return Q(user_name_key=name_key(value)) if isinstance(value, str) else Q(pk=None)


def _same_name(value: object) -> Q:
    return Q(name__iexact=value) if isinstance(value, str) else Q(pk=None)


def _has_member(value: object) -> Q:
    scim_id = uuid_or_none(str(value))
    return Q(pk__in=GroupMember.objects.filter(entry__scim_id=scim_id).values("group")) if scim_id else Q(pk=None)


def _users(rows: list[DirectoryUser], _: bool) -> list[Shown]:
    return [Shown(one) for one in rows]


def _groups(rows: list[Group], with_members: bool) -> list[Shown]:
    members = members_of(rows) if with_members else {}
    return [Shown(one, members.get(one.pk, []) if with_members else None) for one in rows]


def members_of(groups: Iterable[Group]) -> dict[int, list[tuple[str, str]]]:
    """By group: the ids of its members and what it calls them. One query."""
    found: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = GroupMember.objects.filter(group__in=list(groups), entry__isnull=False).order_by("entry")
    for group, scim_id, display in rows.values_list("group", "entry__scim_id", "display").iterator(2000):
        found[group].append((str(scim_id), display))
    return dict(found)


KINDS = {
    "User": Kind(
        "User",
        users_of,
        {"username": _user_name, "externalid": _equal("external_id"), "id": _same_id("scim_id")},
        _users,
    ),
    "Group": Kind(
        "Group",
        groups_of,
        {
            "displayname": _same_name,
            "externalid": _equal("external_id"),
            "id": _same_id("scim_id"),
            "members": _has_member,
            "members.value": _has_member,
        },
        _groups,
    ),
}


@dataclass(slots=True)
class Found:
    """The rows of one kind that match, not read yet."""

    kind: Kind
    rows: QuerySet[Any]

    def page(self, start: int, stop: int | None, with_members: bool) -> tuple[int, list[Shown]]:
        """How many there are in all, and those of the page. Where the end can be seen nothing is counted."""
        rows = list(self.rows[start:stop]) if stop is None or start < stop else []
        at_the_end = (stop is None or len(rows) < stop - start) and (rows or start == 0)
        total = start + len(rows) if at_the_end else self.rows.count()
        return total, self.kind.show(rows, with_members)


def find(provider: Provider, name: str, scim_filter: ScimFilter[Any] | None) -> Found:
    """Everything of one kind that matches. Memory holds a chunk of resources and the keys of those that match."""
    kind = KINDS[name]
    rows = kind.rows(provider)
    if scim_filter is None:
        return Found(kind, rows)
    condition = _translated(scim_filter.ast, kind)
    if condition is None:
        return Found(kind, rows.filter(pk__in=list(_looked_at(rows, kind, scim_filter))))
    return Found(kind, rows.filter(condition))


def _translated(node: object, kind: Kind) -> Q | None:
    """None for what only the library's own evaluation answers."""
    if isinstance(node, LogicalExpr):
        parts = [_translated(part, kind) for part in node.terms]
        known = [part for part in parts if part is not None]
        return _joined(node.op, known) if len(known) == len(parts) else None
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq:
        return None
    condition = kind.conditions.get(_path(node.attr_path))
    return None if condition is None else condition(node.value)


def _joined(op: LogicalOperator, parts: list[Q]) -> Q:
    return reduce(operator.and_ if op == LogicalOperator.and_ else operator.or_, parts)


def _path(path: AttrPath) -> str:
    if path.uri is not None and not path.uri.lower().startswith("urn:ietf:params:scim:schemas:core:2.0:"):
        return str(path)
    return f"{path.attr}.{path.sub_attr}".lower() if path.sub_attr else path.attr.lower()


def _looked_at(rows: QuerySet[Any], kind: Kind, scim_filter: ScimFilter[Any]) -> Iterator[int]:
    bound = parametrize(ScimFilter, Union[(model(kind.name),)])(str(scim_filter))  # noqa: UP007 - made at run time
    for chunk in _chunks(rows):
        for one in kind.show(chunk, True):
            if _matches(bound, one.resource()):
                yield one.row.pk


def _matches(bound: ScimFilter[Any], resource: Resource[Any]) -> bool:
    try:
        return bool(bound.match(resource))
    except RecursionError as error:
        raise InvalidFilterException(detail="The filter is nested too deeply.") from error


def _chunks(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    last = 0
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].pk


def wants_members(asked: SearchRequest[Any] | Any) -> bool:
    """Whether the answer will hold members: a directory that only looks for a group leaves them out."""
    if asked is None:
        return True
    excluded = {str(path).rpartition(":")[2].lower() for path in asked.excluded_attributes or []}
    included = {str(path).rpartition(":")[2].lower().partition(".")[0] for path in asked.attributes or []}
    return "members" not in excluded and (not included or "members" in included)
