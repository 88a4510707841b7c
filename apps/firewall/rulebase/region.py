"""The packets a line speaks of, as boxes that can be met, measured and taken apart exactly.

A packet here is: a family of addresses (4 or 6), a way (in, out, through), a state of its connection, a protocol, a
source, a destination, a port, and which names and conditions hold for it. Names and conditions are facts nobody here
computes: a line that names ``payments`` speaks of the packets whose destination is one of them, whatever they are. They
only ever narrow a line, never widen it, which is what makes the following true: a box is covered by others exactly when
its *plain* packets are, those for which no other name holds than the box itself asks for. So only boxes whose names
are among its own can cover it, and nothing need ever be said about packets for which a name does not hold.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from apps.firewall.lines import ANY, Direction, Line
from apps.firewall.rulebase.words import PROTOCOLS, WITH_PORTS

STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
WAYS = (Direction.IN, Direction.OUT, Direction.THROUGH)
FAMILIES = (4, 6)
LAST = {4: 2**32 - 1, 6: 2**128 - 1}
EVERY_PROTOCOL = 2**256 - 1
PORTED = sum(1 << PROTOCOLS[name] for name in WITH_PORTS)
_STATE_SIGN = "state "


class Packet(NamedTuple):
    """One packet. ``kind`` is a single bit of `kind_mask`; ``names`` are the facts that hold for it, no others."""

    kind: int
    protocol: int
    source: int
    destination: int
    port: int
    names: frozenset[str]


class Box(NamedTuple):
    """Every packet of one of ``kinds`` and ``protocols``, within three inclusive intervals, for which ``names`` hold.

    ``kinds`` and ``protocols`` are sets of bits. All kinds of one box are of one family of addresses.
    """

    kinds: int
    protocols: int
    source_low: int
    source_high: int
    destination_low: int
    destination_high: int
    port_low: int
    port_high: int
    names: frozenset[str]


def kind_mask(family: int, ways: tuple[Direction, ...], states: tuple[str, ...]) -> int:
    """A bit for each family, way and state."""
    found = 0
    for way in ways:
        for state in states:
            found |= 1 << ((FAMILIES.index(family) * len(WAYS) + WAYS.index(way)) * len(STATES) + STATES.index(state))
    return found


def kind_of(bit: int) -> tuple[int, Direction, str]:
    """Family, way and state of a single bit."""
    at, state = divmod(bit.bit_length() - 1, len(STATES))
    family, way = divmod(at, len(WAYS))
    return FAMILIES[family], WAYS[way], STATES[state]


@lru_cache(maxsize=4096)
def _kinds(family: int, direction: Direction, states: tuple[str, ...]) -> int:
    return kind_mask(family, WAYS if direction is Direction.BOTH else (direction,), states)


WAY_MASKS = {way: _kinds(4, way, STATES) | _kinds(6, way, STATES) for way in WAYS}


def boxes_of(line: Line) -> Iterator[Box]:
    """The line's packets: a box for each family and range of ports. None when its ends are of different families."""
    states, names = _facts(line)
    protocols = protocols_of(line)
    for family in FAMILIES:
        source, destination = interval(line.source, family), interval(line.destination, family)
        if source and destination:
            kinds = _kinds(family, line.direction, states)
            for low, high in line.ports or ((0, 65535),):
                yield Box(kinds, protocols, *source, *destination, low, high, names)


def _facts(line: Line) -> tuple[tuple[str, ...], frozenset[str]]:
    names: list[str] = []
    states: tuple[str, ...] = STATES
    for prefix, end in (("from ", line.source), ("to ", line.destination)):
        if is_name(end):
            names.append(prefix + end)
    for condition in line.conditions:
        if condition.startswith(_STATE_SIGN):
            said = condition.removeprefix(_STATE_SIGN).split(",")
            states = tuple(state for state in states if state in said)
        else:
            names.append(f"if {condition}")
    return states, frozenset(names)


def protocols_of(line: Line) -> int:
    if line.protocol == ANY:
        return PORTED if line.ports else EVERY_PROTOCOL
    return 1 << (PROTOCOLS[line.protocol] if line.protocol in PROTOCOLS else int(line.protocol))


@lru_cache(maxsize=65536)
def interval(end: str, family: int) -> tuple[int, int] | None:
    """The addresses of an end in one family; a name may be any."""
    block = block_of(end)
    if block is None:
        return 0, LAST[family]
    if block.version != family:
        return None
    return int(block.network_address), int(block.broadcast_address)


def is_name(end: str) -> bool:
    return end != ANY and block_of(end) is None


@lru_cache(maxsize=65536)
def block_of(end: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The block an end is; None for a name and for ``any``."""
    if not (end[:1].isdigit() or ":" in end):
        return None
    try:
        return ipaddress.ip_network(end)
    except ValueError:
        return None


def meet(one: Box, other: Box) -> Box | None:
    """What both hold, which only exists where the facts of both are true."""
    found = Box(
        one.kinds & other.kinds,
        one.protocols & other.protocols,
        max(one.source_low, other.source_low),
        min(one.source_high, other.source_high),
        max(one.destination_low, other.destination_low),
        min(one.destination_high, other.destination_high),
        max(one.port_low, other.port_low),
        min(one.port_high, other.port_high),
        one.names | other.names,
    )
    return found if _is_real(found) else None


def _is_real(box: Box) -> bool:
    return bool(
        box.kinds
        and box.protocols
        and box.source_low <= box.source_high
        and box.destination_low <= box.destination_high
        and box.port_low <= box.port_high
    )


def size(box: Box) -> int:
    """How many plain packets it holds."""
    return (
        box.kinds.bit_count()
        * box.protocols.bit_count()
        * (box.source_high - box.source_low + 1)
        * (box.destination_high - box.destination_low + 1)
        * (box.port_high - box.port_low + 1)
    )


def minus(box: Box, hole: Box) -> Iterator[Box]:
    """The plain packets of ``box`` outside ``hole``, in boxes apart. The two meet; the hole asks for no other name."""
    if kinds := box.kinds & ~hole.kinds:
        yield box._replace(kinds=kinds)
        box = box._replace(kinds=box.kinds & hole.kinds)
    if protocols := box.protocols & ~hole.protocols:
        yield box._replace(protocols=protocols)
        box = box._replace(protocols=box.protocols & hole.protocols)
    for low, high in (
        ("source_low", "source_high"),
        ("destination_low", "destination_high"),
        ("port_low", "port_high"),
    ):
        first, last = getattr(box, low), getattr(box, high)
        start, end = getattr(hole, low), getattr(hole, high)
        if first < start:
            yield box._replace(**{high: start - 1})
            box = box._replace(**{low: start})
        if last > end:
            yield box._replace(**{low: end + 1})
            box = box._replace(**{high: end})


def first_packet(box: Box) -> Packet:
    """One of its plain packets."""
    return Packet(
        box.kinds & -box.kinds,
        (box.protocols & -box.protocols).bit_length() - 1,
        box.source_low,
        box.destination_low,
        box.port_low,
        box.names,
    )


def spans_of(box: Box) -> tuple[tuple[int, int], ...]:
    """Its three intervals: sources, destinations, ports."""
    return (
        (box.source_low, box.source_high),
        (box.destination_low, box.destination_high),
        (box.port_low, box.port_high),
    )


def as_box(packet: Packet) -> Box:
    """The packet as the smallest box."""
    source, destination, port = packet.source, packet.destination, packet.port
    return Box(packet.kind, 1 << packet.protocol, source, source, destination, destination, port, port, packet.names)


def holds(box: Box, packet: Packet) -> bool:
    return (
        bool(box.kinds & packet.kind)
        and bool(box.protocols >> packet.protocol & 1)
        and box.source_low <= packet.source <= box.source_high
        and box.destination_low <= packet.destination <= box.destination_high
        and box.port_low <= packet.port <= box.port_high
        and box.names <= packet.names
    )
