"""Firewall requests as people write them, and zones around the usual shop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apps.audit.actors import SYSTEM
from apps.catalog.models import Service
from apps.firewall import services
from apps.firewall.models import Decommission, FirewallLine, FirewallRequest, LineMeaning, Zone
from apps.identity.models import Subject
from tests.factories import access as factory

HOUR = 3600


def written(source: str, destination: str = "payments", **more: Any) -> services.Written:
    return services.Written(source=source, destination=destination, **more)


def request(
    asker: Subject,
    *lines: services.Written,
    pasted: str = "",
    at: datetime = factory.AT,
    **head: Any,
) -> FirewallRequest:
    """For an hour, unless told otherwise."""
    said: dict[str, Any] = {"title": "Refunds", "reason": "Customers wait for money.", **head}
    if "ends_at" not in said:
        said.setdefault("duration", HOUR)
    return services.draft_request(actor=asker, head=services.Head(**said), lines=lines, pasted=pasted, at=at)


def lines_of(asked: FirewallRequest) -> list[FirewallLine]:
    rows = FirewallLine.objects.filter(request=asked).select_related("meaning__subject", "meaning__service")
    return list(rows.select_related("access_request__grant", "request").order_by("number"))


def line_of(asked: FirewallRequest, number: int = 1) -> FirewallLine:
    return lines_of(asked)[number - 1]


def zone(slug: str, **holds: Sequence[str]) -> Zone:
    values = services.ZoneValues(name=slug.title(), **{name: tuple(value) for name, value in holds.items()})
    return services.set_zone(slug=slug, values=values, actor=SYSTEM, at=factory.AT)


def cell(source: str, destination: str, verdict: str, why: str = "Because of the audit.") -> None:
    services.set_cell(source=source, destination=destination, verdict=verdict, why=why, actor=SYSTEM, at=factory.AT)


def drafted(asker: Subject, service: Service, at: datetime) -> FirewallRequest:
    """The one there is, or one with a line to choose for, without a trace in the record."""
    made = FirewallRequest.objects.filter(asker=asker).first()
    if made is not None:
        return made
    head = {"title": "Payments", "reason": "To look.", "duration": HOUR, "created_at": at}
    made = FirewallRequest.objects.create(
        public_id="fw_drafted", asker=asker, environment=factory.environment(), **head
    )
    said = {"source": asker.key, "destination": service.slug, "method": "GET", "path": "/payments", "action": "allow"}
    line = FirewallLine.objects.create(request=made, number=1, **said)
    candidate = {"key": asker.key, "label": asker.name, "confidence": 1.0, "why": "So it is."}
    LineMeaning.objects.create(
        line=line,
        subject=asker,
        service=service,
        routes=["list"],
        points=["edge", "mesh"],
        confidence=1.0,
        found={"source": [candidate], "destination": []},
        confirmed_by=asker,
        confirmed_at=at,
    )
    return made


def quiet_zone(at: datetime) -> Zone:
    """Without a trace in the record."""
    return Zone.objects.get_or_create(slug="shop", defaults={"name": "Shop", "namespaces": ["shop"], "created_at": at})[
        0
    ]


def proposed(actor: Subject, service: Service, at: datetime) -> Decommission:
    """That the service be given up; without a trace in the record."""
    given = {"asker": actor, "reason": "Replaced.", "digest": "0" * 64, "created_at": at, "public_id": "dc_proposed"}
    return Decommission.objects.get_or_create(service=service, outcome="", defaults=given)[0]
