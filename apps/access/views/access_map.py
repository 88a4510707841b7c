"""The map of who may call what: services by teams, and one service at length."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access.selectors.access_map import Cell, ServiceMap, access_map, service_map
from apps.access.views.upkeep import number
from apps.catalog import selectors as catalog
from apps.compiler.both_doors import Gap, Held, Missing
from apps.compiler.graph import Route, Service, Subject
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text

HOLDERS = 20
NEEDED = {
    Missing.CLAIM: "claim sub",
    Missing.HEADER: "header Txn-Token",
    Missing.HOST: "host at the edge",
    Missing.NAMESPACE: "namespace",
    Missing.SERVICE_ACCOUNT: "service account",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell as it is drawn. ``edge`` and ``mesh`` are states of doors; ``words`` say the same."""

    cell: Cell
    edge: str
    mesh: str
    words: str


@dataclass(frozen=True, slots=True)
class Way:
    """A gap, with what is missing in words, and where to ask for it; empty where asking does not help."""

    gap: Gap
    needed: tuple[str, ...]
    routes: tuple[Route, ...]
    ask_url: str


@dataclass(frozen=True, slots=True)
class Holder:
    kind: str
    name: str
    held: Held
    edge: tuple[Route, ...]
    mesh: tuple[Route, ...]
    ways: tuple[Way, ...]


@require_GET
def show(request: PageRequest) -> HttpResponse:
    asked = {name: asked_text(request, name) for name in ("team", "owner", "q")}
    found = access_map(
        at=timezone.now(),
        team=asked["team"],
        owner=asked["owner"],
        query=asked["q"],
        after=asked_text(request, "after"),
    )
    context = {
        "teams": found.teams,
        "rows": [(row, [shown(cell) for cell in row.cells], shown_together(row.others)) for row in found.rows],
        "has_others": any(row.others for row in found.rows),
        "gaps": sum(row.gaps for row in found.rows),
        "after": found.after,
        "asked": asked,
    }
    return TemplateResponse(request, "access/map.html", context)


def shown(cell: Cell) -> Shown:
    if not cell.held:
        return Shown(cell, "", "", "Nothing")
    edge, mesh = cell.edge, cell.mesh
    parts = [f"edge {edge}" if edge else "", f"mesh {mesh}" if mesh else ""]
    words = ", ".join(filter(None, parts)) or "no route"
    return Shown(cell, _door(edge, cell), _door(mesh, cell), words)


def _door(count: int, cell: Cell) -> str:
    if count:
        return "open"
    return "closed" if cell.gaps else ""


def shown_together(cells: tuple[Cell, ...]) -> Shown | None:
    if not cells:
        return None
    held = tuple({one.subject: one for cell in cells for one in cell.held}.values())
    return shown(Cell(cells[0].service, "", held))


@require_GET
def service(request: PageRequest, slug: str) -> HttpResponse:
    """One service: each holder, both doors, and what is missing where they differ. ``team`` narrows it."""
    team = asked_text(request, "team")
    page = catalog.list_shapes(slugs=[slug], limit=1)
    row, shape = page.items[0] if page.items else (catalog.get_service(slug), Service(slug, slug))
    found = service_map(shape, timezone.now()) if page.items else ServiceMap()
    held = {one.subject: one for cell in found.cells for one in cell.held if not team or cell.team == team}
    mine = {one.key for one in identity.acting_for(request.subject)}
    holders = [_holder(shape, one, found.subjects[key], mine) for key, one in sorted(held.items())]
    holders = [one for one in holders if one.ways] + [one for one in holders if not one.ways]
    start = number(asked_text(request, "after")) or 0
    context = {
        "service": row,
        "team": team,
        "team_name": found.names.get(team, team),
        "many": len(holders),
        "holders": holders[start : start + HOLDERS],
        "after": start + HOLDERS if len(holders) > start + HOLDERS else None,
        "gaps": sum(len(one.ways) for one in holders),
    }
    return TemplateResponse(request, "access/map_service.html", context)


def _holder(shape: Service, held: Held, who: Subject, mine: Collection[str]) -> Holder:
    ways = tuple(_way(shape, held, gap, may_ask=held.subject in mine) for gap in held.gaps)
    return Holder(who.kind.value, who.name or who.id, held, _routes(shape, held.edge), _routes(shape, held.mesh), ways)


def _routes(shape: Service, keys: frozenset[str]) -> tuple[Route, ...]:
    return tuple(route for route in shape.routes if route.id in keys)


def _way(shape: Service, held: Held, gap: Gap, *, may_ask: bool) -> Way:
    needed = tuple(NEEDED[one] for one in gap.missing)
    return Way(gap, needed, _routes(shape, gap.routes), ask_url(held, gap) if gap.by_asking and may_ask else "")


def ask_url(held: Held, gap: Gap) -> str:
    """The form for asking, filled in with what would close the gap."""
    fields = [("service", held.service), ("subject", held.subject), ("points", gap.shut.value)]
    fields += [("routes", route) for route in sorted(gap.routes)]
    return f"{reverse('request_new')}?{urlencode(fields)}"
