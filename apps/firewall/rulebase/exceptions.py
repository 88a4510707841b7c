"""Lines that allow what earlier lines deny a part of: asked for one by one, they would ask for more than was open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apps.firewall.lines import Action, Line
from apps.firewall.rulebase.region import Box, boxes_of, meet

MOST_BOXES = 1_500
"""Each is held against each: more are not compared, which is said."""
TOO_MANY = "These lines name too many ranges to be compared with one another: look for denials that come first."
DENIED = "Line {0} came first and denied a part of what this allows: ask for less here, or have a guardrail forbid it."


def denied_before(lines: Sequence[Line]) -> Iterator[tuple[int, str]]:
    """The number of each line that allows, with what to read about it; each with the first denial that cuts it."""
    denials: list[tuple[int, list[Box]]] = []
    seen: set[int] = set()
    if not any(line.action is Action.DENY for line in lines):
        return
    if sum(len(line.ports) + 2 for line in lines) > MOST_BOXES:
        yield 0, TOO_MANY
        return
    for line in lines:
        boxes = list(boxes_of(line))
        if line.action is Action.DENY:
            denials.append((line.number, boxes))
            continue
        cutting = next((number for number, denied in denials if _cuts(denied, boxes)), None)
        if cutting is not None and line.number not in seen:
            seen.add(line.number)
            yield line.number, DENIED.format(cutting)


def _cuts(denied: Sequence[Box], allowed: Sequence[Box]) -> bool:
    """Whatever the names stand for: a denial that asks for more than the line says may be about something else."""
    return any(no.names <= box.names and meet(no, box) is not None for no in denied for box in allowed)
