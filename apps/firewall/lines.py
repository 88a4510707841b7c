"""One line of a firewall, whoever wrote it and however: what every format is read into and every page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

ANY = "any"

PortRange: TypeAlias = tuple[int, int]


class Action(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class Direction(StrEnum):
    """Seen from what is guarded. ``THROUGH`` is what a router passes on; ``BOTH`` is in, out and through."""

    IN = "in"
    OUT = "out"
    THROUGH = "through"
    BOTH = "both"


DIRECTION_NAMES: Mapping[str, Direction] = {
    "inbound": Direction.IN, "incoming": Direction.IN, "ingress": Direction.IN, "eingehend": Direction.IN,
    "outbound": Direction.OUT, "outgoing": Direction.OUT, "egress": Direction.OUT, "ausgehend": Direction.OUT,
}  # fmt: skip
"""Words that mean a direction wherever they stand, also in a sentence."""

DIRECTION_CELLS: Mapping[str, Direction] = {
    **DIRECTION_NAMES,
    "in": Direction.IN, "input": Direction.IN, "out": Direction.OUT, "output": Direction.OUT,
    "through": Direction.THROUGH, "forward": Direction.THROUGH,
    "both": Direction.BOTH, "any": Direction.BOTH, "beide": Direction.BOTH, "bidirectional": Direction.BOTH,
    "bi-directional": Direction.BOTH, "both ways": Direction.BOTH, "in/out": Direction.BOTH,
    "inbound/outbound": Direction.BOTH,
    "": Direction.BOTH,
}  # fmt: skip
"""What a cell or a field may hold that is about the direction and nothing else."""

DIRECTION_WORDS: Mapping[str, str] = {
    Direction.IN: "Inbound", Direction.OUT: "Outbound", Direction.THROUGH: "Passing through",
}  # fmt: skip
"""As a person reads it; nothing where either way is meant."""


COUNTING = ", as it counts for line "
"""In a condition whose answer depends on what was asked before: asking it has an effect of its own."""


@dataclass(frozen=True, slots=True)
class Line:
    """One source may, or may not, reach one destination.

    ``number`` is where it was written, from 1: the line of the text, or in JSON and YAML the count of the rule in
    reading order. A rule that names several sources or destinations becomes several of these, of one number and text.
    ``source`` and ``destination`` are ``any``, a block in its normal form (``10.1.0.0/16``, ``2001:db8::1``), or a name
    as written. ``protocol`` is ``any``, a name such as ``tcp``, or a number as text. ``ports`` are inclusive ranges in
    order, none touching another; empty is every port. ``until`` is the last day it is meant for. ``hits`` are the
    packets counted, where somebody counted. ``conditions`` is what else must hold, as written: nobody here computes it,
    so it may hold or not.
    """

    number: int
    text: str
    source: str
    destination: str
    protocol: str
    ports: tuple[PortRange, ...]
    direction: Direction
    action: Action
    reason: str
    until: date | None
    hits: int | None = None
    conditions: tuple[str, ...] = ()


def ports_words(ports: tuple[PortRange, ...]) -> str:
    """``443``, ``80, 8000-8099``; ``any`` when every port is meant."""
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ports) or ANY
