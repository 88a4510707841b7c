"""Reading firewall requests, within what the reader may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, Prefetch, Q, QuerySet

from apps.access.selectors import list_ended, sight_of
from apps.firewall import refusals
from apps.firewall.models import FirewallLine, FirewallRequest, LineMeaning
from apps.firewall.standing import opened_by

if TYPE_CHECKING:
    from apps.identity.models import Subject

PAGE = 50


def visible_firewall_requests(viewer: Subject) -> QuerySet[FirewallRequest]:
    """To whoever wrote one, an agent's owner, those whose callers or services it names, and who watch over all."""
    rows = FirewallRequest.objects.all()
    sight = sight_of(viewer)
    if sight.sees_all:
        return rows
    meant = LineMeaning.objects.filter(line__dropped=False)
    return rows.filter(
        pk__in=rows.filter(Q(asker=sight.viewer) | Q(asker__owner=sight.viewer))
        .values("pk")
        .union(
            meant.filter(subject__in=sight.subjects).values("line__request"),
            meant.filter(service__team__in=sight.owners).values("line__request"),
        )
    )


def list_firewall_requests(
    *, viewer: Subject, mine: bool, after: int | None = None
) -> tuple[list[FirewallRequest], int | None]:
    """Newest first, with ``total``, ``sent`` and ``left`` (lines nobody sent); and where the next page begins."""
    rows = visible_firewall_requests(viewer)
    if mine:
        rows = rows.filter(asker=viewer)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    counted = rows.annotate(
        total=Count("lines"),
        sent=Count("lines", filter=Q(lines__access_request__isnull=False)),
        allowed=Count("lines", filter=_allowed()),
        dropped=Count("lines", filter=Q(lines__dropped=True) | Q(lines__action="deny")),
    )
    found: list[FirewallRequest] = [*counted.select_related("asker").order_by("-pk")[: PAGE + 1]]
    return found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None


def _allowed() -> Q:
    open_already = Q(lines__meaning__allowed_by__len__gt=0) | Q(lines__design__kind="reuse")
    return open_already & Q(lines__access_request=None, lines__dropped=False) & ~Q(lines__action="deny")


def get_firewall_request(*, viewer: Subject, public_id: str) -> FirewallRequest:
    """With its lines, what they mean, and how far what was opened for them is. Four queries, and one more where a line
    is open by grants that were there: ``over`` are those of them that ended since."""
    lines = FirewallLine.objects.select_related(
        "meaning__subject__team",
        "meaning__service__team",
        "meaning__confirmed_by",
        "access_request__grant",
    ).prefetch_related("access_request__grant__doors")
    rows = visible_firewall_requests(viewer).filter(public_id=public_id).select_related("asker__owner", "environment")
    found = rows.prefetch_related(Prefetch("lines", lines.order_by("number"))).first()
    if found is None:
        raise refusals.UnknownFirewallRequest
    lines_found = list(found.lines.all())
    ended = list_ended({name for line in lines_found for name in opened_by(line)})
    for line in lines_found:
        line.request, line.over = found, tuple(name for name in opened_by(line) if name in ended)
    return found


def get_seen_line(*, viewer: Subject, public_id: str, number: int) -> FirewallLine:
    """One line alone with its request. One query, and one more where it was sent."""
    rows = FirewallLine.objects.select_related(
        "request__asker__owner",
        "request__environment",
        "meaning__subject__team",
        "meaning__service__team",
        "meaning__confirmed_by",
        "access_request__grant",
    ).prefetch_related("access_request__grant__doors")
    seen = visible_firewall_requests(viewer).filter(public_id=public_id)
    line = rows.filter(request__in=seen, number=number).first()
    if line is not None:
        return line
    raise refusals.UnknownLine if seen.exists() else refusals.UnknownFirewallRequest


def get_line(request: FirewallRequest, number: int) -> FirewallLine:
    """Out of what ``get_firewall_request`` read."""
    found = next((line for line in request.lines.all() if line.number == number), None)
    if found is None:
        raise refusals.UnknownLine
    return found
