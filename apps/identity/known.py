"""Many subjects by name and by the teams they are counted to: as little of each as a picture of many needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, OuterRef, Q, QuerySet, When
from django.db.models.functions import JSONObject

from apps.identity.models import Membership, Subject


@dataclass(frozen=True, slots=True)
class Known:
    """``teams`` (key and name) are those it is counted to: itself, of a machine the one that owns it, else those it is
    in."""

    pk: int
    key: str
    kind: str
    name: str
    teams: tuple[tuple[str, str], ...]


def list_known(keys: Iterable[str]) -> dict[str, Known]:
    """Those that exist, by key. One query."""
    return _read(Subject.objects.filter(key__in=set(keys)))


def list_with_its_own(key: str, *, limit: int) -> dict[str, Known]:
    """A subject and, of a team, its members and what belongs to it; nothing where it does not exist. One query."""
    members = Membership.objects.filter(team__key=key).values("member")
    rows = Subject.objects.filter(Q(key=key) | Q(team__key=key) | Q(pk__in=members))
    found = _read(rows.order_by(Case(When(key=key, then=0), default=1), "key")[:limit])
    return found if key in found else {}


def _read(rows: QuerySet[Subject]) -> dict[str, Known]:
    teams = Membership.objects.filter(member=OuterRef("pk")).order_by("team__key")
    near = ArraySubquery(teams.values(json=JSONObject(key="team__key", name="team__name")))
    columns = ("pk", "key", "kind", "name", "team__key", "team__name")
    return {row[1]: _known(*row) for row in rows.annotate(near=near).values_list(*columns, "near")}


def _known(
    pk: int, key: str, kind: str, name: str, team: str | None, team_name: str | None, near: list[dict[str, str]]
) -> Known:
    if kind == "team":
        return Known(pk, key, kind, name, ((key, name),))
    if team is not None and team_name is not None:
        return Known(pk, key, kind, name, ((team, team_name),))
    return Known(pk, key, kind, name, tuple((one["key"], one["name"]) for one in near))
