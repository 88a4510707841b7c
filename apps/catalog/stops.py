"""Services as places on the way of calls: as little of each as a picture of many needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    CharField,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    Window,
)
from django.db.models.functions import Coalesce

from apps.catalog.models import Door, Exposure, Service
from apps.catalog.selectors import mentions


@dataclass(frozen=True, slots=True)
class Stop:
    """A living service. ``team`` and ``workload`` are subject keys; both doors are those where services usually run.

    ``workload`` is empty, and its id None, for a service without a door in the mesh.
    """

    pk: int
    slug: str
    title: str
    team: str
    team_name: str
    has_edge: bool
    workload: str
    workload_id: int | None


def list_stops(*, slugs: Collection[str], workloads: Collection[str] = ()) -> tuple[Stop, ...]:
    """Those with these slugs, and those that are these workloads. One query."""
    mesh = _usual_doors(Door.MESH).filter(workload__key__in=workloads)
    found = Service.objects.filter(Q(slug__in=slugs) | Q(pk__in=mesh.values("service")), retired_at=None)
    return tuple(Stop(*row) for row in _rows(found.order_by("slug")))


def list_first_stops(*, first: Sequence[str], query: str, limit: int) -> tuple[tuple[Stop, ...], int]:
    """Those in ``first`` in that order, then others by slug, as far as they match ``query``; and how many match.

    One query.
    """
    found = Service.objects.filter(retired_at=None)
    for word in query.replace("\x00", " ").lower().split()[:8]:
        found = found.filter(mentions(word))
    slugs = Value(list(first), output_field=ArrayField(CharField(max_length=63)))
    place = Func(slugs, F("slug"), function="array_position", output_field=IntegerField())
    found = found.order_by(place.asc(nulls_last=True), "slug")
    rows = list(_rows(found.annotate(many=Window(Count("pk"))), "many")[:limit])
    return tuple(Stop(*row[:-1]) for row in rows), rows[0][-1] if rows else 0


def _rows(found: QuerySet[Service], *more: str) -> Any:
    mesh = _usual_doors(Door.MESH).filter(service=OuterRef("pk"))
    found = found.annotate(
        has_edge=Exists(_usual_doors(Door.EDGE).filter(service=OuterRef("pk"))),
        workload_key=Coalesce(Subquery(mesh.values("workload__key")[:1]), Value("")),
        workload_pk=Subquery(mesh.values("workload")[:1]),
    )
    columns = ("pk", "slug", "title", "team__key", "team__name", "has_edge", "workload_key", "workload_pk", *more)
    return found.values_list(*columns)


def _usual_doors(point: Door) -> QuerySet[Exposure]:
    return Exposure.objects.filter(point=point, environment__is_default=True)
