"""One ``-A`` line of iptables: what it matches, what it counts, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network

from apps.compiler.addresses import Block, within, write
from apps.firewall.lines import ANY, COUNTING, PortRange
from apps.firewall.rulebase.reading import MAX_PER_RULE, Bad
from apps.firewall.rulebase.words import SERVICES, WITH_PORTS, read_blocks, read_protocol, read_range, short, tidy_ports

STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]+')
_COUNTERS = re.compile(r"\[([0-9]{1,18}):[0-9]{1,18}\] ")
# Modules that match nothing by themselves: their options do.
_SILENT_MODULES = frozenset(
    {"tcp", "udp", "sctp", "dccp", "multiport", "state", "conntrack", "comment", "icmp", "icmp6"}
)
_LONG = {
    "--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d", "--protocol": "-p", "--jump": "-j",
    "--goto": "-g", "--in-interface": "-i", "--out-interface": "-o", "--append": "-A", "--match": "-m",
    "--destination-port": "--dport", "--destination-ports": "--dports", "--ctstate": "--state", "--set-counters": "-c",
}  # fmt: skip


_MATCHING = frozenset(
    {"!", "-s", "-d", "-p", "-i", "-o", "-m", "--dport", "--dports", "--sport", "--sports", "--state"}
)
"""What no option of a target is called."""
_MARKED = re.compile("mark|set|tos|dscp|ttl|hl")
_COUNTING = frozenset({"limit", "hashlimit", "recent", "quota", "statistic", "connlimit", "connbytes", "nth", "random"})
"""Modules whose answer depends on what they were asked before."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a packet must be. None is any; ``others`` are conditions as written that nobody here computes."""

    sources: tuple[Block, ...] | None = None
    destinations: tuple[Block, ...] | None = None
    protocol: str | None = None
    ports: tuple[PortRange, ...] | None = None
    states: frozenset[str] | None = None
    others: frozenset[str] = frozenset()

    @property
    def conditions(self) -> tuple[str, ...]:
        state = (f"state {','.join(sorted(self.states))}",) if self.states is not None else ()
        return (*state, *sorted(self.others))

    def ends(self, blocks: tuple[Block, ...] | None) -> tuple[str, ...]:
        return (ANY,) if blocks is None else tuple(write(block) for block in blocks)

    def under(self, condition: str) -> Match:
        return replace(self, others=self.others | {condition})

    def since(self, number: int) -> Match:
        """As it is asked behind a line that marks: what it says of marks is another fact than before."""
        told = (f"{one}, behind line {number}" if _MARKED.search(one) else one for one in self.others)
        return replace(self, others=frozenset(told))

    def meet(self, other: Match) -> Match | None:
        """What both match; None when nothing can."""
        if None not in (self.protocol, other.protocol) and self.protocol != other.protocol:
            return None
        states = self.states if other.states is None else other.states
        if self.states is not None and other.states is not None:
            states = self.states & other.states
        sources, destinations = _meet(self.sources, other.sources), _meet(self.destinations, other.destinations)
        ports = _meet_ports(self.ports, other.ports)
        if () in (sources, destinations, ports) or states == frozenset():
            return None
        protocol = self.protocol or other.protocol
        return Match(sources, destinations, protocol, ports, states, self.others | other.others)


def _meet(one: tuple[Block, ...] | None, other: tuple[Block, ...] | None) -> tuple[Block, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    if len(one) * len(other) > MAX_PER_RULE * 10:
        raise Bad(f"A jump into a chain crosses more than {MAX_PER_RULE * 10} pairs of blocks.")
    found = (a if within(a, b) else b for a in one for b in other if within(a, b) or within(b, a))
    return tuple(dict.fromkeys(found))


def _meet_ports(one: tuple[PortRange, ...] | None, other: tuple[PortRange, ...] | None) -> tuple[PortRange, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    crossed = ((max(a[0], b[0]), min(a[1], b[1])) for a in one for b in other)
    return tuple(found for found in crossed if found[0] <= found[1])


@dataclass(slots=True)
class Rule:
    """A line as written. ``target`` is empty when it only counts; ``goes`` is a jump nobody returns from (``-g``)."""

    number: int
    text: str
    chain: str = ""
    match: Match = field(default_factory=Match)
    target: str = ""
    goes: bool = False
    hits: int | None = None
    comment: str = ""


def read_rule(number: int, line: str) -> Rule:
    """Raises Bad when the line is no ``-A`` line or an option has no sense."""
    rule = Rule(number, line)
    counted = _COUNTERS.match(line)
    if counted:
        rule.hits = int(counted[1])
    body = line[counted.end() :] if counted else line
    for option, values, negated in _options(body):
        if option in _TAKERS:
            if not values:
                raise Bad(f"{option} needs a value.")
            _TAKERS[option](rule, values, negated)
        else:
            _take_other(rule, option, values, negated)
    if not rule.chain:
        raise Bad(f"{short(line)} is not a line such as '-A INPUT -s 10.0.0.0/8 -j ACCEPT'.")
    if rule.match.ports is not None and rule.match.protocol not in WITH_PORTS:
        raise Bad("The line names ports, but no protocol that has them.")
    return rule


def _options(line: str) -> Iterator[tuple[str, list[str], bool]]:
    """Each option with its values and whether ``!`` stands before it (or, as of old, before its value)."""
    tokens = _tokens(line)
    at, ahead = 0, False
    while at < len(tokens):
        if tokens[at] == "!":
            ahead, at = True, at + 1
            continue
        option = _LONG.get(tokens[at], tokens[at])
        if not option.startswith("-"):
            raise Bad(f"{short(option)} stands where an option should.")
        end = at + 1
        while end < len(tokens) and not (tokens[end].startswith("-") and option != "--comment") and end < at + 20:
            if tokens[end] == "!" and end + 1 < len(tokens) and tokens[end + 1].startswith("-"):
                break
            end += 1
            if option == "--comment":
                break
        values = tokens[at + 1 : end]
        negated = ahead or values[:1] == ["!"]
        yield option, [value for value in values if value != "!"], negated
        if option in ("-j", "-g"):
            return
        at, ahead = end, False


def _tokens(line: str) -> list[str]:
    """Words, and quotes without their marks."""
    found = _TOKEN.findall(line)
    if '"' in _TOKEN.sub("", line):
        raise Bad("A quote is opened and not closed.")
    target = next((at for at, token in enumerate(found) if _LONG.get(token, token) in ("-j", "-g")), len(found))
    if any(_LONG.get(token, token) in _MATCHING for token in found[target:]):
        raise Bad("Something is matched behind the target: write the target last.")
    return [token[1:-1].replace('\\"', '"') if token[0] == '"' else token for token in found]


def _take_chain(rule: Rule, values: list[str], negated: bool) -> None:
    rule.chain = values[0]


def _take_target(rule: Rule, values: list[str], negated: bool) -> None:
    rule.target = values[0]


def _take_goto(rule: Rule, values: list[str], negated: bool) -> None:
    rule.target, rule.goes = values[0], True


def _take_comment(rule: Rule, values: list[str], negated: bool) -> None:
    rule.comment = values[0][:2000]


def _take_counters(rule: Rule, values: list[str], negated: bool) -> None:
    if not re.fullmatch(r"[0-9]{1,18}", values[0]):
        raise Bad(f"{short(values[0])} is no count of packets.")
    rule.hits = int(values[0])


def _take_source(rule: Rule, values: list[str], negated: bool) -> None:
    rule.match = replace(rule.match, sources=_blocks(values[0], negated))


def _take_destination(rule: Rule, values: list[str], negated: bool) -> None:
    rule.match = replace(rule.match, destinations=_blocks(values[0], negated))


def _take_protocol(rule: Rule, values: list[str], negated: bool) -> None:
    protocol = read_protocol(values[0])
    if negated:
        rule.match = rule.match.under(f"! -p {protocol}")
    elif protocol != ANY:
        rule.match = replace(rule.match, protocol=protocol)


def _take_ports(rule: Rule, values: list[str], negated: bool) -> None:
    ports = tidy_ports(read_range(part if part[-1:] != ":" else f"{part}65535") for part in _parts(values[0]))
    rule.match = replace(rule.match, ports=_all_but(ports) if negated else ports or ((0, 65535),))


def _parts(text: str) -> list[str]:
    named = (str(SERVICES[part][1][0]) if part in SERVICES else part for part in text.split(","))
    return [f"0{part}" if part.startswith(":") else part for part in named]


def _take_states(rule: Rule, values: list[str], negated: bool) -> None:
    named = frozenset(values[0].upper().split(","))
    if not named <= frozenset(STATES):
        rule.match = rule.match.under(_as_written("--ctstate", values, negated))
        return
    rule.match = replace(rule.match, states=frozenset(STATES) - named if negated else named)


def _take_module(rule: Rule, values: list[str], negated: bool) -> None:
    if values[0] in _COUNTING:
        rule.match = rule.match.under(f"-m {values[0]}{COUNTING}{rule.number}")
    elif values[0] not in _SILENT_MODULES:
        rule.match = rule.match.under(f"-m {values[0]}")


def _take_other(rule: Rule, option: str, values: list[str], negated: bool) -> None:
    rule.match = rule.match.under(_as_written(option, values, negated))


def _as_written(option: str, values: list[str], negated: bool) -> str:
    return " ".join([*(["!"] if negated else []), option, *values])[:300]


_TAKERS: Mapping[str, Callable[[Rule, list[str], bool], None]] = {
    "-A": _take_chain,
    "-j": _take_target,
    "-g": _take_goto,
    "-c": _take_counters,
    "-s": _take_source,
    "-d": _take_destination,
    "-p": _take_protocol,
    "-m": _take_module,
    "--dport": _take_ports,
    "--dports": _take_ports,
    "--state": _take_states,
    "--comment": _take_comment,
}


def _blocks(text: str, negated: bool) -> tuple[Block, ...] | None:
    parts = text.split(",")
    if len(parts) > MAX_PER_RULE or (negated and len(parts) > 1):
        raise Bad(f"{short(text)} is more than one line can hold.")
    blocks = tuple(block for part in parts for block in read_blocks(part))
    if negated:
        return outside(blocks[0])
    return None if any(block.prefixlen == 0 for block in blocks) else blocks


def outside(block: Block) -> tuple[Block, ...]:
    """The fewest blocks of the same family that hold every other address."""
    if isinstance(block, IPv4Network):
        return tuple(sorted(IPv4Network("0.0.0.0/0").address_exclude(block)))
    return tuple(sorted(IPv6Network("::/0").address_exclude(block)))


def _all_but(ports: tuple[PortRange, ...]) -> tuple[PortRange, ...]:
    found, at = [], 0
    for low, high in ports or ((0, 65535),):
        if at < low:
            found.append((at, low - 1))
        at = high + 1
    if at <= 65535:
        found.append((at, 65535))
    if not found:
        raise Bad("The line excludes every port.")
    return tuple(found)
