"""Whatever is pasted, reading ends, in time, without raising, and what it gives can be kept and compared."""

from __future__ import annotations

from functools import cache
from itertools import product
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.firewall.lines import Action, Direction, Line
from apps.firewall.rulebase.analysis import analyse
from apps.firewall.rulebase.findings import HARMLESS
from apps.firewall.rulebase.iptables_rule import read_rule
from apps.firewall.rulebase.parse import Format, parse, recognise, without
from apps.firewall.rulebase.reading import MAX_PROBLEMS, Bad
from tests.firewall import samples
from tests.firewall.brute import Probe, decide, universe

SAMPLES = (
    samples.TABLE, samples.TICKET, samples.IPTABLES, samples.GROUPS, samples.POLICIES, samples.ADDRESS_LISTS,
    samples.NETWORK_LIST,
)  # fmt: skip
PIECES = st.sampled_from(
    ["10.0.0.1", "10.0.0.0/8", "::1", "any", "web", "443", "1-65535", "tcp", "https", "allow", "from ", "to ", "until ",
     "because ", "-A INPUT ", "-j ACCEPT", "-j X", "! ", "-s ", "--dport ", ":INPUT DROP [0:0]", "*filter", "COMMIT",
     "\n", "\t", ",", ";", "|", '"', "{", "}", "[", "]", ":", " ", "&a ", "*a",
     "kind: NetworkPolicy", "spec:", "<<: ", "- ",
     '"IpPermissions":', '"GroupId":', '"list":', "null", "1e999", "\\u0000", "31 Dec", "9" * 30, "-", "/", "source",
     "destination", "\ud800", "\x00", "é", "31.02.2026"]
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Pieces in any order, or a good text with pieces in it."""
    pieces = draw(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=40))
    if draw(st.booleans()):
        return "".join(pieces)
    sample = draw(st.sampled_from(SAMPLES))
    at = draw(st.integers(0, len(sample)))
    return sample[:at] + "".join(pieces[:5]) + sample[at + draw(st.integers(0, 5)) :]


@given(texts(), st.sampled_from(Format))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_reading_comparing_or_writing(text: str, format_: Format) -> None:
    recognise(text)
    parsed = parse(text, format_)
    assert parsed.lines or parsed.problems
    for line in parsed.lines:
        assert "\x00" not in line.text + line.reason + line.source + line.destination
        line.text.encode()
        assert all(0 <= low <= high <= 65535 for low, high in line.ports)
    if not parsed.problems:
        analysis = analyse(parsed.lines, defaults=parsed.defaults)
        without(text, format_, {one.number for one in analysis.findings})


LONG = 200_000


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize(
    "text",
    [
        "a" * LONG,
        "10.0.0.1 " * (LONG // 9),
        "from " * (LONG // 5) + "to x",
        '"' * LONG,
        "[" * LONG,
        "{" * LONG,
        "- " * (LONG // 2),
        '{"a":' * (LONG // 5),
        "source,destination\n" + "," * LONG,
        'source,destination\n"' + "a\n" * (LONG // 2),
        "source,destination,port\n" + "1.1.1.1,a," + "80;" * 6000,
        "*filter\n" + "-A INPUT " + "! " * 1900 + "\n" + "-A INPUT -s " + "1.1.1.1," * 490,
        "kind: NetworkPolicy\na: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" * 3,
        "open " + "x " * (LONG // 2),
        "open tcp 1 from 1.1.1.1 to a\n" * (LONG // 30),
        "\n" * LONG,
        "-" * LONG,
        "1" * LONG,
        ":" * LONG,
    ],
    ids=range(19),
)
def test_long_hostile_texts_are_read_in_time(text: str, format_: Format) -> None:
    started = process_time()
    recognise(text)
    parsed = parse(text, format_)
    assert len(parsed.problems) <= MAX_PROBLEMS + 1
    assert process_time() - started < 3


def test_what_takes_too_much_to_decide_is_said_to_be_undecided() -> None:
    """A board of 64 by 64 fields holds all that the last line speaks of; showing it takes more than 2,000 steps."""
    fields = [
        _slab(64 * row + column + 1, f"{4 * row}.0.0.0/6", f"{4 * column}.0.0.0/6")
        for row, column in product(range(64), range(64))
    ]
    started = process_time()
    analysis = analyse([*fields, _slab(9999, "0.0.0.0/0", "0.0.0.0/0")])
    assert (analysis.rules, analysis.undecided) == (4097, (9999,))
    assert [one.number for one in analysis.findings if one.code in HARMLESS and one.number == 9999] == []
    assert process_time() - started < 20


def _slab(number: int, source: str, destination: str) -> Line:
    return Line(number, "", source, destination, "tcp", (), Direction.IN, Action(ACTIONS[number % 2]), "", None)


ACTIONS = ("deny", "allow")


TARGETS = st.sampled_from(["ACCEPT", "DROP", "RETURN", "A", "B", "LOG"])
MATCHES = st.sampled_from(
    ["", "-s 10.0.0.0/31", "-s 10.0.0.1", "! -s 10.0.0.0/31", "-d 10.9.0.1", "-p tcp --dport 1:2", "-p tcp ! --dport 2",
     "-m state --state NEW", "! -p tcp", "-i eth0"]
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[str, str, str, str]]:
    """Rules as (chain, match, jump or goto, target); B leads nowhere, so that nothing leads back to itself."""
    rules = []
    for chain, count in (("INPUT", 4), ("A", 3), ("B", 3)):
        for _ in range(draw(st.integers(0, count))):
            target = draw(TARGETS)
            target = {"A": {"A": "B"}, "B": {"A": "DROP", "B": "ACCEPT"}}.get(chain, {}).get(target, target)
            jump = "-g" if target in ("A", "B") and draw(st.booleans()) else "-j"
            rules.append((chain, draw(MATCHES), jump, target))
    return rules


PACKETS = universe(
    ("10.0.0.0", "10.0.0.1", "10.0.0.2"), ("10.9.0.1", "10.9.0.2"), (1, 2, 3), ("tcp", "udp"), ("if -i eth0",),
    states=("NEW", "ESTABLISHED"),
)  # fmt: skip


@given(tables(), st.sampled_from(["ACCEPT", "DROP"]))
@settings(max_examples=40, deadline=None)
def test_flat_chains_decide_as_walking_them_does(rules: list[tuple[str, str, str, str]], policy: str) -> None:
    text = f"*filter\n:INPUT {policy} [0:0]\n:A - [0:0]\n:B - [0:0]\n"
    text += "".join(f"-A {chain} {match} {jump} {target}\n" for chain, match, jump, target in rules)
    parsed = parse(text, Format.IPTABLES)
    if parsed.problems:
        assert [one.sentence for one in parsed.problems] == ["There is no line in it."]
        return
    for packet in PACKETS:
        told = _told(packet, rules)
        assert decide(parsed.lines, told, defaults=parsed.defaults) is _walk(packet, rules, "INPUT", policy), text


@cache
def _fits(packet: Probe, match: str) -> bool:
    of = read_rule(1, f"-A X {match} -j LOG").match
    conditions = tuple(one for one in of.conditions if one != "! -p tcp")
    found = [
        Line(1, "", source, destination, of.protocol or "any", of.ports or (), Direction.IN, Action.ALLOW, "", None,
             None, conditions)
        for source, destination in product(of.ends(of.sources), of.ends(of.destinations))
    ]  # fmt: skip
    return decide(found, packet) is Action.ALLOW and not (match == "! -p tcp" and packet.protocol == "tcp")


def _told(packet: Probe, rules: list[tuple[str, str, str, str]]) -> Probe:
    """With the facts that conditions ask for."""
    facts = {f"if {'! -p tcp'}"} if packet.protocol != "tcp" else set()
    for number, (chain, match, _jump, _target) in enumerate(rules, 5):
        if not _fits(packet, match):
            facts.add(f"if line {number} does not lead out of {chain}")
    return Probe(packet.direction, packet.state, packet.protocol, packet.source, packet.destination, packet.port,
                 packet.facts | facts)  # fmt: skip


def _walk(packet: Probe, rules: list[tuple[str, str, str, str]], chain: str, policy: str) -> Action:
    found = _through(packet, rules, chain)
    return found if found is not None else Action.ALLOW if policy == "ACCEPT" else Action.DENY


def _through(packet: Probe, rules: list[tuple[str, str, str, str]], chain: str) -> Action | None:
    """As netfilter walks: None when the chain has no answer and whoever jumped here goes on."""
    for _, match, jump, target in [rule for rule in rules if rule[0] == chain]:
        if target == "LOG" or not _fits(packet, match):
            continue
        if target in ("ACCEPT", "DROP"):
            return Action.ALLOW if target == "ACCEPT" else Action.DENY
        if target == "RETURN":
            return None
        found = _through(packet, rules, target)
        if found is not None or jump == "-g":
            return found
    return None


def test_a_line_of_iptables_that_is_none_says_so() -> None:
    with pytest.raises(Bad):
        read_rule(1, "-s 10.0.0.1 -j ACCEPT")
