"""What a compilation yields: named bytes with their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file or item a target should hold. ``path`` is relative, ``/``-separated and unique within its bundle."""

    path: str
    media_type: str
    content: bytes
    sha256: str

    @classmethod
    def of(cls, path: str, media_type: str, content: bytes) -> Artifact:
        return cls(path, media_type, content, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Bundle:
    """Artifacts sorted by path; ``digest`` is the content address of the whole."""

    artifacts: tuple[Artifact, ...]
    digest: str

    @classmethod
    def of(cls, artifacts: Iterable[Artifact]) -> Bundle:
        ordered = tuple(sorted(artifacts, key=lambda a: a.path))
        return cls(ordered, manifest_digest({a.path: a.sha256 for a in ordered}))


def manifest_digest(hashes: dict[str, str]) -> str:
    """SHA-256 over ``path SP sha256 LF`` lines in path order: the content address of a set of artifacts."""
    lines = "".join(f"{path} {hashes[path]}\n" for path in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()
