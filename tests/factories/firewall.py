"""Firewall requests as people write them, and zones around the usual shop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apps.audit.actors import SYSTEM
from apps.firewall import services
from apps.firewall.models import Decommission, FirewallLine, FirewallRequest, Zone
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


def drafted(asker: Subject, at: datetime) -> FirewallRequest:
    """The one there is, or one with a line to choose for and one that is wrong."""
    made = FirewallRequest.objects.filter(asker=asker).first()
    return made or request(asker, written(asker.key, method="GET", path="/payments"), written("any"), at=at)


def proposed(actor: Subject, at: datetime) -> Decommission:
    """That payments be given up."""
    made = Decommission.objects.filter(outcome="").first()
    return made or services.propose_end(slug="payments", reason="Replaced.", actor=actor, at=at)
