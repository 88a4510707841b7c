"""When to try again what a vendor refused, for rows that keep ``attempts``, ``error`` and ``retry_at``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError

LONGEST = timedelta(minutes=5)


class Patient(Protocol):
    attempts: int
    error: str
    retry_at: datetime


def put_off(row: Patient, error: VendorError, at: datetime, *, words: str = "") -> None:
    """Later and later, every five minutes at last. The caller saves."""
    row.attempts += 1
    row.error = words or explain(error)
    delay = min(timedelta(seconds=2.0 ** min(row.attempts, 20)), LONGEST)
    if error.retry_after is not None:
        delay = max(delay, timedelta(seconds=error.retry_after))
    row.retry_at = at + delay


def settled(row: Patient, until: datetime) -> None:
    """Nothing is wrong; look again then."""
    row.attempts, row.error, row.retry_at = 0, "", until
