"""Sets of addresses: read as people write them, refused with words, merged, covered and compared.

A block is an IPv4 or IPv6 network in its one normal form; a single address is the block that holds only it. An address
is never taken for somebody: what this says is from where a call comes, not who makes it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Block: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

LONGEST_TEXT = 60


class BadBlock(ValueError):
    """What was written is no block that can be opened; the message says why to whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``widest_v4`` and ``widest_v6`` are the shortest prefixes allowed, ``most`` how many blocks one ask may name.

    ``loopback`` lets this machine's own addresses through, where the edge is on this machine.
    """

    widest_v4: int = 24
    widest_v6: int = 48
    most: int = 20
    loopback: bool = False


USUAL = Limits()

_LOOPBACK = ("127.0.0.0/8", "::1/128")
_CLOSED = (
    ("0.0.0.0/8", "means no address in particular"),
    ("10.0.0.0/8", "is private: such an address never arrives at the edge from outside"),
    ("100.64.0.0/10", "is shared by carriers among their customers"),
    ("169.254.0.0/16", "is link-local: it never leaves its own network"),
    ("172.16.0.0/12", "is private: such an address never arrives at the edge from outside"),
    ("192.168.0.0/16", "is private: such an address never arrives at the edge from outside"),
    ("224.0.0.0/4", "is for multicast; nobody calls from there"),
    ("240.0.0.0/4", "is reserved; nobody calls from there"),
    ("::/128", "means no address in particular"),
    ("64:ff9b::/96", "stands for IPv4 addresses; write those instead"),
    ("fc00::/7", "is private: such an address never arrives at the edge from outside"),
    ("fe80::/10", "is link-local: it never leaves its own network"),
    ("ff00::/8", "is for multicast; nobody calls from there"),
)
_CLOSED_BLOCKS: tuple[tuple[Block, str], ...] = tuple((ipaddress.ip_network(text), why) for text, why in _CLOSED)
_LOOPBACK_BLOCKS: tuple[Block, ...] = tuple(ipaddress.ip_network(text) for text in _LOOPBACK)
_MAPPED = IPv6Network("::ffff:0:0/96")


def read_block(text: str) -> Block:
    """``203.0.113.7``, ``203.0.113.0/28``, ``2001:db8::/48``; raises BadBlock. IPv4 in IPv6 becomes IPv4.

    Bits beyond the prefix are refused: whoever wrote them meant either the address or the whole block.
    """
    clean = text.strip()
    try:
        found = ipaddress.ip_interface(clean)
    except ValueError:
        raise BadBlock(f"{clean[:LONGEST_TEXT]!r} is no address and no block such as 203.0.113.0/28.") from None
    if isinstance(found, ipaddress.IPv6Interface) and found.scope_id is not None:
        raise BadBlock(f"{clean[:LONGEST_TEXT]} names a network interface of one machine.")
    if found.ip != found.network.network_address:
        raise BadBlock(f"{clean} has bits beyond its prefix: write {found.ip} or {found.network}.")
    return _unmapped(found.network)


def _unmapped(block: Block) -> Block:
    if isinstance(block, IPv6Network) and block.subnet_of(_MAPPED):
        inside = block.network_address.ipv4_mapped
        if inside is not None:
            return IPv4Network((inside, block.prefixlen - 96))
    return block


def read_address(text: str) -> Address:
    """One address in its normal form; raises BadBlock."""
    block = read_block(text)
    if block.num_addresses != 1:
        raise BadBlock(f"{block} is more than one address.")
    return block.network_address


def complaint(block: Block, limits: Limits = USUAL) -> str:
    """Why a block cannot be opened to anybody, in a sentence; empty when it can."""
    widest = limits.widest_v4 if block.version == 4 else limits.widest_v6
    if block.prefixlen < widest:
        return f"{write(block)} is too wide: at most /{widest} of IPv{block.version} can be asked for at once."
    if any(_overlaps(block, one) for one in _LOOPBACK_BLOCKS):
        return "" if limits.loopback else f"{write(block)} is a machine's own loopback; nobody calls from there."
    return next((f"{write(block)} {why}." for closed, why in _CLOSED_BLOCKS if _overlaps(block, closed)), "")


def write(block: Block) -> str:
    """The normal text: a single address without its prefix."""
    return str(block.network_address) if block.num_addresses == 1 else str(block)


def merge(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The fewest blocks that hold the same addresses, IPv4 first, in order."""
    known = list(blocks)
    v4 = ipaddress.collapse_addresses(one for one in known if isinstance(one, IPv4Network))
    v6 = ipaddress.collapse_addresses(one for one in known if isinstance(one, IPv6Network))
    return (*v4, *v6)


def within(inner: Block, outer: Block) -> bool:
    """Whether every address of ``inner`` is in ``outer``."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def covers(blocks: Iterable[Block], inner: Block) -> bool:
    """Whether the blocks hold every address of ``inner`` together."""
    return any(within(inner, outer) for outer in merge(blocks))


def holds(blocks: Iterable[Block], address: Address) -> bool:
    return any(address in block for block in blocks)


def _overlaps(one: Block, other: Block) -> bool:
    return within(one, other) or within(other, one)
