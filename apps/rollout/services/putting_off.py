"""Who takes the next step, and when to try again what a vendor refused: for rows that keep ``attempts``, ``error`` and
``retry_at``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from django.db.models import Model, QuerySet

from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError

Row = TypeVar("Row", bound=Model)

LONGEST = timedelta(minutes=5)
LEASE = timedelta(minutes=3)
"""Who took a step and has not finished it by then is taken for dead."""


class Patient(Protocol):
    attempts: int
    error: str
    retry_at: datetime


def claim(rows: QuerySet[Row], pk: int, at: datetime) -> Row | None:
    """One of ``rows``, ours for as long as LEASE; None when there is nothing to do or somebody else is at it."""
    if not rows.filter(pk=pk, retry_at__lte=at).update(retry_at=at + LEASE):
        return None
    return rows.filter(pk=pk).first()


def pause(attempts: int, retry_after: float | None = None) -> timedelta:
    """Until the next try, after so many failed ones: later and later, every five minutes at last, and never sooner than
    the vendor asks for.
    """
    own = min(timedelta(seconds=2.0 ** min(attempts, 20)), LONGEST)
    return max(own, timedelta(seconds=retry_after or 0.0))


def put_off(row: Patient, error: VendorError, at: datetime, *, words: str = "") -> None:
    """The caller saves."""
    row.attempts += 1
    row.error = words or explain(error)
    row.retry_at = at + pause(row.attempts, error.retry_after)


def settled(row: Patient, until: datetime) -> None:
    """Nothing is wrong; look again then."""
    row.attempts, row.error, row.retry_at = 0, "", until
