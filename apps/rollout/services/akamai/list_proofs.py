"""What a live list means for the doors of the grants behind it: read back, and called where a call can be made.

From a partner's address nobody here can call. So the proof of such a door is the list as the vendor gives it back, live
on production; that the list is really asked is shown from our own address, which must be refused unless it is on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.access import selectors as access
from apps.access import services as grants
from apps.access.services import DoorReport
from apps.catalog import selectors as catalog
from apps.compiler import address_lists as policy
from apps.compiler.addresses import BadBlock, Block, holds, read_address
from apps.rollout.drivers.akamai.list_calls import AT_THE_ROOT, Called, Knock, ListCaller
from apps.rollout.services.cluster.probing import example
from apps.rollout.services.driving import is_here

if TYPE_CHECKING:
    from apps.access.models import GrantDoor
    from apps.rollout.models import AddressList

LIVE = ("pending", "active")
EDGE = "edge"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """``trouble`` is what keeps doors from being proven, in words; empty when nothing does."""

    enforced: bool | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """``as_expected`` False: the edge does not do what the list says."""

    door: GrantDoor
    opens: bool
    as_expected: bool
    words: str


def conclude(row: AddressList, held: Mapping[str, int | None], graph: policy.AddressGraph, at: datetime) -> Conclusion:
    """Ask, then report every door that waits, and start the clock of what is proven for the first time.

    Nothing is locked while the edge is asked. Safe to repeat.
    """
    now = int(at.timestamp())
    live = policy.blocks_of(value for value, end in held.items() if end is None or end > now)
    caller = ListCaller(str(row.target.config.get("probe_url", "")))
    enforced, trouble = _is_enforced(row, graph, caller, now)
    doors = list(access.list_address_doors(environment_slug=row.target.environment.slug, host=row.host))
    verdicts = [_judge(row, door, live, graph, caller, now) for door in doors] if enforced is not False else []
    _report(verdicts, at)
    failed = [one.words for one in verdicts if not one.as_expected]
    if enforced is False and doors:
        grants.record_errors(errors={door.grant.public_id: trouble for door in doors}, at=at)
    return Conclusion(enforced, trouble or " ".join(failed[:3]))


def asked_still(row: AddressList, held: Mapping[str, int | None]) -> str:
    """In words, that a call from an address on no list was refused; empty where it was not, or none can be made."""
    source = str(row.target.config.get("probe_from", ""))
    try:
        address = read_address(source) if source else None
    except BadBlock:
        address = None
    if address is None or holds(policy.blocks_of(held), address):
        return ""
    caller = ListCaller(str(row.target.config.get("probe_url", "")))
    called = caller.call(row.host, source if is_here(row.target) else "")
    if called.passed is not False:
        return ""
    said = f"{row.host} still refuses {source}, which is on no list: the edge's policy asks this list still."
    return f"{said} It is emptied when that has ended."


def _is_enforced(row: AddressList, graph: policy.AddressGraph, caller: ListCaller, at: int) -> tuple[bool | None, str]:
    """Whether the list guards the host, seen from the address we call from, if that is known and on no list."""
    source = str(row.target.config.get("probe_from", ""))
    try:
        address = read_address(source) if source else None
    except BadBlock:
        return None, f"probe_from of the target is no address: {source}"
    if address is None or policy.may_reach(graph, row.host, address, at).allowed:
        return None, ""
    called = caller.call(row.host, source if is_here(row.target) else "")
    if called.passed is None:
        return None, ""
    if called.passed:
        said = f"{row.host} lets {source} through, which is on no list: the edge's policy does not ask this list yet."
        return False, f"{said} {called.words}"
    return True, ""


def _judge(
    row: AddressList,
    door: GrantDoor,
    live: Sequence[Block],
    graph: policy.AddressGraph,
    caller: ListCaller,
    at: int,
) -> _Verdict:
    ask = door.grant.request.addresses if door.grant.request else None
    blocks = policy.blocks_of(ask.blocks if ask else ())
    opens = door.grant.state in LIVE and (door.grant.ends_at is None or door.grant.ends_at.timestamp() > at)
    listed = policy.needed_by(live, blocks)
    if opens and not listed:
        return _Verdict(door, opens, False, f"Not all of {', '.join(ask.blocks if ask else ())} is on the list.")
    knock = _knock(door)
    called = [_call(row, block, graph, caller, knock, at) for block in blocks]
    wrong = [one.words for one, expected in called if one.passed is not None and one.passed != expected]
    if wrong:
        return _Verdict(door, opens, False, " ".join(wrong))
    seen = " ".join(one.words for one, _ in called if one.passed is not None)
    return _Verdict(door, opens, True, f"{_read_back(row, opens, live, blocks)} {seen}".strip()[:1000])


def _call(
    row: AddressList, block: Block, graph: policy.AddressGraph, caller: ListCaller, knock: Knock, at: int
) -> tuple[Called, bool]:
    """A call from the block's first address, if it is one of this machine's own and the edge is here; and what the
    policy expects of it."""
    address = block.network_address
    expected = policy.may_reach(graph, row.host, address, at).allowed
    if not address.is_loopback or not is_here(row.target):
        return Called(None, ""), expected
    return caller.call(row.host, str(address), knock), expected


def _knock(door: GrantDoor) -> Knock:
    """A call of the service that was asked for, so that its token check answers."""
    grant = door.grant
    shape = catalog.graph_services([grant.service.slug], grant.environment.slug).get(grant.service.slug)
    if shape is None or shape.edge is None or not shape.routes:
        return AT_THE_ROOT
    route = min(shape.routes, key=lambda route: route.id)
    return Knock(min(route.methods), shape.edge.base_path + example(route.template))


def _read_back(row: AddressList, opens: bool, live: Sequence[Block], blocks: Sequence[Block]) -> str:
    where = f"{row.get_product_display()} {row.list_id}, version {row.version}, live on production"
    if opens:
        return f"{where}, holds the addresses."
    if policy.touched_by(live, blocks):
        return f"{where}, holds them no longer for this grant; something else still lets some of them in."
    return f"{where}, holds them no longer."


def _report(verdicts: Sequence[_Verdict], at: datetime) -> None:
    """In one transaction: how far each door is, the clocks that start, and what is wrong."""
    if not verdicts:
        return
    with transaction.atomic():
        opening = [one for one in verdicts if one.opens]
        grants.mark_doors(reports=[_door(one, "open", "") for one in opening], at=at)
        grants.mark_doors(reports=list(_reports(verdicts)), at=at)
        for one in opening:
            if one.as_expected:
                grants.activate(grant_id=one.door.grant.public_id, at=at)
        errors = {one.door.grant.public_id: "" if one.as_expected else one.words for one in verdicts}
        grants.record_errors(errors=errors, at=at)


def _reports(verdicts: Sequence[_Verdict]) -> Iterator[DoorReport]:
    for one in verdicts:
        state = ("proven" if one.opens else "closed") if one.as_expected else "failing"
        yield _door(one, state, one.words)


def _door(one: _Verdict, state: str, words: str) -> DoorReport:
    return DoorReport(one.door.grant.public_id, EDGE, state, words)
