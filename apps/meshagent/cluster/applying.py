"""Bringing to a cluster what was signed: read, try all of it, then write in an order in which nothing is open too wide.

What was brought once is not brought again by itself: whatever somebody changed by hand since is told, and a person says
whether it is put back. Every run starts from what is there, so that it may be killed anywhere and run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from apps.meshagent.cluster.compare import (
    CLOSED,
    CLUSTER,
    MANAGED_BY,
    MANAGER,
    REVISION,
    SERVICE,
    covers,
    holds,
    is_ours,
    labels_of,
    makers_of,
    narrows,
    port_of,
    to_send,
)
from apps.meshagent.cluster.kinds import TRAFFIC_TARGETS, Obj, Ref, ref_of
from apps.meshagent.cluster.memory import UNSURE, MemoryFile
from apps.meshagent.cluster.reading import Reader, Wanted, is_closed
from apps.meshagent.cluster.server import AT_ONCE, Api, ClusterError

NOBODY = "sallyport-nobody"
"""The service account that is the only source of a closed destination. Nobody makes one of that name."""
WHOLE = "(the whole object)"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a person said, signed with the bundle: ``again`` are paths to be brought whatever is there, or removed.

    ``leaves``: nothing of ours is to stay, not even what keeps a destination closed.
    """

    number: int = 0
    again: frozenset[str] = frozenset()
    keeps_closed: bool = True
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be written, or without ``wanted`` to be removed. ``live`` is it as it was read."""

    ref: Ref
    live: Obj | None
    wanted: Wanted | None = None

    @property
    def service(self) -> str:
        return labels_of(self.wanted.obj if self.wanted else self.live or {}).get(SERVICE, "")

    @property
    def narrows(self) -> bool:
        return self.live is not None and self.wanted is not None and narrows(self.live, self.wanted.obj)


@dataclass
class Outcome:
    """What came of it. ``failures`` in the server's own words; ``left`` were not tried because of them."""

    brought: dict[str, str] = field(default_factory=dict)
    failures: list[ClusterError] = field(default_factory=list)
    conflicts: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    left: bool = False
    halted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_done(self) -> bool:
        return not self.failures and not self.left

    def fail(self, item: Item, error: ClusterError) -> None:
        with self.lock:
            self.failures.append(error)
            self.halted = self.halted or error.halts
            if item.service:
                self.refused.add(item.service)
            if error.conflicts:
                self.conflicts[item.ref.path] = list(error.conflicts)


class Applying:
    """One run. ``cluster`` is the value of our label; ``memory`` is written before and after anything else is."""

    def __init__(self, api: Api, reader: Reader, cluster: str, memory: MemoryFile) -> None:
        self._api, self._reader, self._cluster, self._memory = api, reader, cluster, memory
        self._number, self._orders = 0, Orders()
        self.outcome = Outcome()

    def run(self, wanted: Mapping[Ref, Wanted], number: int, orders: Orders) -> Outcome:
        """Raises ClusterError when nothing can be read; then nothing was written."""
        self._number, self._orders = number, orders
        before = self._memory.now
        there = self._reader.ours()
        named = {ref_of(path) for path in (*before.brought, *orders.again)}
        live = self._reader.with_missing(there, {*wanted, *named})
        puts = [item for ref, one in sorted(wanted.items()) if (item := self._put(ref, one, live)) is not None]
        gone = self._going(wanted, live, there)
        self.outcome.brought = self._unchanged(wanted, puts)
        unsure = {item.ref.path: UNSURE for item in (*puts, *gone)}
        self._memory.keep(brought={**before.brought, **self.outcome.brought, **unsure})
        fine = [item for item, good in zip(puts, self._each(puts, self._dry), strict=True) if good]
        if not self.outcome.halted:
            self._write(fine, gone)
        left = {path: UNSURE for path in unsure if path not in self.outcome.brought}
        self._memory.keep(
            brought={**left, **{path: one for path, one in self.outcome.brought.items() if one}}, known=True
        )
        return self.outcome

    # -- what is to be done ----------------------------------------------------------------------------------------
    def _put(self, ref: Ref, one: Wanted, live: Mapping[Ref, Obj]) -> Item | None:
        """None for what is there, and for what was brought before and somebody changed since."""
        held = live.get(ref)
        if ref.path in self._orders.again:
            return Item(ref, held, one)
        if self._memory.now.brought.get(ref.path) == one.sha256:
            return None
        there = held is not None and not is_closed(held) and holds(held, one.obj, one.sha256)
        return None if there else Item(ref, held, one)

    def _unchanged(self, wanted: Mapping[Ref, Wanted], puts: Iterable[Item]) -> dict[str, str]:
        written = {item.ref for item in puts}
        return {ref.path: one.sha256 for ref, one in wanted.items() if ref not in written}

    def _going(self, wanted: Mapping[Ref, Wanted], live: Mapping[Ref, Obj], labelled: Collection[Ref]) -> list[Item]:
        """What we brought and is no longer wanted; and strangers with our labels, where a person said so, or nothing
        is remembered that would tell them from our own. Where the cluster is left, all of it."""
        named = {*self._memory.now.brought, *self._orders.again}
        going = {ref for ref in live if ref not in wanted and ref.path in named}
        if self._orders.leaves or not self._memory.now.known:
            going |= {ref for ref in labelled if ref not in wanted}
        return [
            Item(ref, live[ref])
            for ref in sorted(going)
            if is_ours(live[ref], self._cluster) and (self._orders.leaves or not is_closed(live[ref]))
        ]

    # -- trying ----------------------------------------------------------------------------------------------------
    def _dry(self, item: Item) -> None:
        forced = item.ref.path in self._orders.again
        if item.live is not None and not forced and not is_ours(item.live, self._cluster):
            raise _not_ours(item.ref, makers_of(item.live))
        answer = self._api.apply(item.ref, self._body(item), dry_run=True, force=forced)
        if item.live is None and not forced and (makers := makers_of(answer)):
            raise _not_ours(item.ref, makers)

    def _body(self, item: Item) -> Obj:
        if item.wanted is None:
            raise ValueError(f"{item.ref.path} is to be removed")
        return to_send(item.wanted.obj, self._number, item.wanted.sha256)

    # -- writing ---------------------------------------------------------------------------------------------------
    def _write(self, puts: Sequence[Item], going: Sequence[Item]) -> None:
        """First what takes access away, in reverse order of kinds; then what gives some; then the rest of the removals.

        A service of which an object was refused keeps what it has, save what takes access away, and the data our own
        programs decide by.
        """
        narrowing = [item for item in puts if item.narrows]
        widening = [item for item in puts if not item.narrows]
        replaced = {item.service for item in widening}
        ending = [item for item in going if item.ref.kind.opens and item.service not in replaced]
        self._in_order([*narrowing, *ending], going, backwards=True)
        self._in_order(self._not_refused(widening), going, backwards=False)
        rest = [item for item in going if item not in ending]
        self._in_order(self._not_refused(rest), going, backwards=True)

    def _not_refused(self, items: Iterable[Item]) -> list[Item]:
        chosen = []
        for item in items:
            kind, ends = item.ref.kind, item.wanted is None
            if item.service in self.outcome.refused and not (kind.opens if ends else kind.data):
                self.outcome.left = True
            else:
                chosen.append(item)
        return chosen

    def _in_order(self, items: Sequence[Item], going: Sequence[Item], *, backwards: bool) -> None:
        def rank(item: Item) -> int:
            return item.ref.kind.rank

        for _, group in groupby(sorted(items, key=rank, reverse=backwards), key=rank):
            now = list(group)
            last = self._last_ones(now, going)
            self._each([item for item in now if item.ref in last], self._close)
            self._each([item for item in now if item.ref not in last], self._move)

    def _move(self, item: Item) -> None:
        if item.wanted is not None:
            self._api.apply(item.ref, self._body(item), force=item.ref.path in self._orders.again)
            self._note(item, item.wanted.sha256)
        elif item.live is not None:
            self._api.delete(item.ref, item.live)
            self._note(item, "")

    def _note(self, item: Item, sha256: str) -> None:
        with self.outcome.lock:
            self.outcome.brought[item.ref.path] = sha256

    # -- the last TrafficTarget of a destination would open it to everybody: one that lets in nobody stays ----------
    def _last_ones(self, items: Sequence[Item], going: Sequence[Item]) -> set[Ref]:
        """Of those about to go, one for each destination that would be left without any, and for each port of it."""
        gone = [item for item in items if item.wanted is None and item.ref.key == TRAFFIC_TARGETS and item.live]
        if not gone or not self._orders.keeps_closed or self.outcome.halted:
            return set()
        leaving, last = {item.ref for item in going}, set()
        for namespace in {item.ref.namespace for item in gone}:
            try:
                there = self._api.list(namespace, TRAFFIC_TARGETS)
            except ClusterError as error:
                self.outcome.failures.append(error)
                self.outcome.halted = True
                return set()
            staying = [one for one in there if Ref(namespace, TRAFFIC_TARGETS, one["metadata"]["name"]) not in leaving]
            inside = [item for item in gone if item.ref.namespace == namespace]
            for item in sorted(inside, key=lambda item: (port_of(item.live or {}) is not None, item.ref)):
                if item.live is not None and not any(covers(one, item.live) for one in staying):
                    staying.append(item.live)
                    last.add(item.ref)
        return last

    def _close(self, item: Item) -> None:
        live: Mapping[str, Any] = item.live or {}
        labels = {MANAGED_BY: MANAGER, CLUSTER: self._cluster, SERVICE: item.service, REVISION: str(self._number)}
        nobody = {"kind": "ServiceAccount", "name": NOBODY, "namespace": item.ref.namespace}
        meta = {"name": item.ref.name, "namespace": item.ref.namespace, "labels": {**labels, CLOSED: "true"}}
        spec = {"destination": live["spec"]["destination"], "sources": [nobody]}
        body = {"apiVersion": live["apiVersion"], "kind": "TrafficTarget", "metadata": meta, "spec": spec}
        self._api.apply(item.ref, body)
        self._note(item, "")

    # -- several at once -------------------------------------------------------------------------------------------
    def _each(self, items: Sequence[Item], action: Callable[[Item], None]) -> list[bool]:
        """Whether it went well, for each. A failure keeps no other from being tried, unless the server is out."""
        if len(items) < 2:
            return [self._attempt(action, item) for item in items]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(partial(self._attempt, action), items))

    def _attempt(self, action: Callable[[Item], None], item: Item) -> bool:
        if self.outcome.halted:
            self.outcome.left = True
            return False
        try:
            action(item)
        except ClusterError as error:
            self.outcome.fail(item, error)
            return False
        return True


def _not_ours(ref: Ref, makers: Sequence[str]) -> ClusterError:
    by = ", ".join(makers) or "somebody else"
    conflicts = tuple({"manager": name, "field": WHOLE} for name in makers or ("somebody else",))
    words = f"is there already, made by {by}, and is not ours"
    return ClusterError(f"apply {ref.path}", 409, words, kind="not_ours", conflicts=conflicts)
