"""Rule bases of old firewalls, what is wrong with them, and proposals to clean them up."""

from __future__ import annotations

from apps.firewall.models.rule_bases import (
    CleaningOutcome,
    RuleBase,
    RuleBaseCleaning,
    RuleBaseFinding,
    RuleBaseLine,
)

__all__ = ["CleaningOutcome", "RuleBase", "RuleBaseCleaning", "RuleBaseFinding", "RuleBaseLine"]
