"""Sets of addresses, against brute force on networks small enough to count through."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.compiler.addresses import (
    BadBlock,
    Block,
    Limits,
    complaint,
    covers,
    holds,
    merge,
    read_address,
    read_block,
    write,
)

SMALL = IPv4Network("203.0.113.0/27")
EVERY = list(SMALL)


@st.composite
def small_blocks(draw: st.DrawFn) -> Block:
    """A block within 32 addresses."""
    prefix = draw(st.integers(27, 32))
    first = draw(st.integers(0, 2 ** (prefix - 27) - 1)) * 2 ** (32 - prefix)
    return IPv4Network((int(SMALL.network_address) + first, prefix))


def members(blocks: list[Block]) -> set[IPv4Address]:
    return {address for block in blocks for address in block if isinstance(address, IPv4Address)}


@given(st.lists(small_blocks(), max_size=8))
def test_merging_keeps_exactly_the_same_addresses(blocks: list[Block]) -> None:
    assert members(list(merge(blocks))) == members(blocks)


@given(st.lists(small_blocks(), max_size=8))
def test_merged_blocks_are_the_fewest(blocks: list[Block]) -> None:
    """None overlaps another, and no two make up one wider block."""
    merged = merge(blocks)
    assert sum(block.num_addresses for block in merged) == len(members(list(merged)))
    assert all(one.supernet() != other.supernet() for one in merged for other in merged if one != other)


@given(st.lists(small_blocks(), max_size=8), small_blocks())
def test_blocks_cover_what_all_of_whose_addresses_they_hold(blocks: list[Block], inner: Block) -> None:
    assert covers(blocks, inner) == members([inner]).issubset(members(blocks))


@given(st.lists(small_blocks(), max_size=8), st.sampled_from(EVERY))
def test_an_address_is_held_when_it_is_a_member(blocks: list[Block], address: IPv4Address) -> None:
    assert holds(blocks, address) == (address in members(blocks))


@given(small_blocks())
def test_what_is_written_reads_back(block: Block) -> None:
    assert read_block(write(block)) == block


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.0/28", "203.0.113.0/28"),
        ("203.0.113.0/255.255.255.240", "203.0.113.0/28"),
        ("2001:DB8:0:0::/48", "2001:db8::/48"),
        ("2001:db8::0001", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/124", "203.0.113.0/28"),
    ],
)
def test_there_is_one_normal_form(text: str, normal: str) -> None:
    assert write(read_block(text)) == normal


@pytest.mark.parametrize(
    "text", ["", "api.example.com", "203.0.113", "203.0.113.300", "203.0.113.0/33", "fe80::1%eth0", "1", "03.0.113.007"]
)
def test_what_is_no_block_is_refused(text: str) -> None:
    with pytest.raises(BadBlock):
        read_block(text)


def test_bits_beyond_the_prefix_are_refused_with_both_things_that_could_be_meant() -> None:
    with pytest.raises(BadBlock, match=r"write 203\.0\.113\.5 or 203\.0\.113\.0/28"):
        read_block("203.0.113.5/28")


def test_one_address_is_no_block() -> None:
    assert read_address("203.0.113.7") == ip_address("203.0.113.7")
    with pytest.raises(BadBlock, match="more than one"):
        read_address("203.0.113.0/31")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("10.1.2.3", "private"),
        ("172.20.0.0/24", "private"),
        ("192.168.1.1", "private"),
        ("fd00::/48", "private"),
        ("127.0.0.5", "loopback"),
        ("::1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("fe80::/64", "link-local"),
        ("100.64.0.1", "carriers"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("0.0.0.1", "no address"),
        ("::", "no address"),
        ("0.0.0.0/0", "too wide"),
        ("203.0.112.0/23", "too wide"),
        ("2001:db8::/47", "too wide"),
        ("64:ff9b::1", "IPv4"),
    ],
)
def test_what_nobody_should_open_is_refused_with_words(text: str, word: str) -> None:
    assert word in complaint(read_block(text))


@pytest.mark.parametrize("text", ["203.0.113.0/24", "198.51.100.7", "2001:db8::/48", "8.8.8.8"])
def test_what_calls_from_outside_may_be_asked_for(text: str) -> None:
    assert complaint(read_block(text)) == ""


def test_the_widths_are_settings_and_loopback_is_for_an_edge_on_this_machine() -> None:
    narrow = Limits(widest_v4=28, widest_v6=64, loopback=True)
    assert "at most /28" in complaint(IPv4Network("203.0.113.0/27"), narrow)
    assert "at most /64" in complaint(IPv6Network("2001:db8::/63"), narrow)
    assert complaint(read_block("127.0.0.5"), narrow) == ""


@given(st.integers(24, 32), st.integers(0, 2**32 - 1))
def test_nothing_that_overlaps_a_private_network_passes(prefix: int, number: int) -> None:
    block = IPv4Network((number, prefix), strict=False)
    private = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")]
    if any(block.overlaps(one) for one in private):
        assert complaint(block) != ""
