"""A firewall that asks every line of every packet: slow, obvious, and written without the algebra it checks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

from apps.firewall.lines import Action, Direction, Line
from apps.firewall.rulebase.base import Semantics
from apps.firewall.rulebase.region import Packet, kind_of
from apps.firewall.rulebase.words import PROTOCOL_NAMES, WITH_PORTS


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet in plain words. ``facts`` hold for it: ``from web``, ``to db``, ``if -i eth0``; no others."""

    direction: Direction
    state: str
    protocol: str
    source: str
    destination: str
    port: int
    facts: frozenset[str]


def matches(line: Line, probe: Probe) -> bool:
    return (
        line.direction in (probe.direction, Direction.BOTH)
        and _is_protocol(line, probe)
        and _is_end("from", line.source, probe.source, probe)
        and _is_end("to", line.destination, probe.destination, probe)
        and (not line.ports or any(low <= probe.port <= high for low, high in line.ports))
        and all(_holds(condition, probe) for condition in line.conditions)
    )


def _is_protocol(line: Line, probe: Probe) -> bool:
    if line.protocol == "any":
        return not line.ports or probe.protocol in WITH_PORTS
    return line.protocol == probe.protocol


def _is_end(side: str, end: str, address: str, probe: Probe) -> bool:
    inside = _inside(address, end)
    return f"{side} {end}" in probe.facts if inside is None else inside


@cache
def _inside(address: str, end: str) -> bool | None:
    """None for a name."""
    if end == "any":
        return True
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(end)
    except ValueError:
        return None


def _holds(condition: str, probe: Probe) -> bool:
    if condition.startswith("state "):
        return probe.state in condition.removeprefix("state ").split(",")
    return f"if {condition}" in probe.facts


def decide(
    lines: Iterable[Line],
    probe: Probe,
    semantics: Semantics = Semantics.FIRST_MATCH,
    defaults: Iterable[tuple[Direction, Action]] = (),
) -> Action:
    if semantics is Semantics.ADDITIVE:
        allowed = any(line.action is Action.ALLOW and matches(line, probe) for line in lines)
        return Action.ALLOW if allowed else Action.DENY
    first = next((line for line in lines if matches(line, probe)), None)
    return first.action if first is not None else dict(defaults).get(probe.direction, Action.DENY)


def universe(
    sources: Sequence[str],
    destinations: Sequence[str],
    ports: Sequence[int],
    protocols: Sequence[str],
    facts: Sequence[str] = (),
    directions: Sequence[Direction] = (Direction.IN,),
    states: Sequence[str] = ("NEW",),
) -> list[Probe]:
    subsets = [frozenset(some) for count in range(len(facts) + 1) for some in combinations(facts, count)]
    return [
        Probe(direction, state, protocol, source, destination, port, some)
        for direction, state, protocol, source, destination, port, some in product(
            directions, states, protocols, sources, destinations, ports, subsets
        )
    ]


def as_probe(packet: Packet) -> Probe:
    family, way, state = kind_of(packet.kind)
    kind = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    protocol = PROTOCOL_NAMES.get(packet.protocol, str(packet.protocol))
    return Probe(
        way, state, protocol, str(kind(packet.source)), str(kind(packet.destination)), packet.port, packet.names
    )
