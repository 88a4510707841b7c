"""Long lists, newest first, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

RowT = TypeVar("RowT", bound=Model)

PAGE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """``after`` continues the list when passed back; None at its end."""

    items: tuple[RowT, ...]
    after: int | None


def page_of(rows: QuerySet[RowT], *, after: int | None, limit: int) -> Page[RowT]:
    """By id, which grows with time: an index serves it at any depth, and new rows do not shift what follows."""
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = tuple(rows.order_by("-pk")[: limit + 1])
    return Page(found[:limit], found[limit - 1].pk if len(found) > limit else None)
