"""What people ask for as firewall requests, the zones it is judged by, and services that are to go."""

from __future__ import annotations

from apps.firewall.models.decommissions import Decommission, Outcome
from apps.firewall.models.requests import FirewallLine, FirewallRequest, LineMeaning, Origin
from apps.firewall.models.zones import Verdict, Zone, ZoneRule

__all__ = [
    "Decommission",
    "FirewallLine",
    "FirewallRequest",
    "LineMeaning",
    "Origin",
    "Outcome",
    "Verdict",
    "Zone",
    "ZoneRule",
]
