"""Keeping what lines were taken to mean, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from apps.audit import services as audit
from apps.catalog import selectors as catalog
from apps.firewall import refusals
from apps.firewall.interpreting import Reading, blocks_text, interpret
from apps.firewall.models import FirewallLine, FirewallRequest, LineMeaning
from apps.firewall.selectors.requests import visible_firewall_requests
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.audit.actors import Actor
    from apps.identity.models import Subject

MEANT = (
    "subject",
    "blocks",
    "service",
    "routes",
    "points",
    "confidence",
    "found",
    "allowed_by",
    "zone",
    "problem",
    "confirmed_by",
    "confirmed_at",
)


def locked_request(public_id: str, viewer: Subject) -> FirewallRequest:
    """Raises UnknownFirewallRequest for what ``viewer`` may not see."""
    rows = FirewallRequest.objects.select_for_update(of=("self",)).select_related("asker__owner", "environment")
    found = rows.filter(public_id=public_id).first()
    if found is None or not visible_firewall_requests(viewer).filter(pk=found.pk).exists():
        raise refusals.UnknownFirewallRequest
    return found


def lines_of(request: FirewallRequest) -> list[FirewallLine]:
    rows = FirewallLine.objects.filter(request=request).select_related(
        "meaning__subject", "meaning__service", "access_request"
    )
    lines = list(rows.order_by("number"))
    for line in lines:
        line.request = request
    return lines


def line_of(request: FirewallRequest, number: int) -> FirewallLine:
    found = next((line for line in lines_of(request) if line.number == number), None)
    if found is None:
        raise refusals.UnknownLine
    return found


def reread(request: FirewallRequest, lines: Sequence[FirewallLine], *, at: datetime) -> list[Reading]:
    """Find out anew what these lines mean, and keep it. What is exactly named counts as confirmed by who named it."""
    readings = interpret(request, lines, at=at)
    subjects = identity.list_by_keys(one.caller.key for one in readings if one.caller)
    services = {row.slug: row for row in catalog.list_living_services()} if readings else {}
    meanings = [_meaning(one, request, at) for one in readings]
    for reading, meaning in zip(readings, meanings, strict=True):
        meaning.subject = subjects.get(reading.caller.key) if reading.caller else None
        meaning.service = services.get(reading.service.key) if reading.service else None
    LineMeaning.objects.bulk_create(
        meanings, update_conflicts=True, unique_fields=["line"], update_fields=list(MEANT), batch_size=200
    )
    return readings


def _meaning(reading: Reading, request: FirewallRequest, at: datetime) -> LineMeaning:
    before = getattr(reading.line, "meaning", None)
    meaning = LineMeaning(
        line=reading.line,
        blocks=blocks_text(reading.terms[0]),
        routes=reading.routes,
        points=reading.points,
        confidence=reading.confidence,
        found=reading.found(),
        allowed_by=reading.allowed_by,
        zone=None if reading.cell is None else reading.cell.as_json(),
        problem=" ".join(dict.fromkeys(reading.problems)),
    )
    if before is not None and before.confirmed_by_id and _means_the_same(before, reading):
        meaning.confirmed_by, meaning.confirmed_at = before.confirmed_by, before.confirmed_at
    elif reading.is_exact:
        meaning.confirmed_by, meaning.confirmed_at = request.asker, at
    return meaning


def _means_the_same(before: LineMeaning, reading: Reading) -> bool:
    subject, service = before.subject, before.service
    now = (reading.caller.key if reading.caller else "", reading.service.key if reading.service else "")
    if reading.asks_method or (reading.method and sorted(before.routes) != sorted(reading.routes)):
        return False
    return now == (subject.key if subject else "", service.slug if service else "")


def record(
    verb: str,
    request: FirewallRequest,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        action=f"firewall.request.{verb}",
        actor=actor,
        target_type="firewall.request",
        target_id=request.public_id,
        target_name=request.title,
        before=before,
        after=after,
        at=at,
    )


def described(line: FirewallLine) -> dict[str, object]:
    return {
        "line": line.number,
        "source": line.source,
        "destination": line.destination,
        "protocol": line.protocol,
        "ports": line.ports,
        "direction": line.direction,
        "action": line.action,
        "method": line.method,
        "path": line.path,
        "until": line.until.isoformat() if line.until else None,
    }
