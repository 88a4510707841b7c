"""What an analysis says is true of every packet, and what is to be found is found."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.firewall.lines import Action, Direction, Line
from apps.firewall.rulebase.analysis import analyse
from apps.firewall.rulebase.base import Base, Semantics
from apps.firewall.rulebase.clean import clean
from apps.firewall.rulebase.findings import HARMLESS, Code, Finding
from apps.firewall.rulebase.region import boxes_of
from tests.firewall.brute import Probe, as_probe, decide, matches
from tests.firewall.strategies import WORLD, rule_bases

DEFAULTS = st.sampled_from([(), ((Direction.IN, Action.ALLOW),)])


def line(
    number: int, source: str = "any", destination: str = "any", ports: str = "", action: str = "allow", **facts: object
) -> Line:
    ranges = tuple((int(low), int(high or low)) for low, _, high in (part.partition("-") for part in ports.split()))
    return Line(
        **{
            "number": number,
            "text": f"line {number}",
            "source": source,
            "destination": destination,
            "protocol": "tcp" if ports else "any",
            "ports": ranges,
            "direction": Direction.BOTH,
            "action": Action(action),
            "reason": "",
            "until": None,
            **facts,
        }  # type: ignore[arg-type]
    )


def found(lines: list[Line], code: Code, **how: object) -> list[tuple[int, tuple[int, ...], str]]:
    analysis = analyse(lines, **how)  # type: ignore[arg-type]
    return [(one.number, one.involved, one.sentence) for one in analysis.findings if one.code is code]


def numbers(lines: list[Line], semantics: Semantics, **how: object) -> set[int]:
    analysis = analyse(lines, semantics=semantics, **how)  # type: ignore[arg-type]
    return {one.number for one in analysis.findings if one.code in HARMLESS}


@given(rule_bases(), st.sampled_from(Semantics), DEFAULTS)
@settings(max_examples=40, deadline=None)
def test_without_all_superfluous_lines_every_packet_meets_the_same_fate(
    lines: list[Line], semantics: Semantics, defaults: tuple[tuple[Direction, Action], ...]
) -> None:
    gone = numbers(lines, semantics, defaults=defaults)
    left = [one for one in lines if one.number not in gone]
    for probe in WORLD:
        assert decide(lines, probe, semantics, defaults) is decide(left, probe, semantics, defaults), probe


@given(rule_bases())
@settings(max_examples=40, deadline=None)
def test_every_line_that_decides_no_packet_is_found(lines: list[Line]) -> None:
    decisive = {first.number for probe in WORLD if (first := _first(lines, probe)) is not None}
    assert {one.number for one in lines} - decisive <= numbers(lines, Semantics.FIRST_MATCH)


def _first(lines: list[Line], probe: Probe) -> Line | None:
    return next((one for one in lines if matches(one, probe)), None)


@given(rule_bases())
@settings(max_examples=25, deadline=None)
def test_what_is_left_of_lines_that_add_up_is_all_needed(lines: list[Line]) -> None:
    gone = numbers(lines, Semantics.ADDITIVE)
    left = [one for one in lines if one.number not in gone]
    for number in {one.number for one in left}:
        rest = [one for one in left if one.number != number]
        assert any(
            decide(left, probe, Semantics.ADDITIVE) is not decide(rest, probe, Semantics.ADDITIVE) for probe in WORLD
        )


@given(rule_bases(), st.sets(st.integers(1, 9)), st.sampled_from(Semantics), DEFAULTS)
@settings(max_examples=50, deadline=None)
def test_a_clean_up_is_called_the_same_exactly_when_it_is(
    lines: list[Line], dropped: set[int], semantics: Semantics, defaults: tuple[tuple[Direction, Action], ...]
) -> None:
    chosen = [Finding(Code.EXPIRED, number, (), "") for number in dropped]
    cleaned = clean(lines, chosen, semantics=semantics, defaults=defaults)
    differing = [
        probe
        for probe in WORLD
        if decide(lines, probe, semantics, defaults) is not decide(cleaned.lines, probe, semantics, defaults)
    ]
    assert cleaned.is_equivalent == (not differing)
    for one in cleaned.differences:
        probe = as_probe(one.packet)
        assert decide(lines, probe, semantics, defaults) is one.before, one.sentence
        assert decide(cleaned.lines, probe, semantics, defaults) is one.after, one.sentence


@given(rule_bases())
@settings(max_examples=25, deadline=None)
def test_lines_said_to_quarrel_do(lines: list[Line]) -> None:
    by_number = {one.number: [other for other in lines if other.number == one.number] for one in lines}
    for number, involved, _ in found(lines, Code.CONTRADICTORY):
        assert involved
        for other in involved:
            assert by_number[number][0].action is not by_number[other][0].action
            assert any(
                any(matches(one, probe) for one in by_number[number])
                and any(matches(one, probe) for one in by_number[other])
                for probe in WORLD
            )


@given(rule_bases(), st.data())
@settings(max_examples=25, deadline=None)
def test_the_index_finds_what_looking_at_each_box_finds(lines: list[Line], data: st.DataObject) -> None:
    base = Base(lines)
    if not base.boxes:
        return
    box = data.draw(st.sampled_from(base.boxes))
    meeting, holding, inside = base.index.meeting(box), base.index.holding(box), base.index.inside(box)
    for at, other in enumerate(base.boxes):
        spans = [(box[n], box[n + 1], other[n], other[n + 1]) for n in (2, 4, 6)]
        masks = [(box[n], other[n]) for n in (0, 1)]
        assert bool(meeting >> at & 1) == (
            all(one & two for one, two in masks)
            and all(low <= last and first <= high for low, high, first, last in spans)
        )
        assert bool(holding >> at & 1) == (
            all(one & two == one for one, two in masks)
            and all(first <= low and high <= last for low, high, first, last in spans)
        )
        assert bool(inside >> at & 1) == (
            all(one & two == two for one, two in masks)
            and all(low <= first and last <= high for low, high, first, last in spans)
        )


def test_a_line_is_a_box_for_each_family_and_range_of_ports() -> None:
    boxes = list(boxes_of(line(1, "web", "10.0.0.0/31", "1 3")))
    assert [(box.names, box.port_low, box.port_high) for box in boxes] == [
        (frozenset({"from web"}), 1, 1),
        (frozenset({"from web"}), 3, 3),
    ]
    assert len(list(boxes_of(line(1)))) == 2
    assert list(boxes_of(line(1, "10.0.0.1", "2001:db8::1"))) == []


def test_the_same_line_again_is_a_duplicate_of_the_first() -> None:
    lines = [line(1, "10.0.0.1", ports="443"), line(2, "10.0.0.2", ports="443"), line(3, "10.0.0.1", ports="443")]
    said = [(3, (1,), "Line 1 says exactly the same.")]
    assert found(lines, Code.DUPLICATE) == said
    assert found(lines, Code.DUPLICATE, semantics=Semantics.ADDITIVE) == said


def test_lines_that_together_deny_all_of_it_first_shadow_a_line() -> None:
    lines = [
        line(1, "10.0.0.0/9", action="deny"),
        line(2, "10.128.0.0/9", action="deny"),
        line(3, "10.1.0.0/16", "10.2.0.1", "443"),
        line(4, "10.0.0.0/8", "10.2.0.2", "443"),
    ]
    assert found(lines, Code.SHADOWED) == [
        (3, (1,), "It never allows anything: line 1 denies all of it earlier."),
        (4, (1, 2), "It never allows anything: lines 1 and 2 deny all of it earlier."),
    ]


def test_a_line_within_a_later_one_is_redundant_unless_a_denial_stands_between() -> None:
    lines = [line(1, "10.1.0.0/16", ports="443"), line(2, "10.0.0.0/8", ports="1-1000")]
    assert found(lines, Code.REDUNDANT) == [(1, (2,), "Line 2 would allow the same without it.")]
    between = [lines[0], line(5, "10.1.1.0/24", action="deny"), lines[1]]
    assert found(between, Code.REDUNDANT) == []


def test_lines_of_two_names_cover_nothing_of_each_other() -> None:
    """Who knows what either stands for."""
    lines = [line(1, "web", ports="443"), line(2, "shop", ports="443"), line(3, "web", "db", "443")]
    assert found(lines, Code.REDUNDANT) == [(3, (1,), "Line 1 already allows all of it.")]


def test_a_name_may_be_anything_a_later_denial_is_about() -> None:
    """Were payments in 10.0.0.0/8, the second line would deny what the first allows."""
    lines = [line(1, "payments", ports="443"), line(2, "10.0.0.0/8", action="deny"), line(3)]
    assert found(lines, Code.REDUNDANT) == []
    cleaned = clean(lines, [Finding(Code.REDUNDANT, 1, (), "")])
    assert [one.sentence for one in cleaned.differences] == [
        "tcp 443 from 10.0.0.0 (as payments) to 0.0.0.0, coming in was allowed by line 1 and would be denied."
    ]


def test_an_exception_before_its_rule_is_no_quarrel_but_crossing_lines_are() -> None:
    lines = [line(1, "10.1.0.0/16", action="deny"), line(2, "10.0.0.0/8"), line(3, "any", "10.9.0.1", action="deny")]
    assert found(lines, Code.CONTRADICTORY) == [
        (3, (2,), "Line 2 allows a part of what this would deny, and comes first.")
    ]


def test_the_opposite_of_the_same_is_both_shadowed_and_contradictory() -> None:
    lines = [line(1, "10.1.0.0/16", action="deny"), line(2, "10.1.0.0/16")]
    said = "Line 1 says the opposite of exactly the same traffic, and comes first."
    assert found(lines, Code.CONTRADICTORY) == [(2, (1,), said)]
    assert [number for number, _, _ in found(lines, Code.SHADOWED)] == [2]


def test_a_denial_of_what_nothing_allows_is_redundant() -> None:
    lines = [line(1, "10.1.0.0/16", ports="443"), line(2, action="deny")]
    assert found(lines, Code.REDUNDANT) == [(2, (), "It denies what would be denied anyway.")]
    assert found(lines, Code.REDUNDANT, defaults=((Direction.IN, Action.ALLOW),)) == []


@pytest.mark.parametrize(
    ("wide", "said"),
    [
        (line(1), "It is open from anywhere and to anywhere and for every port."),
        (line(1, "10.0.0.0/8", "any", "443"), "It is open from all of 10.0.0.0/8 and to anywhere."),
        (line(1, "any", "10.0.0.1", "1-65535"), "It is open from anywhere and for 65,535 ports."),
    ],
)
def test_two_wide_sides_of_three_are_too_wide(wide: Line, said: str) -> None:
    assert found([wide], Code.TOO_WIDE) == [(1, (), said)]


@pytest.mark.parametrize(
    "narrow",
    [
        line(1, "any", "10.0.0.1", "443"),
        line(1, "10.0.0.0/16", "10.1.0.0/16"),
        line(1, action="deny"),
        line(1, conditions=("state ESTABLISHED,RELATED",)),
        line(1, conditions=("-i lo",)),
    ],
)
def test_one_wide_side_a_denial_replies_and_loopback_are_not(narrow: Line) -> None:
    assert found([narrow], Code.TOO_WIDE) == []


def test_a_line_never_hit_is_found_where_others_were() -> None:
    lines = [line(1, "10.0.0.1", hits=12), line(2, "10.0.0.2", hits=0), line(3, "10.0.0.3")]
    assert [number for number, _, _ in found(lines, Code.NEVER_HIT)] == [2]
    assert found([line(2, "10.0.0.2", hits=0)], Code.NEVER_HIT) == []


def test_a_line_ends_after_its_last_day() -> None:
    lines = [line(1, "10.0.0.1", until=date(2026, 11, 25)), line(2, "10.0.0.2", until=date(2026, 11, 26))]
    assert found(lines, Code.EXPIRED, today=date(2026, 11, 26)) == [(1, (), "Its last day was 2026-11-25.")]
    assert found(lines, Code.EXPIRED) == []


def test_a_name_nobody_knows_is_orphaned() -> None:
    lines = [line(1, "Web", "10.0.0.1", "443"), line(2, "ghost", "web", "443")]
    assert found(lines, Code.ORPHANED, known={"web"}) == [(2, (), "Nobody here knows ghost.")]
    assert found(lines, Code.ORPHANED) == []
