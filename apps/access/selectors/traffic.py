"""The traffic rules of a service, as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, ExpressionWrapper, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject

from apps.access.models import AccessRequest, Grant, GrantDoor
from apps.access.selectors.visibility import grants_in, requests_in, sight_of
from apps.access.states import LIVE_GRANTS
from apps.access.wishes import Wish

if TYPE_CHECKING:
    from apps.catalog.models import Service
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in force or on its way. ``request`` is empty for whoever may not see where it came from."""

    grant: Grant
    wish: Wish
    request: str
    routes: list[dict[str, Any]]
    doors: dict[str, str]

    @property
    def share(self) -> str:
        return "" if self.wish.percent >= 100 else f"{self.wish.percent} % of "


@dataclass(frozen=True, slots=True)
class Rules:
    """``asked`` are those that wait for an answer, as far as the viewer may see them."""

    standing: list[Rule]
    asked: QuerySet[AccessRequest]


def list_rules_of(service: Service, *, viewer: Subject, at: datetime) -> Rules:
    """Where the service usually runs; everybody may know how calls are treated, as they may know who is let in."""
    sight = sight_of(viewer)
    live = Grant.objects.filter(
        service=service, environment__is_default=True, state__in=LIVE_GRANTS, treatment__isnull=False
    )
    doors = GrantDoor.objects.filter(grant=OuterRef("pk")).order_by("point")
    routes = Grant.routes.through.objects.filter(grant=OuterRef("pk")).order_by("route__template", "route__key")
    told = JSONObject(methods="route__methods", template="route__template")
    rows = live.exclude(ends_at__lte=at).annotate(
        door_states=ArraySubquery(doors.values(json=JSONObject(point="point", state="state"))),
        route_rows=ArraySubquery(routes.values(json=told)),
        is_seen=ExpressionWrapper(Q(pk__in=grants_in(sight).values("pk")), BooleanField()),
    )
    asked = requests_in(sight).filter(service=service, state="pending", treatment__isnull=False)
    return Rules(
        standing=[_rule(row) for row in rows.select_related("subject", "request").order_by("ends_at", "pk")],
        asked=asked.select_related("subject").order_by("-pk"),
    )


def _rule(row: Any) -> Rule:
    """``row`` is a grant with what ``list_rules_of`` annotates."""
    return Rule(
        grant=row,
        wish=Wish.from_json(row.treatment),
        request=row.request.public_id if row.request and row.is_seen else "",
        routes=row.route_rows,
        doors={door["point"]: door["state"] for door in row.door_states},
    )
