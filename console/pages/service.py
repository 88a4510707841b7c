"""One service: what it does, who can reach it at any moment, who calls it, and what is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text
from apps.telemetry import selectors as telemetry
from console.words import Who, who_of

if TYPE_CHECKING:
    from apps.access.selectors import Reach
    from apps.catalog.models import Exposure, Service
    from apps.catalog.models import Route as RouteRow
    from apps.compiler.graph import Route
    from apps.telemetry.selectors import CallerSeen

FEW = 20
LOOK_BACK = timedelta(days=7)


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
    routes, exposures = list(catalog.list_routes(service)), list(catalog.list_exposures(service))
    moment, wrong_date = asked_moment(request, at)
    holders = holders_of(reach_of(service, routes, exposures, moment))
    context = {
        "service": service,
        "routes": routes,
        "exposures": exposures,
        "holders": holders,
        "holders_words": words_for(holders, is_now=moment == at),
        "is_now": moment == at,
        "on": asked_text(request, "on"),
        "wrong_date": wrong_date,
    }
    return TemplateResponse(request, "catalog/service.html", context)


def reach_of(
    service: Service, routes: Iterable[RouteRow], exposures: Iterable[Exposure], at: datetime
) -> tuple[Reach, ...]:
    """Who can reach it where it usually runs; nobody where it has no door."""
    usual = [one for one in exposures if one.environment.is_default]
    if not usual:
        return ()
    shape = catalog.shape_of(service, routes, usual)
    return access.reach_of(shape, environment_slug=usual[0].environment.slug, at=at)


@require_GET
def around(request: PageRequest, slug: str) -> HttpResponse:
    """Who asks for it and who calls it: beside the service's page, which fetches it."""
    service, since = catalog.get_service(slug), timezone.now() - LOOK_BACK
    context = {
        "service": service,
        "open_requests": access.visible_requests(request.subject)
        .filter(service=service, state="pending")
        .select_related("subject")
        .order_by("-pk")[:FEW],
        "callers": callers_of(service, telemetry.list_callers_seen(slug, since=since, limit=FEW)),
    }
    return TemplateResponse(request, "catalog/around.html", context)


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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was seen calling, or is said to. ``calls`` is 0 for who was not seen."""

    who: Who
    key: str
    calls: int
    denied: int
    last_at: datetime | None


def callers_of(service: Service, seen: Sequence[CallerSeen]) -> list[Caller]:
    names = {key: one.name for key, one in identity.list_by_keys(one.subject for one in seen).items()}
    found = [_caller(one, names.get(one.subject, "")) for one in seen]
    known = {one.who.name for one in found}
    declared = [one.caller.title for one in catalog.list_callers(service)[:FEW]]
    return found + [Caller(Who("workload", title), "", 0, 0, None) for title in declared if title not in known]


def _caller(one: CallerSeen, name: str) -> Caller:
    who = who_of(one.subject) or Who("system", one.subject)
    return Caller(Who(who.kind, name or who.name), one.subject, one.calls, one.denied, one.last_at)
