"""Code bundles: packing them, and reading one the way Akamai's validation does.

The finding types are Akamai's; the messages are ours.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

MAX_COMPRESSED = 512 * 1024
MAX_UNCOMPRESSED = 1024 * 1024
MANDATORY = ("main.js", "bundle.json")
_VERSION = re.compile(r"(?!.*?\.{2})[.a-zA-Z0-9_~-]{1,32}")
_API_VERSION = re.compile(r"[0-9.]*")


@dataclass(frozen=True, slots=True)
class InvalidBundle(Exception):
    """What is wrong with a bundle; ``type`` is one of the published validation error types."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class CodeBundle:
    version: str
    files: Mapping[str, bytes]


def pack(files: Mapping[str, bytes]) -> bytes:
    """The same files always give the same bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            tar.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(archive.getvalue(), mtime=0)


def unpack(content: bytes) -> CodeBundle:
    """Raises InvalidBundle for anything that Akamai would refuse."""
    if len(content) > MAX_COMPRESSED:
        raise InvalidBundle("MAX_COMPRESSED_SIZE_EXCEEDED", f"the bundle is larger than {MAX_COMPRESSED} bytes")
    files = _files(_inflate(content))
    missing = [name for name in MANDATORY if name not in files]
    if missing:
        raise InvalidBundle("MISSING_MANDATORY_FILES", f"the bundle lacks {' and '.join(missing)}")
    return CodeBundle(_version(files["bundle.json"]), files)


def _inflate(content: bytes) -> bytes:
    """Never more than the limit, whatever the archive claims to be."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            # Tar pads every file to whole blocks; the exact check follows on the files themselves.
            archive = stream.read(4 * MAX_UNCOMPRESSED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidBundle("INVALID_GZIP_FORMAT", "the bundle is not in gzip format") from error
    if len(archive) > 4 * MAX_UNCOMPRESSED:
        raise InvalidBundle("MAX_UNCOMPRESSED_SIZE_EXCEEDED", f"the files are larger than {MAX_UNCOMPRESSED} bytes")
    return archive


def _files(archive: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isfile() and not name.rpartition("/")[2].startswith("._"):
                    files[name] = _content(tar, member)
    except tarfile.TarError as error:
        raise InvalidBundle("INVALID_TAR_ARCHIVE", "the bundle is not a tar archive") from error
    if not files:
        raise InvalidBundle("EMPTY_TARBALL", "the bundle is empty")
    if sum(map(len, files.values())) > MAX_UNCOMPRESSED:
        raise InvalidBundle("MAX_UNCOMPRESSED_SIZE_EXCEEDED", f"the files are larger than {MAX_UNCOMPRESSED} bytes")
    return files


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.mode & 0o111:
        raise InvalidBundle("INVALID_FILE_PERMISSION", f"{member.name} is executable")
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _version(manifest: bytes) -> str:
    try:
        facts = json.loads(manifest)
    except ValueError as error:
        raise InvalidBundle("INVALID_MANIFEST", "bundle.json is not JSON") from error
    if not isinstance(facts, dict):
        raise InvalidBundle("INVALID_MANIFEST", "bundle.json is not an object")
    version = facts.get("edgeworker-version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidBundle("INVALID_MANIFEST", "bundle.json has no valid edgeworker-version")
    _check_optional(facts)
    return version


def _check_optional(facts: Mapping[str, object]) -> None:
    number = facts.get("bundle-version", 1)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidBundle("INVALID_MANIFEST", "bundle-version must be an integer from 1")
    api = facts.get("api-version", "")
    if not isinstance(api, str) or not _API_VERSION.fullmatch(api):
        raise InvalidBundle("INVALID_MANIFEST", "api-version must be digits and dots")
