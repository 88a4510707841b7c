"""The state machines of this app, and the one function that moves any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from django.db import models

from apps.audit.errors import Refusal


class RequestState(models.TextChoices):
    PENDING = "pending", "Waiting for review"
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Denied"
    EXPIRED = "expired", "Nobody answered in time"
    CANCELLED = "cancelled", "Withdrawn"


class GrantState(models.TextChoices):
    PENDING = "pending", "Opening"
    ACTIVE = "active", "Open"
    EXPIRED = "expired", "Ran out"
    REVOKED = "revoked", "Revoked"
    HANDED_BACK = "handed_back", "Handed back"


class DoorState(models.TextChoices):
    CLOSED = "closed", "Closed"
    OPENING = "opening", "Opening"
    OPEN = "open", "Open"
    PROVEN = "proven", "Open and proven"
    FAILING = "failing", "Failing"
    CLOSING = "closing", "Closing"


class CleanUpState(models.TextChoices):
    PENDING = "pending", "Waiting for an answer"
    APPLIED = "applied", "Done"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


class StandingState(models.TextChoices):
    """How a question about standing access went."""

    OPEN = "open", "Waiting for an answer"
    KEPT = "kept", "Kept"
    ENDED = "ended", "Ended"
    LAPSED = "lapsed", "Ended because nobody answered"
    SETTLED = "settled", "No longer a question"


LIVE_GRANTS = (GrantState.PENDING, GrantState.ACTIVE)
ENDED_GRANTS = (GrantState.EXPIRED, GrantState.REVOKED, GrantState.HANDED_BACK)

BUSY_DOORS = (DoorState.OPENING, DoorState.OPEN, DoorState.FAILING, DoorState.CLOSING)

_DECIDED = (RequestState.APPROVED, RequestState.DENIED, RequestState.EXPIRED, RequestState.CANCELLED)

EDGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "request": {RequestState.PENDING: _DECIDED},
    "grant": {
        GrantState.PENDING: (GrantState.ACTIVE, *ENDED_GRANTS),
        GrantState.ACTIVE: ENDED_GRANTS,
    },
    "clean-up": {CleanUpState.PENDING: (CleanUpState.APPLIED, CleanUpState.DECLINED, CleanUpState.WITHDRAWN)},
    "standing review": {
        StandingState.OPEN: (StandingState.KEPT, StandingState.ENDED, StandingState.LAPSED, StandingState.SETTLED)
    },
    "door": {
        DoorState.CLOSED: (DoorState.OPENING,),
        DoorState.OPENING: (DoorState.OPEN, DoorState.PROVEN, DoorState.FAILING, DoorState.CLOSING),
        DoorState.OPEN: (DoorState.PROVEN, DoorState.FAILING, DoorState.CLOSING),
        DoorState.PROVEN: (DoorState.FAILING, DoorState.CLOSING),
        DoorState.FAILING: (DoorState.OPEN, DoorState.PROVEN, DoorState.CLOSING, DoorState.CLOSED),
        DoorState.CLOSING: (DoorState.CLOSED, DoorState.FAILING),
    },
}


class Stateful(Protocol):
    """A row with a state, and the name of the machine that governs it."""

    machine: ClassVar[str]
    state: str


class MoveRefused(Refusal):
    """The machine has no edge from here to there: somebody else was first, or the caller is wrong."""

    code = "move_refused"
    default_message = "It has moved on meanwhile; this change is not possible any more."


def can_move(row: Stateful, to: str) -> bool:
    return to in EDGES[row.machine].get(row.state, ())


def move(row: Stateful, to: str) -> None:
    """The only assignment of a state in this app. The caller holds the row's lock and saves."""
    if not can_move(row, to):
        raise MoveRefused(f"This {row.machine} is {row.state}; it cannot become {to} any more.")
    row.state = to
