"""Something to tidy up and somebody to answer for it, made when it is not there and without a trace in the record."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.access.models import CleanUp, Grant, StandingReview, UpkeepFinding
from tests.factories.access import Shop, environment


def standing_grant(there: Shop, at: datetime, *, point: str = "edge") -> Grant:
    """Ada's, to look at payments, at one door."""
    given = {
        "service": there.service,
        "environment": environment(),
        "points": [point],
        "state": "active",
        "approved_at": at,
        "activated_at": at,
        "starts_at": at,
    }
    made, is_new = Grant.objects.get_or_create(
        public_id=f"g_standing_{point}", subject=there.ada, fingerprint=f"standing {point}", defaults=given
    )
    if is_new:
        made.routes.set(there.service.routes.filter(key="list"))
    return made


def clean_up(there: Shop, at: datetime) -> CleanUp:
    """Ada proposed it herself; Ben and Bea own the service."""
    given = {
        "service": there.service,
        "environment": environment(),
        "proposer": there.ada,
        "safe": False,
        "reason": "I do not need it.",
        "proof": {"subjects": 1, "cases": 2, "leans_on": []},
        "losses": ["Ada could no longer call GET /payments from the edge on Payments."],
        "created_at": at,
    }
    row, _ = CleanUp.objects.get_or_create(public_id="cu_1", defaults=given)
    row.grants.set([standing_grant(there, at)])
    return row


def question(there: Shop, at: datetime) -> StandingReview:
    given = {"cause": "schedule", "opened_at": at, "due_at": at + timedelta(days=14)}
    row, _ = StandingReview.objects.get_or_create(
        public_id="sr_1", grant=standing_grant(there, at, point="mesh"), defaults=given
    )
    return row


def finding(there: Shop, at: datetime, number: int = 0) -> UpkeepFinding:
    return UpkeepFinding.objects.create(
        service=there.service,
        environment=environment(),
        code="never_hit",
        severity="warning",
        sentence="Ada may call GET /payments on Payments from the edge without an end; no call used it for 90 days.",
        grants=[standing_grant(there, at).public_id],
        removable=number % 2 == 0,
        found_at=at,
    )
