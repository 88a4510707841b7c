"""One service: what it does, who can reach it at any moment, who calls it, and what is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.identity.pages import PageRequest, asked_text
from console.words import Who

if TYPE_CHECKING:
    from apps.access.selectors import Reach
    from apps.catalog.models import Service
    from apps.compiler.graph import Route

FEW = 20


@dataclass(frozen=True, slots=True)
class Holder:
    """A subject's way in: both doors together where the same routes are open until the same time."""

    who: Who
    key: str
    routes: tuple[Route, ...]
    edge: str
    mesh: str
    via: str
    until: datetime | None


@require_GET
def show(request: PageRequest, slug: str) -> HttpResponse:
    service, at = catalog.get_service(slug), timezone.now()
    moment, wrong_date = asked_moment(request, at)
    holders = holders_of(access.who_can_reach(service_slug=slug, at=moment))
    context = {
        "service": service,
        "routes": list(catalog.list_routes(service)),
        "exposures": list(catalog.list_exposures(service)),
        "holders": holders,
        "holders_words": words_for(holders, is_now=moment == at),
        "is_now": moment == at,
        "on": asked_text(request, "on"),
        "wrong_date": wrong_date,
        "open_requests": access.list_requests(
            viewer=request.subject, states=["pending"], service=slug, limit=FEW
        ).items,
        "callers": callers_of(service),
    }
    return TemplateResponse(request, "catalog/service.html", context)


def asked_moment(request: PageRequest, now: datetime) -> tuple[datetime, str]:
    """The chosen date in UTC, or now and a complaint."""
    text = asked_text(request, "on")
    if not text:
        return now, ""
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        return now, "Write the date as 2026-11-23T14:00."
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC), ""


def holders_of(reach: Iterable[Reach]) -> list[Holder]:
    together: dict[tuple[object, ...], list[Reach]] = defaultdict(list)
    for one in reach:
        together[one.subject, one.routes, one.via, one.until].append(one)
    return [_holder(rows) for rows in together.values()]


def _holder(rows: list[Reach]) -> Holder:
    first, points = rows[0], {one.point.value for one in rows}
    return Holder(
        who=Who(first.kind.value, first.name),
        key=first.subject,
        routes=first.routes,
        edge="open" if "edge" in points else "",
        mesh="open" if "mesh" in points else "",
        via=", ".join(first.via),
        until=first.until,
    )


def words_for(holders: Iterable[Holder], *, is_now: bool) -> str:
    count = len({one.key for one in holders})
    if is_now:
        return f"{count} may call it now" if count else "nobody may call it now"
    return f"{count} may call it then" if count else "nobody may call it then"


def callers_of(service: Service) -> list[tuple[Who, str]]:
    """Who says it calls this service. Who was seen calling is on the live page."""
    return [(Who("workload", one.caller.title), "declared") for one in catalog.list_callers(service)[:FEW]]
