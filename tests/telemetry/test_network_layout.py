"""The picture's geometry, for any network: nothing overlaps, every line ends at its nodes, calls run to the right."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.network.layout import (
    BACK,
    DENIED,
    NODE_HEIGHT,
    NODE_WIDTH,
    WIDEST_GAP,
    Layout,
    Line,
    Spot,
    apart,
    circling,
    crossings,
    lay_out,
)

CALLERS = [f"caller{number}" for number in range(4)]
SERVICES = [f"s{number}" for number in range(9)]
LANES = ["open", "open", "denied"]


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[str], list[str], list[Line]]:
    """Drawn as plain numbers, which is quick."""
    outside, inside = CALLERS[: draw(st.integers(0, 4))], SERVICES[: draw(st.integers(1, 9))]
    sources = [*outside, *inside]
    drawn = draw(st.lists(st.integers(0, 9999), max_size=24))
    ends = ((sources[n % len(sources)], inside[n // 20 % len(inside)], LANES[n % 3]) for n in drawn)
    return outside, inside, [line for line in ends if line[0] != line[1]]


def pairs(lines: list[Line]) -> list[tuple[str, str]]:
    return sorted({(source, target) for source, target, _ in lines})


def opens(*ends: tuple[str, str]) -> list[Line]:
    return [(source, target, "open") for source, target in ends]


def overlap(one: Spot, other: Spot) -> bool:
    return abs(one.x - other.x) < NODE_WIDTH and abs(one.y - other.y) < NODE_HEIGHT


@given(networks())
def test_no_two_nodes_overlap_and_all_are_within_the_picture(network: tuple[list[str], list[str], list[Line]]) -> None:
    outside, inside, lines = network
    found = lay_out(outside, inside, lines)
    assert found.spots.keys() == {*outside, *inside}
    for one, other in combinations(found.spots.values(), 2):
        assert not overlap(one, other)
    for spot in found.spots.values():
        assert 0 <= spot.x <= found.width - NODE_WIDTH
        assert 0 <= spot.y <= found.height - NODE_HEIGHT


@given(networks())
def test_every_line_ends_at_its_nodes_and_runs_through_none(network: tuple[list[str], list[str], list[Line]]) -> None:
    found = lay_out(*network)
    assert found.ways.keys() == set(network[2])
    for (source, target, lane), way in found.ways.items():
        start, end = found.spots[source], found.spots[target]
        lower = DENIED if lane == "denied" else 0
        if way.is_back:
            assert way.points[0] == (start.x, start.middle + BACK + lower)
            assert way.points[-1] == (end.x + NODE_WIDTH, end.middle + BACK + lower)
        else:
            assert way.points[0] == (start.x + NODE_WIDTH, start.middle + lower)
            assert way.points[-1] == (end.x, end.middle + lower)
        for (x, y), _ in pairwise(way.points[1:-1]):
            assert not any(spot.x == x and abs(spot.middle - y) < NODE_HEIGHT / 2 for spot in found.spots.values())


@given(networks())
def test_calls_run_to_the_right_where_nobody_calls_in_a_circle(
    network: tuple[list[str], list[str], list[Line]],
) -> None:
    outside, inside, lines = network
    found = lay_out(outside, inside, lines)
    turned = circling(inside, pairs(lines))
    assert {line[:2] for line, way in found.ways.items() if way.is_back} == turned
    for source, target in set(pairs(lines)) - turned:
        assert found.spots[source].column < found.spots[target].column
    assert {found.spots[one].column for one in outside} <= {0}
    assert all(found.spots[one].column > 0 for one in inside if outside)


@given(networks())
def test_the_lines_that_are_left_make_no_circle(network: tuple[list[str], list[str], list[Line]]) -> None:
    _, inside, lines = network
    left = set(pairs(lines)) - circling(inside, pairs(lines))
    while left:
        called = {target for _, target in left}
        started = {line for line in left if line[0] not in called}
        assert started, f"{left} go round"
        left -= started


@given(networks(), st.randoms())
def test_the_order_in_which_lines_come_does_not_matter(
    network: tuple[list[str], list[str], list[Line]], random
) -> None:
    outside, inside, lines = network
    again = list(lines)
    random.shuffle(again)
    assert lay_out(outside, inside, again) == lay_out(outside, inside, lines)


def test_a_service_stands_right_of_the_deepest_that_calls_it() -> None:
    found = lay_out(["ada"], ["cart", "checkout", "front"], opens(
        ("ada", "front"), ("front", "checkout"), ("front", "cart"), ("checkout", "cart"),
    ))  # fmt: skip
    columns = {name: spot.column for name, spot in found.spots.items()}
    assert columns == {"ada": 0, "front": 1, "checkout": 2, "cart": 3}


def test_what_nobody_calls_fills_the_emptiest_column() -> None:
    found = lay_out(["ada"], ["a", "b", "idle", "quiet"], opens(("ada", "a"), ("a", "b")))
    assert sorted(spot.column for spot in found.spots.values()) == [0, 1, 1, 2, 2]


def test_crossings_that_can_be_avoided_are() -> None:
    """Given in the order that crosses everything."""
    found = lay_out(["a", "b", "c"], ["x", "y", "z"], opens(("a", "z"), ("b", "y"), ("c", "x")))
    assert level_of(found, "a", "z") and level_of(found, "b", "y") and level_of(found, "c", "x")


def level_of(found: Layout, one: str, other: str) -> bool:
    return found.spots[one].middle == found.spots[other].middle


def test_crossings_are_counted() -> None:
    a, b, x, y = (("node", name, column) for name, column in (("a", 0), ("b", 0), ("x", 1), ("y", 1)))
    assert crossings([[a, b], [x, y]], [(a, x), (b, y)]) == 0
    assert crossings([[a, b], [x, y]], [(a, y), (b, x)]) == 1
    assert crossings([[a, b], [x, y]], [(a, x), (a, y), (b, x), (b, y)]) == 1


@pytest.mark.parametrize(
    ("wished", "placed"),
    [([0.0, 0.0], [-5.0, 5.0]), ([0.0, 40.0], [0.0, 40.0]), ([30.0, 0.0, 0.0], [0.0, 10.0, 20.0])],
)
def test_neighbours_keep_their_distance_as_near_to_their_wish_as_can_be(
    wished: list[float], placed: list[float]
) -> None:
    assert apart(wished, [0.0, 10.0, 20.0][: len(wished)]) == placed


def test_nothing_at_all_is_a_picture_too() -> None:
    assert lay_out([], [], []) == Layout(NODE_WIDTH, 0, WIDEST_GAP, {}, {})
