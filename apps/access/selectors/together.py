"""Rows of several tables in one query, for a page that asks about one thing from many sides."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, TypeAlias

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Model, OuterRef, QuerySet, Value
from django.db.models.functions import JSONObject

Part: TypeAlias = QuerySet[Any, tuple[str, dict[str, Any]]]


def part(kind: str, rows: QuerySet[Any], /, **fields: Any) -> Part:
    """What is read of some rows, by name. They come in no order."""
    told = rows.order_by().annotate(told_kind=Value(kind), told=JSONObject(**fields))
    found: Part = told.values_list("told_kind", "told")
    return found


def read_together(first: Part, *others: Part) -> dict[str, list[dict[str, Any]]]:
    """By kind. Moments are texts in ISO 8601."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for kind, told in first.union(*others, all=True):
        found[kind].append(told)
    return found


def routes_of(through: type[Model], name: str, column: str = "key") -> ArraySubquery:
    """Of whatever has routes, in order. ``through`` is the table between them, ``name`` its column."""
    mine = through._default_manager.filter(**{name: OuterRef("pk")})
    return ArraySubquery(mine.order_by(f"route__{column}").values(f"route__{column}"))
