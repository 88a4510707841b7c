"""Reading the cluster back: what of ours is there, and where it differs from what was signed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from apps.meshagent.cluster.compare import CLOSED, held_hash, labels_of, selector, text_of
from apps.meshagent.cluster.kinds import SECRETS, Obj, Ref
from apps.meshagent.cluster.server import AT_ONCE, Api

MOST_MISSING = 50
"""So many that a list did not show are looked for by name: somebody may have taken our labels off them."""
MOST_DIFFERENCES = 500
LONGEST_TEXT, LONGEST_TEXTS = 20_000, 400_000
"""Characters of one object, and of all together, that are told; of what does not fit only the hash is."""

Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that was signed, and the hash of its content."""

    obj: Obj
    sha256: str


def at_once(action: Callable[[Given], Found], items: Collection[Given]) -> list[Found]:
    """Several at a time; the first failure is raised."""
    if len(items) < 2:
        return [action(one) for one in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(action, items))


class Reader:
    """``namespaces`` and ``kinds`` are all that is ever read."""

    def __init__(self, api: Api, cluster: str, namespaces: Collection[str], kinds: Collection[str]) -> None:
        self._api, self._labels = api, selector(cluster)
        self._scopes = [(namespace, key) for namespace in namespaces for key in kinds]

    def ours(self) -> dict[Ref, Obj]:
        """Everything that bears our labels. Raises ClusterError."""

        def listed(scope: tuple[str, str]) -> Iterator[tuple[Ref, Obj]]:
            found = self._api.list(*scope, self._labels)
            return iter([(Ref(*scope, one["metadata"]["name"]), one) for one in found])

        return dict(pair for found in at_once(listed, self._scopes) for pair in found)

    def with_missing(self, there: Mapping[Ref, Obj], wanted: Iterable[Ref]) -> dict[Ref, Obj]:
        """Also those that no list of ours shows, looked for by name, when they are few."""
        missing = [ref for ref in wanted if ref not in there]
        if len(missing) > MOST_MISSING:
            return dict(there)
        found = at_once(self._api.get, missing)
        return {**there, **{ref: obj for ref, obj in zip(missing, found, strict=True) if obj is not None}}


def is_closed(obj: Obj) -> bool:
    """Whether it stands where the last TrafficTarget of a destination was, and lets in nobody."""
    return CLOSED in labels_of(obj)


def differences(
    live: Mapping[Ref, Obj], wanted: Mapping[Ref, Wanted], brought: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What is not as it was signed, among what was brought; and what bears our labels though we never brought it."""
    found = []
    for ref, one in sorted(wanted.items()):
        held = live.get(ref)
        sha256 = held_hash(held, one.obj, one.sha256)
        if brought.get(ref.path) == one.sha256 and sha256 != one.sha256:
            found.append((ref, {"path": ref.path, "wanted": one.sha256, "sha256": sha256}, held))
    for ref, held in sorted(live.items()):
        if ref not in wanted and ref.path not in brought and not is_closed(held):
            found.append((ref, {"path": ref.path, "wanted": "", "sha256": held_hash(held)}, held))
    return _told(found[:MOST_DIFFERENCES])


def _told(found: Iterable[tuple[Ref, dict[str, str], Obj | None]]) -> list[dict[str, Any]]:
    """With the texts, as far as there is room. What a Secret holds is told to nobody."""
    room, told = LONGEST_TEXTS, []
    for ref, said, held in found:
        text = "" if ref.key == SECRETS else text_of(held)
        whole = len(text) <= min(LONGEST_TEXT, room)
        told.append({**said, "text": text if whole else "", "whole": whole and ref.key != SECRETS})
        room -= len(text) if whole else 0
    return told
