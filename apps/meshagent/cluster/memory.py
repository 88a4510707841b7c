"""What an agent has to remember when it is killed: how far it came, and what it brought to the cluster.

One file on a volume that outlives the pod. Without it nothing is known: everything is written anew, and whatever bears
our labels and is not wanted is removed. A file that cannot be read is no missing file: then the agent stops, for by it
an older bundle is told from a newer one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

UNSURE = "?"
"""In place of a hash: it may have been written, or not."""


class BadMemory(Exception):
    """The file is there and says nothing that can be believed."""


@dataclass(frozen=True, slots=True)
class Memory:
    """``revision`` and ``order`` are the highest ever taken; ``done`` is the order that was carried out.

    ``brought`` are hashes by path, as they were written; ``known`` is False where there was nothing to remember.
    """

    revision: int = 0
    order: int = 0
    done: int = 0
    brought: Mapping[str, str] = field(default_factory=dict)
    known: bool = False


class MemoryFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.now = self._read()

    def _read(self) -> Memory:
        if not self._path.exists():
            return Memory()
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            numbers = {name: int(found[name]) for name in ("revision", "order", "done")}
            brought = {str(path): str(sha256) for path, sha256 in found["brought"].items()}
            return Memory(**numbers, brought=brought, known=bool(found["known"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadMemory(f"{self._path} cannot be read: {error!r}. Look at it; do not just remove it.") from error

    def keep(self, **changes: object) -> None:
        """Written whole, and on the disk, before this returns."""
        self.now = replace(self.now, **changes)  # type: ignore[arg-type]  # names are those of Memory
        said = {name: getattr(self.now, name) for name in ("revision", "order", "done", "known")}
        fresh = self._path.with_name(f".{self._path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({**said, "brought": dict(self.now.brought)}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
