"""What people ask for as firewall requests, the zones it is judged by, services that are to go, and old rule bases."""

from __future__ import annotations

from apps.firewall.models.decommissions import Decommission, Outcome
from apps.firewall.models.requests import FirewallLine, FirewallRequest, LineMeaning, Origin
from apps.firewall.models.rule_bases import (
    CleaningOutcome,
    RuleBase,
    RuleBaseCleaning,
    RuleBaseFinding,
    RuleBaseLine,
)
from apps.firewall.models.zones import Verdict, Zone, ZoneRule

__all__ = [
    "CleaningOutcome",
    "Decommission",
    "FirewallLine",
    "FirewallRequest",
    "LineMeaning",
    "Origin",
    "Outcome",
    "RuleBase",
    "RuleBaseCleaning",
    "RuleBaseFinding",
    "RuleBaseLine",
    "Verdict",
    "Zone",
    "ZoneRule",
]
