"""An export as one file."""

from __future__ import annotations

import io
import zipfile

from apps.rollout.exports.tree import Export

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_UNIX = 3


def zipped(export: Export) -> bytes:
    """Without clocks or owners, and not compressed, since compressors differ: equal exports give equal bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for path, content in sorted(export.files.items()):
            entry = zipfile.ZipInfo(f"{export.target}/{path}", _LONG_AGO)
            entry.create_system, entry.external_attr = _UNIX, 0o100644 << 16
            archive.writestr(entry, content)
    return written.getvalue()
