"""All objects, in memory and in one SQLite file, with the last changes for those who watch.

Used from one thread. An answered write survives a kill of this process (not a power cut: the file is not synced).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from apps.localcluster.http import Obj
from apps.localcluster.kinds import Store

Key = tuple[str, str]
"""Namespace and name."""

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  store_group TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (store_group, plural, namespace, name));
CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 1);
"""
_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)"
_DROP = "DELETE FROM objects WHERE store_group=? AND plural=? AND namespace=? AND name=?"


@dataclass(frozen=True, slots=True)
class Event:
    """``before`` is the object as it was, None for an added one."""

    version: int
    store: Store
    type: str
    obj: Obj
    before: Obj | None


class Objects:
    """``history``: so many changes are kept for watches; who comes with an older version is told that it is gone."""

    def __init__(self, path: Path, history: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._objects: dict[Store, dict[Key, Obj]] = {}
        for group, plural, namespace, name, body in self._connection.execute("SELECT * FROM objects"):
            self._objects.setdefault((group, plural), {})[(namespace, name)] = orjson.loads(body)
        self.version: int = self._connection.execute("SELECT version FROM counter").fetchone()[0]
        self.oldest = self.version
        """Changes after this version are known."""
        self._events: deque[Event] = deque()
        self._history = history
        self._waiting: set[asyncio.Event] = set()

    def close(self) -> None:
        self._connection.close()

    # -- reading ---------------------------------------------------------------------------------------------------
    def get(self, store: Store, key: Key) -> Obj | None:
        return self._objects.get(store, {}).get(key)

    def keys(self, store: Store, namespace: str) -> list[Key]:
        """In order; an empty namespace stands for all of them."""
        found = self._objects.get(store, {})
        return sorted(key for key in found if not namespace or key[0] == namespace)

    def all(self, store: Store, namespace: str = "") -> Iterator[Obj]:
        for key in self.keys(store, namespace):
            yield self._objects[store][key]

    def stores(self) -> list[Store]:
        return list(self._objects)

    def events(self, store: Store, after: int) -> list[Event]:
        """Not to be called with a version before ``oldest``."""
        found: list[Event] = []
        for event in reversed(self._events):
            if event.version <= after:
                break
            if event.store == store:
                found.append(event)
        return found[::-1]

    # -- writing ---------------------------------------------------------------------------------------------------
    def put(self, store: Store, key: Key, obj: Obj) -> Obj:
        """Under a new version, which it then says."""
        before = self.get(store, key)
        version = self.version + 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        self._keep(_PUT, (*store, *key, orjson.dumps(obj)), version)
        self._objects.setdefault(store, {})[key] = obj
        self._tell(Event(version, store, MODIFIED if before else ADDED, obj, before))
        return obj

    def drop(self, store: Store, key: Key) -> Obj:
        before = self._objects[store][key]
        version = self.version + 1
        self._keep(_DROP, (*store, *key), version)
        del self._objects[store][key]
        gone = {**before, "metadata": {**before["metadata"], "resourceVersion": str(version)}}
        self._tell(Event(version, store, DELETED, gone, before))
        return gone

    @contextmanager
    def together(self) -> Iterator[None]:
        """Many writes as one transaction of the file. What was written before an error stays."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _keep(self, sql: str, values: tuple[object, ...], version: int) -> None:
        alone = not self._connection.in_transaction
        if alone:
            self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(sql, values)
        self._connection.execute("UPDATE counter SET version=?", (version,))
        if alone:
            self._connection.execute("COMMIT")
        self.version = version

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        while len(self._events) > self._history:
            self.oldest = self._events.popleft().version
        self.wake()

    # -- watching --------------------------------------------------------------------------------------------------
    def forget(self) -> None:
        """As if all changes were long ago: watches that are open end with 410."""
        self._events.clear()
        self.version += 1
        self._connection.execute("UPDATE counter SET version=?", (self.version,))
        self.oldest = self.version
        self.wake()

    def wake(self) -> None:
        for waiting in self._waiting:
            waiting.set()

    async def news(self, seconds: float) -> None:
        """Returns at the next change of anything, or after that time."""
        waiting = asyncio.Event()
        self._waiting.add(waiting)
        try:
            await asyncio.wait_for(waiting.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiting)
