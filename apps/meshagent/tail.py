"""Reads a growing log from where it was left, across restarts and rotations, and never twice within one run.

The place is kept in a file as (inode, offset). A log that has grown is moved aside, read to its end and removed; when
two of them pile up unread the older is given up, and its lines are counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.meshagent.layout import replace_file

LARGEST_READ = 256 * 1024
SETTLE_SECONDS = 1.0
"""After a rotation NGINX may still write to the moved file for a moment."""


@dataclass(frozen=True, slots=True)
class Read:
    """Whole lines, and where the log goes on after them. Call ``keep`` once they are safe."""

    lines: list[bytes]
    inode: int
    offset: int


class Tail:
    """``reopen`` makes the writer open the log anew; ``largest`` is the size at which a log is moved aside."""

    def __init__(self, log: Path, place: Path, reopen: Callable[[], None], largest: int = 16 * 1024 * 1024) -> None:
        self._log, self._place, self._reopen, self._largest = log, place, reopen, largest
        self._aside = log.with_name(f"{log.name}.1")
        self._moved_at = 0.0
        self.lost = 0
        self._inode, self._offset = self._load()

    def read(self) -> Read:
        """Lines not kept yet, from one file, oldest first; none when there is nothing new."""
        source = self._aside if self._aside.exists() else self._log
        if not source.exists():
            return Read([], self._inode, self._offset)
        inode = source.stat().st_ino
        offset = self._offset if inode == self._inode else 0
        with source.open("rb") as file:
            file.seek(offset)
            data = file.read(LARGEST_READ)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == LARGEST_READ:
            whole = data
        return Read(whole.splitlines(), inode, offset + len(whole))

    def keep(self, read: Read) -> None:
        """Marks lines as done, so that they are not read again, not even after a crash."""
        if (read.inode, read.offset) != (self._inode, self._offset):
            self._inode, self._offset = read.inode, read.offset
            replace_file(self._place, json.dumps([self._inode, self._offset]).encode())

    def tidy(self) -> None:
        """Rotates what has grown and removes what has been read."""
        if self._aside.exists():
            self._finish_aside()
        if self._log.exists() and self._log.stat().st_size > self._largest:
            self._give_up_aside()
            self._log.rename(self._aside)
            self._moved_at = time.monotonic()
            self._reopen()

    def _finish_aside(self) -> None:
        found = self._aside.stat()
        read_to_end = found.st_ino == self._inode and found.st_size == self._offset
        if read_to_end and time.monotonic() - self._moved_at > SETTLE_SECONDS:
            self._aside.unlink()

    def _give_up_aside(self) -> None:
        if not self._aside.exists():
            return
        inode = self._aside.stat().st_ino
        with self._aside.open("rb") as file:
            file.seek(self._offset if inode == self._inode else 0)
            self.lost += sum(block.count(b"\n") for block in iter(lambda: file.read(LARGEST_READ), b""))
        self._aside.unlink()

    def _load(self) -> tuple[int, int]:
        try:
            inode, offset = json.loads(self._place.read_text(encoding="ascii"))
            return int(inode), int(offset)
        except (OSError, ValueError):
            return 0, 0
