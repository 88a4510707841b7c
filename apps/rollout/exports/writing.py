"""An export in a directory, under version control as a rule: only what differs is written, so the diff is the plan."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from apps.rollout.exports.tree import MANIFEST, SIGNED, Export

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class NotOurDirectory(ValueError):
    """What lies there belongs to something else; nothing was written."""


@dataclass(frozen=True, slots=True)
class Written:
    """Paths, in order."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]


def write(export: Export, directory: Path) -> Written:
    """Make the directory hold the export, and leave alone what no export put there. The manifest comes last.

    Raises NotOurDirectory when it holds another target's export.
    """
    before = _listed(export, directory)
    last = (SIGNED, MANIFEST)
    order = [*(path for path in export.files if path not in last), *last]
    changed = tuple(path for path in order if _put(directory / path, export.files[path]))
    removed = tuple(path for path in sorted(before - export.files.keys()) if _remove(directory, path))
    return Written(tuple(sorted(changed)), removed)


def _listed(export: Export, directory: Path) -> set[str]:
    """The files an earlier export wrote, as its manifest says: none that could lie elsewhere."""
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
        target, paths = manifest["target"], [str(entry["path"]) for entry in manifest["files"]]
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError) as error:
        raise NotOurDirectory(f"{directory / MANIFEST} is not the manifest of an export.") from error
    if target != export.target:
        raise NotOurDirectory(f"{directory} holds the export of {target}, not of {export.target}.")
    return {path for path in paths if _PLAIN.fullmatch(path)}


def _put(path: Path, content: bytes) -> bool:
    if path.is_file() and path.read_bytes() == content:
        return False
    _write(path, content, mode=0o644)
    return True


def write_secret(path: Path, content: bytes) -> None:
    """For the owner only, from the first byte on."""
    _write(path, content, mode=0o600)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        fresh.chmod(mode)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _remove(directory: Path, path: str) -> bool:
    found = directory / path
    if not found.is_file():
        return False
    found.unlink()
    _tidy(found.parent, {directory})
    return True


def _tidy(folder: Path, keep: Collection[Path]) -> None:
    if folder not in keep and not any(folder.iterdir()):
        folder.rmdir()
