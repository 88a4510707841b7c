"""One thing that is not as it should be, before it is written down."""

from __future__ import annotations

from dataclasses import dataclass

MOST_DIFF = 20_000
UNSIGNED = "Only an approved grant opens a door: what somebody wrote by hand is never taken over."
STILL_GRANTED = "The access it stands for is still approved; end that here, and the item goes by itself."


@dataclass(frozen=True, slots=True)
class Difference:
    """``why_not``: why it cannot be adopted. ``opens``: calls may pass unchecked."""

    path: str
    expected: str
    observed: str
    detail: str
    why_not: str = ""
    opens: bool = False
    diff: str = ""
