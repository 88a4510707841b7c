"""Bundles: what the console signed, checked against the keys pinned at installation, and laid down as a directory.

A revision is complete on disk, under the name of its digest, before anything points at it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from apps.meshagent.doors import where
from apps.meshagent.layout import Layout, replace_file

TYPE = "bundle+jwt"
SIGNED = "signed.jws"
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class BundleError(Exception):
    """A bundle this node refuses; the message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a bundle by path, as signed. ``cluster`` is what only an agent in a cluster is told."""

    target: str
    revision: int
    digest: str
    hashes: Mapping[str, str]
    cluster: Mapping[str, Any] = field(default_factory=dict)


class Verifier:
    """Reads what was signed with one of the pinned keys; refuses everything else."""

    def __init__(self, keys_file: Path) -> None:
        self._keys = KeySet.import_key_set(json.loads(keys_file.read_text(encoding="utf-8")))

    def read(self, signed: str) -> Manifest:
        try:
            found = jws.deserialize_compact(signed, self._keys, algorithms=["ES256"])
            payload = json.loads(found.payload)
        except (JoseError, ValueError) as error:
            raise BundleError(f"The signature is not right: {error}") from error
        if found.headers().get("typ") != TYPE:
            raise BundleError("This is not a bundle.")
        return _manifest(payload)


def _manifest(payload: Mapping[str, Any]) -> Manifest:
    try:
        hashes = {str(entry["path"]): str(entry["sha256"]) for entry in payload["artifacts"]}
        target, revision, digest = str(payload["target"]), int(payload["revision"]), str(payload["digest"])
        manifest = Manifest(target, revision, digest, hashes, dict(payload.get("cluster") or {}))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"The manifest cannot be read: {error}") from error
    odd = [path for path in hashes if not _PATH.fullmatch(path)]
    if odd:
        raise BundleError(f"These paths are not plain: {odd[:3]}")
    if digest_of(hashes) != manifest.digest:
        raise BundleError("The digest does not match the artifacts.")
    return manifest


def digest_of(hashes: Mapping[str, str]) -> str:
    """By what a revision is known: its paths and the hashes of what is there, in order."""
    return hashlib.sha256("".join(f"{path} {hashes[path]}\n" for path in sorted(hashes)).encode()).hexdigest()


class Revisions:
    """The revisions on this node."""

    def __init__(self, layout: Layout, verifier: Verifier) -> None:
        self._layout, self._verifier = layout, verifier

    def read(self, signed: str) -> Manifest:
        return self._verifier.read(signed)

    def active(self) -> Manifest | None:
        """What ``current`` points to; None before the first, or when it was lost."""
        signed = self._layout.current / SIGNED
        return self._verifier.read(signed.read_text(encoding="utf-8")) if signed.exists() else None

    def is_whole(self, manifest: Manifest) -> bool:
        """Whether every file of a revision is as it was signed: a machine may have lost power while writing."""
        folder = self._layout.revision(manifest.digest)
        return all(_has(where(folder / path), sha256) for path, sha256 in manifest.hashes.items())

    def missing(self, manifest: Manifest, inline: Mapping[str, bytes]) -> set[str]:
        """Hashes that neither came along nor belong to the revision in force."""
        return set(manifest.hashes.values()) - inline.keys() - set(self._in_force())

    def lay_down(self, manifest: Manifest, signed: str, contents: Mapping[str, bytes]) -> None:
        """Writes a revision next to the others. Files that did not change are shared with the one in force."""
        wrong = [sha256 for sha256, content in contents.items() if hashlib.sha256(content).hexdigest() != sha256]
        if wrong:
            raise BundleError(f"The content of {wrong[0]} is another.")
        shared = self._in_force()
        fresh = self._layout.root / "revisions" / ".new"
        shutil.rmtree(fresh, ignore_errors=True)
        _make_folders(fresh, manifest.hashes)
        for path, sha256 in manifest.hashes.items():
            _place(fresh / path, sha256, contents, shared)
        replace_file(fresh / SIGNED, signed.encode())
        whole = self._layout.revision(manifest.digest)
        shutil.rmtree(whole, ignore_errors=True)
        fresh.rename(whole)

    def renumber(self, manifest: Manifest, signed: str) -> None:
        """The same content under a newer number."""
        replace_file(self._layout.revision(manifest.digest) / SIGNED, signed.encode())

    def _in_force(self) -> dict[str, Path]:
        active = self.active()
        if active is None:
            return {}
        folder = self._layout.revision(active.digest)
        return {sha256: where(folder / path) for path, sha256 in active.hashes.items()}


def _place(path: Path, sha256: str, contents: Mapping[str, bytes], shared: Mapping[str, Path]) -> None:
    if sha256 in contents:
        path.write_bytes(contents[sha256])
    elif sha256 in shared:
        os.link(shared[sha256], path)
    else:
        raise BundleError(f"The content of {path.name} ({sha256}) is missing.")


def _make_folders(fresh: Path, paths: Iterable[str]) -> None:
    fresh.mkdir()
    for folder in sorted({str(Path(path).parent) for path in paths}):
        (fresh / folder).mkdir(parents=True, exist_ok=True)


def _has(path: Path, sha256: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
