"""What Akamai's activations did, kept to tell how long the next will take and which failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import median, quantiles

from apps.rollout.drivers.base import Move
from apps.rollout.models import EdgeMove, Target

SAMPLE = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds an activation took: half of them at most ``half``, nine in ten at most ``most``. ``of``: how many."""

    half: float
    most: float
    of: int

    @property
    def words(self) -> str:
        if not self.of:
            return "about 5 minutes, by Akamai's own word: none was seen here yet"
        if self.of == 1:
            return f"{_span(self.half)}, the one time it was seen here"
        return f"usually {_span(self.half)}, nine in ten within {_span(self.most)} (the last {self.of} here)"


def note(target: Target, moves: Iterable[Move]) -> None:
    """Write down the moves as they are now; a failure that was forgiven stays so."""
    rows = [
        EdgeMove(
            target=target,
            number=move.id,
            network=move.network,
            version=move.version,
            status=move.status,
            asked_at=_moment(move.asked_at),
            changed_at=_moment(move.changed_at),
        )
        for move in {move.id: move for move in moves}.values()
    ]
    EdgeMove.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["target", "number"],
        update_fields=["status", "changed_at"],
    )


def latest(target: Target) -> list[EdgeMove]:
    """Newest first."""
    return list(EdgeMove.objects.filter(target=target).order_by("-number")[: 3 * SAMPLE])


def estimate(moves: Iterable[EdgeMove], network: str) -> Estimate:
    """From the newest of these that went well."""
    done = [move for move in moves if move.network == network and move.status == "COMPLETE"][:SAMPLE]
    took = [(one.changed_at - one.asked_at).total_seconds() for one in done if one.asked_at and one.changed_at]
    if not took:
        return Estimate(300.0, 300.0, 0)
    most = quantiles(took, n=10, method="inclusive")[-1] if len(took) > 1 else took[0]
    return Estimate(median(took), most, len(took))


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _span(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    if seconds < 100:
        return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"
    return f"{seconds / 60:.0f} minutes"
