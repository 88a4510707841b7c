"""The list of a host says at every moment what the reference says, for every address, and changes by the least."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from apps.compiler.address_lists import (
    AddressGraph,
    GuardedHost,
    Item,
    ItemPlan,
    Opening,
    Passage,
    blocks_of,
    items,
    may_reach,
    needed_by,
    plan,
    touched_by,
)
from apps.compiler.addresses import Block, holds, read_address, read_block, write
from tests.compiler.test_addresses import EVERY, small_blocks

HOSTS = ("api.shop.test", "partners.shop.test")
TIMES = st.integers(0, 20)


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    starts = draw(TIMES)
    ends = draw(st.none() | st.integers(starts + 1, 25))
    blocks = tuple(draw(st.lists(small_blocks(), min_size=1, max_size=3)))
    return Opening(f"g_{draw(st.integers(0, 99)):02}", draw(st.sampled_from(HOSTS)), blocks, starts, ends)


@st.composite
def graphs(draw: st.DrawFn) -> AddressGraph:
    guarded = draw(st.sets(st.sampled_from(HOSTS)))
    hosts = {host: GuardedHost(host, tuple(draw(st.lists(small_blocks(), max_size=2)))) for host in guarded}
    return AddressGraph(hosts, tuple(draw(st.lists(openings(), max_size=6))))


def brute(graph: AddressGraph, host: str, address: IPv4Address, at: int) -> bool:
    """Written out: no merging, no order, every address counted."""
    if host not in graph.hosts:
        return True
    allowed = {one for block in graph.hosts[host].always for one in block}
    for opening in graph.openings:
        if opening.host == host and opening.starts_at <= at and (opening.ends_at is None or at < opening.ends_at):
            allowed |= {one for block in opening.blocks for one in block}
    return address in allowed


@given(graphs(), st.sampled_from(HOSTS), st.sampled_from(EVERY), TIMES)
def test_the_reference_agrees_with_counting(graph: AddressGraph, host: str, address: IPv4Address, at: int) -> None:
    assert may_reach(graph, host, address, at).allowed == brute(graph, host, address, at)


@given(graphs(), st.sampled_from(HOSTS), TIMES, st.integers(0, 30))
def test_the_list_agrees_with_the_reference_until_something_starts(
    graph: AddressGraph, host: str, at: int, later: int
) -> None:
    """Entries end by themselves, so a list written once stays right, as long as no opening begins meanwhile."""
    if host not in graph.hosts:
        assert items(graph, host, at) == ()
        return
    moment = at + later
    if any(at < one.starts_at <= moment for one in graph.openings):
        return
    listed = [item.block for item in items(graph, host, at) if moment < item.end]
    assert {one for one in EVERY if holds(listed, one)} == {
        one for one in EVERY if may_reach(graph, host, one, moment).allowed
    }


@given(graphs(), st.sampled_from(HOSTS), TIMES)
def test_the_list_holds_nothing_twice_and_is_the_same_however_grants_are_ordered(
    graph: AddressGraph, host: str, at: int
) -> None:
    found = items(graph, host, at)
    assert len({item.value for item in found}) == len(found)
    assert items(AddressGraph(graph.hosts, graph.openings[::-1]), host, at) == found


held_lists = st.dictionaries(small_blocks().map(write), st.none() | st.integers(1, 30), max_size=8)
wanted_lists = st.dictionaries(small_blocks(), st.none() | st.integers(1, 30), max_size=8)


def applied(held: dict[str, int | None], change: ItemPlan) -> dict[str, int | None]:
    """As a client list would: each entry once, deletes first."""
    after = dict(held)
    for value in change.deletes:
        del after[value]
    for item in change.updates:
        assert item.value in after
        after[item.value] = item.ends_at
    for item in change.appends:
        assert item.value not in after
        after[item.value] = item.ends_at
    return after


@given(held_lists, wanted_lists)
def test_the_plan_leads_to_what_is_wanted_and_then_there_is_nothing_left(
    held: dict[str, int | None], wanted: dict[Block, int | None]
) -> None:
    should = [Item(block, end) for block, end in wanted.items()]
    after = applied(held, plan(held, should))
    assert after == {write(block): end for block, end in wanted.items()}
    assert plan(after, should).is_empty


@given(held_lists, wanted_lists)
def test_the_plan_touches_nothing_that_is_right(held: dict[str, int | None], wanted: dict[Block, int | None]) -> None:
    change = plan(held, [Item(block, end) for block, end in wanted.items()])
    right = {value for value, end in held.items() if wanted.get(read_block(value), -1) == end}
    touched = {*change.deletes, *(item.value for item in (*change.updates, *change.appends))}
    assert right.isdisjoint(touched)
    assert len(touched) == len({*held, *map(write, wanted)}) - len(right)


def item(text: str, ends_at: int | None = None, *grants: str) -> Item:
    return Item(read_block(text), ends_at, grants)


def test_an_address_written_otherwise_is_the_same_entry_and_what_is_none_is_taken_out() -> None:
    held = {"203.0.113.7/32": None, "203.0.113.7": None, "everybody": None}
    assert plan(held, [item("203.0.113.7")]) == ItemPlan(deletes=("203.0.113.7/32", "everybody"))


def test_an_end_within_the_slack_is_left_alone_and_one_too_early_is_not() -> None:
    wanted = [item("203.0.113.7", 1000)]
    assert plan({"203.0.113.7": 1060}, wanted, slack=60).is_empty
    assert plan({"203.0.113.7": 1061}, wanted, slack=60).updates == (wanted[0],)
    assert plan({"203.0.113.7": 999}, wanted, slack=60).updates == (wanted[0],)
    assert plan({"203.0.113.7": None}, wanted, slack=60).updates == (wanted[0],)


def test_a_list_that_knows_no_ends_is_right_without_them() -> None:
    assert plan({"203.0.113.7": None}, [item("203.0.113.7", 1000)], keeps_ends=False).is_empty


def graph(*found: Opening, always: str = "") -> AddressGraph:
    return AddressGraph({"h": GuardedHost("h", blocks_of(always.split()))}, found)


def opening(name: str, text: str, ends_at: int | None = None, starts_at: int = 0) -> Opening:
    return Opening(name, "h", blocks_of(text.split()), starts_at, ends_at)


def test_neighbours_that_end_together_become_one_entry_for_both_grants() -> None:
    both = graph(opening("g_1", "203.0.113.0/29", 100), opening("g_2", "203.0.113.8/29", 100))
    assert items(both, "h", 50) == (item("203.0.113.0/28", 100, "g_1", "g_2"),)


def test_what_a_wider_entry_covers_for_longer_is_left_out_and_for_shorter_is_not() -> None:
    longer = graph(opening("g_1", "203.0.113.0/28", 200), opening("g_2", "203.0.113.4", 100))
    assert items(longer, "h", 50) == (item("203.0.113.0/28", 200, "g_1"),)
    shorter = graph(opening("g_1", "203.0.113.0/28", 100), opening("g_2", "203.0.113.4", 200))
    assert [one.value for one in items(shorter, "h", 50)] == ["203.0.113.0/28", "203.0.113.4"]


def test_it_says_by_what_an_address_comes_through() -> None:
    known = graph(opening("g_1", "203.0.113.0/28", 100), always="198.51.100.0/24")
    reach = lambda text, at, host="h": may_reach(known, host, read_address(text), at)  # noqa: E731
    assert reach("203.0.113.5", 99).grant_ids == ("g_1",)
    assert reach("203.0.113.5", 99).passage is Passage.GRANTED
    assert reach("203.0.113.5", 100).passage is Passage.NOT_LISTED
    assert reach("203.0.113.16", 50).passage is Passage.NOT_LISTED
    assert reach("198.51.100.9", 50).passage is Passage.ALWAYS
    assert reach("203.0.113.5", 50, "other").passage is Passage.UNGUARDED


def test_a_grant_is_in_force_when_all_of_it_is_listed_and_gone_when_nothing_is() -> None:
    blocks = blocks_of(["203.0.113.0/29", "203.0.113.8/29"])
    assert needed_by(blocks_of(["203.0.113.0/28"]), blocks)
    assert not needed_by(blocks_of(["203.0.113.0/29"]), blocks)
    assert touched_by([IPv4Network("203.0.113.9/32")], blocks)
    assert not touched_by([IPv4Network("203.0.113.16/32")], blocks)
