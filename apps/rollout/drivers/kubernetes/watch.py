"""What changes of ours in a cluster, as it happens: one stream for each kind and namespace, heard together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.api import ClusterApi, Obj
from apps.rollout.drivers.kubernetes.compare import REVISION, labels_of, selector
from apps.rollout.drivers.kubernetes.kinds import KINDS, Kind, Ref, Scope
from apps.rollout.drivers.kubernetes.read import is_closed


class Seen(StrEnum):
    CHANGED = "changed"
    REMOVED = "removed"
    POSITION = "position"
    """Nothing happened; the position is newer."""
    LOST = "lost"
    """The position is too old for the server: read all back, and watch from there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a watch saw. Keep ``version`` under ``scope``, and a later watch goes on after it.

    ``path`` and ``revision`` (of the label) are empty for POSITION and LOST.
    """

    seen: Seen
    scope: str
    version: str
    path: str = ""
    revision: str = ""


class Watching:
    """``seconds``: how long each stream lasts. More than a hundred streams at once are more than a server likes."""

    def __init__(self, api: ClusterApi, cluster: str, seconds: float) -> None:
        self._api, self._labels, self._seconds = api, selector(cluster), seconds
        self._heard: queue.SimpleQueue[Change | VendorError | None] = queue.SimpleQueue()
        self._over = threading.Event()

    def changes(self, scopes: Sequence[Scope], since: Mapping[str, str]) -> Iterator[Change]:
        """Ends when all streams have. A failure of one is raised, after what the others had said before."""
        streams = [
            threading.Thread(target=self._stream, args=(scope, since.get(str(scope), "")), daemon=True)
            for scope in scopes
        ]
        for stream in streams:
            stream.start()
        try:
            yield from self._hear(len(streams))
        finally:
            self._over.set()

    def _hear(self, open_streams: int) -> Iterator[Change]:
        while open_streams:
            heard = self._heard.get()
            if heard is None:
                open_streams -= 1
            elif isinstance(heard, VendorError):
                raise heard
            else:
                yield heard

    def _stream(self, scope: Scope, since: str) -> None:
        kind = KINDS[scope.kind]
        try:
            events = self._api.watch(kind, scope.namespace, labels=self._labels, since=since, seconds=self._seconds)
            for seen, obj in events:
                if self._over.is_set():
                    return
                self._heard.put(_change(kind, scope, seen, obj))
        except VendorError as error:
            lost = error.kind == "expired"
            self._heard.put(Change(Seen.LOST, str(scope), "") if lost else error)
        finally:
            self._heard.put(None)


def _change(kind: Kind, scope: Scope, seen: str, obj: Obj) -> Change:
    meta = obj["metadata"]
    version = str(meta.get("resourceVersion", ""))
    if seen == "BOOKMARK":
        return Change(Seen.POSITION, str(scope), version)
    gone = seen == "DELETED" or is_closed(obj)
    path = Ref(kind, scope.namespace, meta["name"]).path
    return Change(Seen.REMOVED if gone else Seen.CHANGED, str(scope), version, path, labels_of(obj).get(REVISION, ""))
