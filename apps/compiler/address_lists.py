"""From where a guarded host may be reached, and the items its list at the edge should hold.

An address is not an identity. An opening lets calls from some addresses come as far as the door of one host; there the
token is checked as ever. Nobody passes by an address alone, and nobody by a token alone where the host is guarded.

``may_reach`` is the reference; ``items`` must agree with it at every moment until something changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.compiler.addresses import Address, BadBlock, Block, holds, merge, read_block, within, write

FOR_EVER = 2**62
"""Later than any end."""


@dataclass(frozen=True, slots=True)
class GuardedHost:
    """A host that only listed addresses reach. ``always``: those that need no grant, as a person with authority set."""

    host: str
    always: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """A grant to addresses: from ``starts_at`` to before ``ends_at`` they reach ``host``, and no other."""

    grant_id: str
    host: str
    blocks: tuple[Block, ...]
    starts_at: int
    ends_at: int | None = None

    def is_open(self, at: int) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class AddressGraph:
    """All guarded hosts by name, and all openings. A host that is not named is guarded by no list."""

    hosts: Mapping[str, GuardedHost] = field(default_factory=dict)
    openings: tuple[Opening, ...] = ()


class Passage(StrEnum):
    """Why an address comes as far as the door of a host, or does not."""

    UNGUARDED = "unguarded"
    ALWAYS = "always"
    GRANTED = "granted"
    NOT_LISTED = "not_listed"


@dataclass(frozen=True, slots=True)
class Reach:
    passage: Passage
    grant_ids: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.passage is not Passage.NOT_LISTED


def may_reach(graph: AddressGraph, host: str, address: Address, at: int) -> Reach:
    """Whether a call from ``address`` comes as far as the token check of ``host``."""
    guarded = graph.hosts.get(host)
    if guarded is None:
        return Reach(Passage.UNGUARDED)
    if holds(guarded.always, address):
        return Reach(Passage.ALWAYS)
    found = sorted(
        opening.grant_id
        for opening in graph.openings
        if opening.host == host and opening.is_open(at) and holds(opening.blocks, address)
    )
    return Reach(Passage.GRANTED, tuple(found)) if found else Reach(Passage.NOT_LISTED)


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a list, with the moment at which it stops to count by itself. ``grants``: whom it is there for."""

    block: Block
    ends_at: int | None = None
    grants: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        return write(self.block)

    @property
    def end(self) -> int:
        return FOR_EVER if self.ends_at is None else self.ends_at


def items(graph: AddressGraph, host: str, at: int) -> tuple[Item, ...]:
    """The fewest entries that agree with ``may_reach`` from ``at`` on, each value once, in order.

    Blocks that end together are merged; what a wider block covers for at least as long is left out.
    """
    by_end: dict[int, list[tuple[Block, str]]] = defaultdict(list)
    guarded = graph.hosts.get(host)
    if guarded is None:
        return ()
    by_end[FOR_EVER] += [(block, "") for block in guarded.always]
    for opening in graph.openings:
        if opening.host == host and opening.is_open(at):
            end = FOR_EVER if opening.ends_at is None else opening.ends_at
            by_end[end] += [(block, opening.grant_id) for block in opening.blocks]
    kept: list[Item] = []
    for end in sorted(by_end, reverse=True):
        kept += _not_covered(_merged(by_end[end], end), kept)
    return tuple(sorted(kept, key=lambda item: (item.block.version, int(item.block.network_address), item.block)))


def _merged(named: Collection[tuple[Block, str]], end: int) -> Iterator[Item]:
    for block in merge(one for one, _ in named):
        grants = {grant for one, grant in named if grant and within(one, block)}
        yield Item(block, None if end == FOR_EVER else end, tuple(sorted(grants)))


def _not_covered(found: Iterable[Item], longer: Collection[Item]) -> list[Item]:
    return [item for item in found if not any(within(item.block, other.block) for other in longer)]


def needed_by(listed: Iterable[Block], blocks: Iterable[Block]) -> bool:
    """Whether all of ``blocks`` are listed: what a grant needs to be in force."""
    whole = merge(listed)
    return all(any(within(block, outer) for outer in whole) for block in blocks)


def touched_by(listed: Iterable[Block], blocks: Iterable[Block]) -> bool:
    """Whether any address of ``blocks`` is listed."""
    known = list(listed)
    return any(within(block, one) or within(one, block) for block in blocks for one in known)


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """The fewest changes from what a list holds to what it should hold. ``deletes`` are values as the list has them."""

    appends: tuple[Item, ...] = ()
    updates: tuple[Item, ...] = ()
    deletes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.appends or self.updates or self.deletes)


def plan(
    held: Mapping[str, int | None], wanted: Iterable[Item], *, slack: int = 0, keeps_ends: bool = True
) -> ItemPlan:
    """``held``: values as the list has them, and their ends. What is no block at all is deleted as it is written.

    An end that is at most ``slack`` seconds too late is left alone: it is only there for when nobody removes the item.
    ``keeps_ends`` is false for lists that know no ends.
    """
    should = {item.block: item for item in wanted}
    names: dict[Block, str] = {}
    deletes: list[str] = []
    for value in sorted(held):
        block = _read(value)
        if block is None or block not in should or block in names:
            deletes.append(value)
        else:
            names[block] = value
    return ItemPlan(
        appends=tuple(item for block, item in should.items() if block not in names),
        updates=tuple(
            item
            for block, item in should.items()
            if keeps_ends and block in names and not _ends_right(held[names[block]], item, slack)
        ),
        deletes=tuple(deletes),
    )


def _read(value: str) -> Block | None:
    try:
        return read_block(value)
    except BadBlock:
        return None


def _ends_right(held: int | None, item: Item, slack: int) -> bool:
    return item.end <= (FOR_EVER if held is None else held) <= item.end + slack


def blocks_of(values: Iterable[str]) -> tuple[Block, ...]:
    """The blocks among some values; what is none is left out."""
    return tuple(block for value in values if (block := _read(value)) is not None)


def sentence(item: Item) -> str:
    """How a person is shown an entry."""
    return f"{item.value} ({', '.join(item.grants)})" if item.grants else item.value
