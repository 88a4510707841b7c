"""Taking lines out of a rule base, and proving what that changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from apps.firewall.lines import Action, Direction, Line
from apps.firewall.rulebase.base import Base, Rule, Semantics, Undecided, numbered
from apps.firewall.rulebase.findings import Finding
from apps.firewall.rulebase.region import Packet, kind_of
from apps.firewall.rulebase.words import PROTOCOL_NAMES, WITH_PORTS

MOST_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """A packet the rule base decides otherwise once ``number`` is gone."""

    number: int
    packet: Packet
    before: Action
    after: Action

    @property
    def sentence(self) -> str:
        was, becomes = (f"{_PAST[action]}" for action in (self.before, self.after))
        return f"{packet_words(self.packet)} was {was} by line {self.number} and would be {becomes}."


@dataclass(frozen=True, slots=True)
class Cleaned:
    """``lines`` are those that stay. ``undecided`` are lines about which equality could not be proven in bounds.

    Equivalent means: every packet, whatever the names stand for, is decided as before.
    """

    lines: tuple[Line, ...]
    dropped: tuple[int, ...]
    differences: tuple[Difference, ...]
    undecided: tuple[int, ...]

    @property
    def is_equivalent(self) -> bool:
        return not self.differences and not self.undecided


_PAST = {Action.ALLOW: "allowed", Action.DENY: "denied"}


def clean(
    lines: Sequence[Line],
    chosen: Collection[Finding],
    *,
    semantics: Semantics = Semantics.FIRST_MATCH,
    defaults: Iterable[tuple[Direction, Action]] = (),
) -> Cleaned:
    """The lines without those the chosen findings are about, and every way in which that is not the same.

    The proof: since lines only go, a packet whose line stays is decided as before. So it is enough to follow, for each
    line that goes, exactly the packets that reached it, through what stays behind it.
    """
    dropped = frozenset(finding.number for finding in chosen)
    base = Base(lines, semantics, defaults)
    kept = base.everything & ~numbered(base.rules, dropped)
    differences: list[Difference] = []
    undecided: set[int] = set()
    for rule in base.rules:
        if rule.number in dropped and len(differences) < MOST_DIFFERENCES:
            _compare(base, rule, kept, differences, undecided)
    left = tuple(line for line in lines if line.number not in dropped)
    there = tuple(sorted(dropped & {line.number for line in lines}))
    return Cleaned(left, there, tuple(differences), tuple(sorted(undecided)))


def _compare(base: Base, rule: Rule, kept: int, differences: list[Difference], undecided: set[int]) -> None:
    try:
        packet = base.change(rule, kept)
    except Undecided:
        undecided.add(rule.number)
        return
    if packet is not None:
        differences.append(Difference(rule.number, packet, rule.action, base.decide(packet, kept)))


def packet_words(packet: Packet) -> str:
    """``tcp 443 from 10.0.0.1 to 10.2.0.3, coming in``, and what holds for it."""
    family, way, state = kind_of(packet.kind)
    address = IPv4Address if family == 4 else IPv6Address
    protocol = PROTOCOL_NAMES.get(packet.protocol, f"protocol {packet.protocol}")
    port = f" {packet.port}" if protocol in WITH_PORTS else ""
    coming = {Direction.IN: "coming in", Direction.OUT: "going out", Direction.THROUGH: "passing through"}[way]
    ends = {"from": str(address(packet.source)), "to": str(address(packet.destination))}
    others = []
    for fact in sorted(packet.names):
        kind, _, name = fact.partition(" ")
        if kind in ends:
            ends[kind] += f" (as {name})"
        else:
            others.append(f", if {name}")
    connection = "" if state == "NEW" else f" of a connection that is {state.lower()}"
    return f"{protocol}{port} from {ends['from']} to {ends['to']}, {coming}{connection}{''.join(others)}"
