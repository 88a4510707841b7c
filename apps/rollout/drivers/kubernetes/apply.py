"""Bringing a plan to a cluster: read, try all of it, then write in an order in which no door is open too wide.

Every run starts from what is there, so that it may be killed anywhere and run again, or run twice at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import Plan, Step, VendorError
from apps.rollout.drivers.kubernetes.api import MANAGER, POOL, ClusterApi, Obj
from apps.rollout.drivers.kubernetes.closing import Closing
from apps.rollout.drivers.kubernetes.compare import holds, is_ours, makers_of, narrows, service_of, to_send
from apps.rollout.drivers.kubernetes.errors import ApplyConflict, FieldConflict, explain, halts
from apps.rollout.drivers.kubernetes.kinds import Ref, ref_of
from apps.rollout.drivers.kubernetes.read import Reader, is_closed, parsed

ALLOW = "allow"
ALL_OF_IT = "(the whole object)"
OTHERWISE = "reads back otherwise than it was written: something in the cluster changes it on the way"


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be written, or without an artifact to be deleted. ``live`` is it as it was read."""

    ref: Ref
    service: str
    live: Obj | None
    artifact: Artifact | None = None
    wanted: Obj | None = None

    @property
    def path(self) -> str:
        return self.ref.path

    @property
    def narrows(self) -> bool:
        return self.live is not None and narrows(self.live, self.wanted)


@dataclass
class Doing:
    """What one ``apply`` did, gathered from several threads."""

    applied: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    failures: list[VendorError] = field(default_factory=list)
    conflicts: dict[str, tuple[FieldConflict, ...]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    halted: bool = False
    left: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, item: Item, error: VendorError) -> None:
        with self.lock:
            self.failures.append(error)
            self.halted = self.halted or halts(error)
            if item.service:
                self.refused.add(item.service)
            if isinstance(error, ApplyConflict):
                self.conflicts[item.path] = error.conflicts

    def note(self, path: str, sha256: str, event: str = "") -> None:
        with self.lock:
            self.applied[path] = sha256
            if event:
                self.events.append(event)

    def step(self) -> Step:
        first = min(self.failures, key=lambda error: not halts(error), default=None)
        more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
        return Step(
            done=first is None and not self.left,
            applied=self.applied,
            events=tuple(self.events),
            error=f"{first}{more}" if first else "",
            retry_after=first.retry_after if first else None,
            trouble=explain(first).code if first else "",
        )


class Applying:
    """``force_paths``: paths whose conflicts a person said to take over. ``access_control``: the mode of the mesh."""

    def __init__(
        self, api: ClusterApi, *, cluster: str, access_control: str, force_paths: frozenset[str], plan: Plan
    ) -> None:
        self._api, self._cluster, self._force, self._plan = api, cluster, force_paths, plan
        self._reader = Reader(api, cluster)
        self._closing = Closing(api, cluster) if access_control == ALLOW else None
        self.doing = Doing()

    def run(self) -> Step:
        try:
            puts, deletes = self._read()
        except VendorError as error:
            self.doing.failures.append(error)
            return self.doing.step()
        fine = self._try(puts)
        if not self.doing.halted:
            self._write(fine, deletes)
        return self.doing.step()

    # -- reading ---------------------------------------------------------------------------------------------------
    def _read(self) -> tuple[list[Item], list[Item]]:
        """What is still to be written, and to be deleted."""
        wanted = {artifact.path: (artifact, parsed(artifact)) for artifact in self._plan.puts}
        refs = [ref_of(path) for path in (*wanted, *self._plan.deletes)]
        live = self._reader.live(refs, search=False)
        puts, deletes = [], []
        for ref in refs:
            found = live.get(ref.path)
            if ref.path in wanted:
                artifact, obj = wanted[ref.path]
                puts.append(Item(ref, service_of(obj), found, artifact, obj))
            else:
                deletes.append(Item(ref, service_of(found or {}), found))
        return [item for item in puts if not self._is_there(item)], [
            item for item in deletes if not self._is_gone(item)
        ]

    def _is_there(self, item: Item) -> bool:
        artifact, wanted = _put(item)
        same = item.live is not None and holds(item.live, wanted, artifact.sha256, MANAGER)
        if same:
            self.doing.note(item.path, artifact.sha256)
        return same

    def _is_gone(self, item: Item) -> bool:
        ours = item.live is not None and is_ours(item.live, self._cluster, MANAGER)
        if ours and item.live is not None and not (self._closing and is_closed(item.live)):
            return False
        theirs = item.live is not None and not ours
        self.doing.note(item.path, "", f"{item.ref.words} is not ours and was left." if theirs else "")
        return True

    # -- trying ----------------------------------------------------------------------------------------------------
    def _try(self, puts: Sequence[Item]) -> list[Item]:
        """Those the server would take."""
        return [item for item, fine in zip(puts, self._each(puts, self._dry), strict=True) if fine]

    def _dry(self, item: Item) -> None:
        forced = item.path in self._force
        if item.live is not None and not forced and not is_ours(item.live, self._cluster, MANAGER):
            raise _not_ours(item.ref, makers_of(item.live, MANAGER))
        answer = self._api.apply(item.ref, self._body(item), dry_run=True, force=forced)
        if item.live is None and not forced and (makers := makers_of(answer, MANAGER)):
            raise _not_ours(item.ref, makers)

    def _body(self, item: Item) -> Obj:
        artifact, wanted = _put(item)
        return to_send(wanted, self._plan.number, artifact.sha256)

    # -- writing ---------------------------------------------------------------------------------------------------
    def _write(self, puts: Sequence[Item], deletes: Sequence[Item]) -> None:
        narrowing = [item for item in puts if item.narrows]
        widening = [item for item in puts if not item.narrows]
        replaced = {item.service for item in widening}
        ending = [item for item in deletes if item.ref.kind.opens and item.service not in replaced]
        self._in_order([*narrowing, *ending], backwards=True, deletes=deletes)
        self._in_order(self._not_refused(widening), backwards=False, deletes=deletes)
        rest = [item for item in deletes if item not in ending]
        self._in_order(self._not_refused(rest), backwards=True, deletes=deletes)

    def _not_refused(self, items: Iterable[Item]) -> list[Item]:
        """Without those of a service of which something was refused, save what takes access away, or decides alone."""
        chosen = []
        for item in items:
            kind, ends = item.ref.kind, item.artifact is None
            if item.service in self.doing.refused and not (kind.opens if ends else kind.data):
                self.doing.left = True
            else:
                chosen.append(item)
        return chosen

    def _in_order(self, items: Sequence[Item], *, backwards: bool, deletes: Sequence[Item]) -> None:
        """Kind after kind; several objects of a kind at once."""

        def rank(item: Item) -> int:
            return item.ref.kind.rank

        for _, group in groupby(sorted(items, key=rank, reverse=backwards), key=rank):
            now = list(group)
            closed = self._close(now, deletes)
            self._each([item for item in now if item.path not in closed], self._move)

    def _close(self, items: Sequence[Item], deletes: Sequence[Item]) -> frozenset[str]:
        """Puts a closed door where the last TrafficTarget of a destination is to go; the paths it did that for."""
        gone = [item.ref for item in items if item.artifact is None]
        if self._closing is None or self.doing.halted or not gone:
            return frozenset()
        live = {item.path: item.live for item in deletes if item.live is not None}
        last = self._closing.last_ones(gone, live)
        standing = [item for item in items if item.path in last]
        self._each(standing, self._stand_in)
        return frozenset(last)

    def _stand_in(self, item: Item) -> None:
        if self._closing is not None and item.live is not None:
            self._closing.close(item.ref, item.live, self._plan.number)
        words = "is the last of its destination: it now lets nobody in, since without it everybody could call"
        self.doing.note(item.path, "", f"{item.ref.words} {words}.")

    def _move(self, item: Item) -> None:
        if item.artifact is not None:
            self._bring(item)
        elif item.live is not None:
            meta = item.live["metadata"]
            self._api.delete(item.ref, str(meta.get("uid", "")), str(meta.get("resourceVersion", "")))
            self.doing.note(item.path, "", f"{item.ref.words} is deleted.")

    def _bring(self, item: Item) -> None:
        """What is stored is read from the answer to the write, and only what it shows is believed."""
        artifact, wanted = _put(item)
        stored = self._api.apply(item.ref, self._body(item), force=item.path in self._force)
        if not holds(stored, wanted, artifact.sha256, MANAGER):
            raise VendorError(f"apply {item.ref.words}", 200, OTHERWISE, kind="stored_otherwise")
        self.doing.note(item.path, artifact.sha256, f"{item.ref.words} is applied.")

    def _each(self, items: Sequence[Item], action: Callable[[Item], None]) -> list[bool]:
        """Whether it went well, for each. A failure keeps no other from being tried, unless the server is out."""

        def attempt(item: Item) -> bool:
            if self.doing.halted:
                return False
            try:
                action(item)
            except VendorError as error:
                self.doing.fail(item, error)
                return False
            return True

        if len(items) < 2:
            return [attempt(item) for item in items]
        with ThreadPoolExecutor(POOL) as pool:
            return list(pool.map(attempt, items))


def _put(item: Item) -> tuple[Artifact, Obj]:
    if item.artifact is None or item.wanted is None:
        raise ValueError(f"{item.path} is to be deleted")
    return item.artifact, item.wanted


def _not_ours(ref: Ref, makers: Sequence[str]) -> ApplyConflict:
    by = ", ".join(makers) or "somebody else"
    conflicts = tuple(FieldConflict(name, ALL_OF_IT) for name in makers or ("somebody else",))
    words = f"is there already, made by {by}, and is not ours"
    return ApplyConflict(f"apply {ref.words}", words, conflicts, kind="not_ours")
