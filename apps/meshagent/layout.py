"""Where things are on a node. Everything is below one directory, and every switch is one rename."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path


def slug(spiffe_id: str) -> str:
    """The directory name of a workload's identity; the compiled configuration uses the same."""
    return f"{spiffe_id.rpartition('/')[2][:40]}-{hashlib.sha256(spiffe_id.encode()).hexdigest()[:8]}"


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file so that a reader, or a crash, sees the old content or the new."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    fresh.rename(path)


def point(link: Path, target: str) -> None:
    """Makes ``link`` a symbolic link to ``target``, whatever it was before, in one step."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.rename(link)


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path

    def prepare(self) -> None:
        for name in ("run", "logs", "temp", "revisions", "identities/.kept"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "identities/.kept").chmod(0o700)

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def authority(self) -> Path:
        return self.root / "ca.pem"

    @property
    def decisions(self) -> Path:
        return self.root / "logs" / "decisions.ndjson"

    def identity(self, workload: str) -> Path:
        return self.root / "identities" / slug(workload)

    def revision(self, digest: str) -> Path:
        return self.root / "revisions" / digest

    def active_digest(self) -> str:
        """The digest that ``current`` points to; '' before the first revision."""
        return self.current.readlink().name if self.current.is_symlink() else ""

    def forget_revisions(self, keep: set[str]) -> None:
        """Removes revisions that are neither in force nor wanted for a way back."""
        for folder in (self.root / "revisions").iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)
