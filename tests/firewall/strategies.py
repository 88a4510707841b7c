"""Small rule bases over a small world, in which every packet can be tried."""

from __future__ import annotations

from hypothesis import strategies as st

from apps.firewall.lines import Action, Direction, Line
from apps.firewall.rulebase.words import tidy_ports
from tests.firewall.brute import Probe, universe

SOURCES = ("any", "10.0.0.0/30", "10.0.0.0/31", "10.0.0.2/31", "10.0.0.1", "::/0", "2001:db8::1", "web")
DESTINATIONS = ("any", "10.9.0.0/31", "10.9.0.0", "::/0")
PORTS = ((), ((1, 1),), ((2, 3),), ((1, 3),), ((1, 1), (3, 3)))
WAYS = (Direction.IN, Direction.OUT)


def _world(sources: tuple[str, ...], destinations: tuple[str, ...]) -> list[Probe]:
    return [
        probe
        for protocol, ports in (("tcp", (1, 2, 3, 9)), ("udp", (1, 2, 3, 9)), ("icmp", (1,)))
        for probe in universe(sources, destinations, ports, (protocol,), ("from web",), WAYS)
    ]


WORLD = [
    *_world(("10.0.0.0", "10.0.0.1", "10.0.0.2", "192.0.2.1"), ("10.9.0.0", "10.9.0.1", "192.0.2.2")),
    *_world(("2001:db8::1", "2001:db8::2"), ("2001:db8::9",)),
]
"""Every packet the lines below can tell apart has one of these that meets the same fate."""


@st.composite
def a_line(draw: st.DrawFn, number: int) -> Line:
    ports = draw(st.sampled_from(PORTS))
    protocol = draw(st.sampled_from(("any", "tcp")))
    source, destination = draw(st.sampled_from(SOURCES)), draw(st.sampled_from(DESTINATIONS))
    return Line(
        number=number,
        text=f"line {number}",
        source=source,
        destination=destination,
        protocol=protocol,
        ports=tidy_ports(ports),
        direction=draw(st.sampled_from((Direction.BOTH, Direction.IN))),
        action=draw(st.sampled_from(Action)),
        reason="",
        until=None,
    )


@st.composite
def rule_bases(draw: st.DrawFn, most: int = 9) -> list[Line]:
    """Some rules hold two lines, as a rule with two sources does."""
    lines: list[Line] = []
    for number in range(1, draw(st.integers(1, most)) + 1):
        first = draw(a_line(number))
        lines.append(first)
        if draw(st.integers(0, 4)) == 0:
            second = draw(a_line(number))
            lines.append(Line(**{**_fields(second), "action": first.action}))
    return lines


def _fields(line: Line) -> dict[str, object]:
    return {name: getattr(line, name) for name in Line.__slots__}
