"""The traffic rules of a service, as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.access.models import AccessRequest, Grant
from apps.access.selectors.visibility import visible_grants, visible_requests
from apps.access.states import LIVE_GRANTS
from apps.access.traffic import Wish
from apps.catalog import selectors as catalog

if TYPE_CHECKING:
    from apps.catalog.models import Service
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in force or on its way. ``request`` is empty for whoever may not see where it came from."""

    grant: Grant
    wish: Wish
    request: str

    @property
    def doors(self) -> dict[str, str]:
        return {door.point: door.state for door in self.grant.doors.all()}

    @property
    def share(self) -> str:
        return "" if self.wish.percent >= 100 else f"{self.wish.percent} % of "


def list_rules_of(service: Service, *, viewer: Subject, at: datetime) -> list[Rule]:
    """Where the service usually runs; everybody may know how calls are treated, as they may know who is let in."""
    where = catalog.get_environment(None)
    live = Grant.objects.filter(service=service, environment=where, state__in=LIVE_GRANTS, treatment__isnull=False)
    rows = live.exclude(ends_at__lte=at).select_related("subject", "request").prefetch_related("routes", "doors")
    seen = set(visible_grants(viewer).filter(service=service, treatment__isnull=False).values_list("pk", flat=True))
    return [
        Rule(row, Wish.from_json(row.treatment or {}), row.request.public_id if row.request and row.pk in seen else "")
        for row in rows.order_by("ends_at", "pk")
    ]


def list_rules_asked(service: Service, *, viewer: Subject) -> QuerySet[AccessRequest]:
    """Rules that wait for an answer, as far as ``viewer`` may see them."""
    waiting = visible_requests(viewer).filter(service=service, state="pending", treatment__isnull=False)
    return waiting.select_related("subject").order_by("-pk")
