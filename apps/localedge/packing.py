"""Code bundles: a gzipped tar of main.js, bundle.json and whatever they import."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

MAX_COMPRESSED = 512 * 1024
MAX_UNCOMPRESSED = 1024 * 1024


def pack(files: Mapping[str, bytes]) -> bytes:
    """The same files always give the same bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(archive.getvalue(), mtime=0)
