"""What this app does in the background. Each may run twice: what is done already is left alone."""

from __future__ import annotations

from datetime import datetime

from apps.firewall.services import cleaning, rule_bases
from apps.outbox.registry import handles

LEASE = 110
"""Seconds: the largest rule base taken is read, compared and written well within it."""


@handles(rule_bases.TAKEN, atomic=False, lease_seconds=LEASE, given_up=rule_bases.leave_unread)
def rule_base_taken(*, key: str, payload: dict[str, object], at: datetime) -> None:
    rule_bases.read_rule_base(public_id=key, at=at)


@handles(cleaning.PROPOSED, atomic=False, lease_seconds=LEASE, given_up=cleaning.leave_unproven)
def cleaning_proposed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    cleaning.prove_cleaning(public_id=key, at=at)
